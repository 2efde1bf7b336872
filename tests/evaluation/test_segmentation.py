"""Linear segmentation: scores by hand and by other libraries, and what the linear layer can and cannot read."""

import copy

import pytest
import torch
from sklearn.metrics import confusion_matrix
from torchmetrics.classification import MulticlassJaccardIndex

from tests.methods.toy import Backbone
from unlabel.data.scenes import IGNORED
from unlabel.evaluation.segmentation import Pixels, Scenes, linear_segmentation


def test_the_worked_case() -> None:
    found = Pixels.of(torch.tensor([0, 1, 2, 2, 1, 0]), torch.tensor([0, 1, 1, IGNORED, 7, 0]), 3)
    counts = [part.tolist() for part in (found.right, found.predicted, found.labelled)]
    assert counts == [[2, 1, 0], [2, 2, 1], [2, 2, 0]]  # 7 is no class: it is not labelled, yet what was said counts
    scores = found.scores()
    assert scores["IoU"] == [100, 33.33, 0]
    # Class 2 is not labelled: it has an overlap of 0 and no accuracy.
    assert (scores["aAcc"], scores["mIoU"], scores["mAcc"]) == (75, 44.44, 75)


def drawn(n: int = 6, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    prediction, label = torch.randint(classes, (2, n, 9, 7), generator=torch.Generator().manual_seed(0))
    label[:, :2] = IGNORED
    return prediction, label


def test_scores_are_those_of_other_libraries() -> None:
    prediction, label = drawn()
    found, known = Pixels.of(prediction, label, 4), label != IGNORED
    table = torch.from_numpy(confusion_matrix(label[known], prediction[known]))
    assert torch.equal(found.right, table.diag()) and torch.equal(found.predicted, table.sum(dim=0))
    assert torch.equal(found.labelled, table.sum(dim=1))
    oracle = MulticlassJaccardIndex(num_classes=4, ignore_index=IGNORED, average="none")(prediction, label)
    overlap = found.right / (found.predicted + found.labelled - found.right)
    assert overlap.tolist() == pytest.approx(oracle.tolist(), rel=1e-5)
    assert found.scores()["IoU"] == [round(100 * value, 2) for value in overlap.tolist()]


def test_images_add_up_and_ignored_pixels_and_names_of_classes_do_not_matter() -> None:
    prediction, label = drawn()
    whole = Pixels.of(prediction, label, 4).scores()
    parts = [Pixels.of(p, g, 4) for p, g in zip(prediction, label, strict=True)]
    assert sum(parts[1:], parts[0]).scores() == whole
    elsewhere = torch.where(label == IGNORED, 3, prediction)
    assert Pixels.of(elsewhere, label, 4).scores() == whole
    other = torch.tensor([2, 0, 3, 1])
    renamed = Pixels.of(
        other[prediction], torch.where(label == IGNORED, IGNORED, other[label.clamp(max=3)]), 4
    ).scores()
    assert all(renamed[name] == pytest.approx(whole[name]) for name in ("aAcc", "mIoU", "mAcc"))
    assert Pixels.of(label.clamp(max=3), label, 4).scores()["mIoU"] == 100


def test_classes_that_are_nowhere_are_left_out() -> None:
    scores = Pixels.of(torch.tensor([0, 1]), torch.tensor([0, 1]), 5).scores()
    assert scores["mIoU"] == 100 and scores["IoU"] == [100, 100, None, None, None]
    nothing = Pixels.of(torch.tensor([0]), torch.tensor([IGNORED]), 2).scores()
    assert nothing["aAcc"] is nothing["mIoU"] is None


def scenes(n: int, seed: int) -> Scenes:
    """The class of a block of 4 x 4 pixels is the sign of its first channel; the other channels are noise."""
    coarse = torch.randn(n, 3, 4, 5, generator=torch.Generator().manual_seed(seed))
    images = coarse.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    masks = (images[:, 0] > 0).long()
    masks[:, 0] = IGNORED
    return Scenes(images, masks)


def test_a_linear_layer_reads_what_is_there_and_nothing_else() -> None:
    networks = {"all": lambda x: x, "noise": lambda x: x[:, 1:]}
    found = linear_segmentation(networks, scenes(160, 0), scenes(40, 1), classes=2, epochs=30)
    assert found["all"]["mIoU"] > 95 and 20 < found["noise"]["mIoU"] < 45
    assert found["constant"]["IoU"].count(0.0) == 1 and 40 < found["constant"]["aAcc"] < 60


def test_nothing_of_a_frozen_network_changes() -> None:
    network = Backbone().eval()
    before = copy.deepcopy(network.state_dict())
    maps = {"run": lambda x: network.layers(x)}
    few = scenes(16, 0)
    first, second = (linear_segmentation(maps, few, few, classes=2, epochs=2, seed=3) for _ in range(2))
    assert first == second
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
