import numpy as np
import pytest
import torch
from torch import Tensor

from unlabel.data import Subset
from unlabel.data.shapes import Shapes
from unlabel.evaluation.classification import classification
from unlabel.views import evaluation


class Oracle:
    """Knows the labels of the images in the order they come, and errs on purpose."""

    def __init__(self, labels: np.ndarray, places: int) -> None:
        self.labels, self.places, self.seen = torch.from_numpy(labels), places, 0

    def __call__(self, x: Tensor) -> Tensor:
        y = self.labels[self.seen : self.seen + len(x)]
        self.seen += len(x)
        logits = torch.zeros(len(x), 8)
        for step in range(self.places + 1):  # the right class comes in place number `places`
            logits[torch.arange(len(x)), (y + step) % 8] = 1.0 + (step if step else -0.5)
        return logits


def test_scores_are_shares_of_right_answers() -> None:
    source = Shapes(40)
    who = {"right": Oracle(source.labels, 0), "third": Oracle(source.labels, 2), "last": Oracle(source.labels, 7)}
    found = classification(who, source, view=evaluation(32), limit=100)
    assert found.scores["right"] == {"top1": 100.0, "top5": 100.0}
    assert found.scores["third"] == {"top1": 0.0, "top5": 100.0}
    assert found.scores["last"] == {"top1": 0.0, "top5": 0.0}
    assert (found.queries, found.skipped) == (40, 0)


def test_few_classes_have_no_top_5_and_the_limit_is_balanced() -> None:
    source = Shapes(80)
    found = classification({"run": lambda x: torch.zeros(len(x), 4)}, source, view=evaluation(32), limit=16)
    assert set(found.scores["run"]) == {"top1"} and found.queries == 16


def test_images_without_a_label_are_not_asked_about() -> None:
    source = Subset(Shapes(24), np.arange(24))
    source.labels = np.where(np.arange(24) % 2, source.labels, -1)
    first = torch.eye(8)[:1]  # whatever it sees, it is of class 0
    found = classification({"run": lambda x: first.expand(len(x), -1)}, source, view=evaluation(32), limit=100)
    assert found.queries == 12 and found.scores["run"]["top1"] == pytest.approx(100 * np.mean(source.labels[1::2] == 0))
