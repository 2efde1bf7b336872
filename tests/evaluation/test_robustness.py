"""Accuracy on corrupted images: by hand, for readers that see and that do not."""

import json

import numpy as np
import pytest
import torch

from tests.evaluation.pictures import Bars
from unlabel.evaluation import robustness as module
from unlabel.evaluation.corruptions import corrupt
from unlabel.evaluation.protocol import Protocol
from unlabel.evaluation.robustness import declared, robustness
from unlabel.evaluation.severities import FURTHER, NAMES
from unlabel.views import evaluation

VIEW = evaluation(16)


def bright(x):
    """Class 0 or 1: whether the mean of the normalised image is above 0, and always 0."""
    return {"mean": (x.mean(dim=(1, 2, 3)) > -1).long(), "never": torch.zeros(len(x), dtype=torch.int64)}


def undone(x):
    mean, std = (torch.tensor(v)[:, None, None] for v in (VIEW.mean, VIEW.std))
    return 255 * (x * std + mean)


def test_accuracies_and_means_by_hand():
    source = Bars(24, classes=2)
    indices = np.arange(2, 24)
    found = robustness({"one": bright}, source, VIEW, indices=indices)
    assert set(found) == {"mean", "never"} and set(found["mean"]) == {"one"}
    pictures = torch.stack([source.image(int(i)) for i in indices])  # as large as the view: shown as they are
    labels = torch.from_numpy(source.labels[indices])

    def right(shown):
        mean, std = (torch.tensor(v)[:, None, None] for v in (VIEW.mean, VIEW.std))
        return 100 * float((bright((shown.float() / 255 - mean) / std)["mean"] == labels).double().mean())

    scores = found["mean"]["one"]
    assert scores["clean"] == pytest.approx(right(pictures))
    for name in NAMES:
        expected = [right(corrupt(pictures, name, s, indices=indices)) for s in range(1, 6)]
        assert scores["corruptions"][name]["severities"] == pytest.approx(expected)
        assert scores["corruptions"][name]["mean"] == pytest.approx(np.mean(expected))
    for kind, which in (("corrupted", set(NAMES) - set(FURTHER)), ("further", FURTHER)):
        assert scores[kind] == pytest.approx(np.mean([scores["corruptions"][name]["mean"] for name in which]))
    blind = found["never"]["one"]
    assert blind["clean"] == pytest.approx(blind["corrupted"]) == pytest.approx(50)


def test_chunks_change_nothing_and_all_readers_see_the_same(monkeypatch):
    source, seen = Bars(10, classes=2, broken=(4,)), {"a": [], "b": []}

    def reader(name):
        def read(x):
            seen[name].append(undone(x))
            return bright(x)

        return read

    told = []
    whole = robustness({"a": reader("a"), "b": reader("b")}, source, VIEW, indices=np.arange(10), progress=told.append)
    assert torch.equal(torch.cat(seen["a"]), torch.cat(seen["b"])) and len(seen["a"][0]) == 9
    assert whole["mean"]["a"] == whole["mean"]["b"]
    assert told == sorted(told) and told[-1] == pytest.approx(1) and len(told) == 96
    monkeypatch.setattr(module, "_BYTES", 3 * 4 * 3 * 16 * 16)
    assert robustness({"a": bright}, source, VIEW, indices=np.arange(10))["mean"]["a"] == whole["mean"]["a"]


def test_the_seed_is_that_of_the_noise():
    source = Bars(12, classes=2)
    shown = []
    for seed in (0, 0, 1):
        seen = []
        robustness(
            {"a": lambda x, seen=seen: seen.append(x.clone()) or bright(x)},
            source,
            VIEW,
            indices=np.arange(12),
            seed=seed,
        )
        shown.append(torch.stack(seen))
    assert torch.equal(shown[0], shown[1]) and not torch.equal(shown[0], shown[2])
    assert torch.equal(shown[0][0], shown[2][0])  # clean


def test_the_protocol_says_how_strong():
    said = json.loads(json.dumps(declared(VIEW, memory=20_000, queries=300, protocol=Protocol(seed=3)).as_dict()))
    assert said["images"] == 300 and said["knn"].startswith("5,000") and said["seed"] == 3
    assert said["corruptions"]["contrast"] == [0.75, 0.5, 0.4, 0.3, 0.15] and said["severities"].endswith(
        "CIFAR-10-C, at 16 px"
    )
    assert said["version"] == 2 and said["further"] == ["gaussian_blur", "saturate", "speckle_noise", "spatter"]
    assert "16 px" in said["view"] and said["layer"] and said["weights"]
    assert declared(evaluation(224), memory=10, queries=9_999, protocol=Protocol()).as_dict()["images"] == 1_000


def test_it_says_at_first_how_long_it_will_take():
    told, seen = [], []

    def read(x):
        seen.append(len(told))
        return bright(x)

    again = robustness({"a": read}, Bars(40, classes=2), VIEW, indices=np.arange(40), announce=told.append)
    assert len(told) == 1 and told[0] > 0
    assert seen.count(0) == 19 and seen.count(1) == 96  # each was tried once, and then all are counted
    assert again == robustness({"a": bright}, Bars(40, classes=2), VIEW, indices=np.arange(40))


def test_nothing_readable():
    with pytest.raises(ValueError, match="can be read"):
        robustness({"a": bright}, Bars(2, broken=(0, 1)), VIEW, indices=np.arange(2))
