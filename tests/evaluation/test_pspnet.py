"""Pyramid pooling: its shapes, what it sees that a linear layer cannot, and what it leaves alone."""

import copy

import pytest
import torch

from tests.methods.toy import Backbone
from unlabel.data.scenes import IGNORED
from unlabel.evaluation.pspnet import POOLS, PyramidHead, pspnet_segmentation, tunable
from unlabel.evaluation.segmentation import Scenes, linear_segmentation


def test_the_head_has_the_papers_parts() -> None:
    head = PyramidHead(256, 11)
    assert head.bottleneck[0].in_channels == 256 + 4 * 64 and head.bottleneck[0].kernel_size == (3, 3)
    assert PyramidHead(2048, 11).bottleneck[0].in_channels == 4096
    assert [branch[0].output_size for branch in head.branches] == list(POOLS) == [1, 2, 3, 6]
    assert head(torch.randn(2, 256, 7, 9)).shape == (2, 11, 7, 9)


def test_the_first_branch_is_the_same_everywhere_and_the_last_is_not() -> None:
    head, x = PyramidHead(8, 3, 4).eval(), torch.randn(2, 8, 12, 12)
    first, last = (head.branches[k](x) for k in (0, 3))
    assert first.shape == (2, 4, 1, 1) and last.shape == (2, 4, 6, 6)
    torch.testing.assert_close(head.branches[0](x.flip(2)), first)  # the mean knows no places


def scenes(n: int, seed: int) -> Scenes:
    """Noise; the class of every pixel is whether one place of its image, anywhere, is bright. No place knows it alone."""
    draw = torch.Generator().manual_seed(seed)
    images, labels = 0.1 * torch.randn(n, 3, 8, 8, generator=draw), torch.arange(n) % 2
    for image, label in zip(images, labels, strict=True):
        row, column = torch.randint(8, (2,), generator=draw).tolist()
        image[:, row, column] = 6.0 * label
    masks = labels[:, None, None].expand(n, 16, 16).clone()
    masks[:, 0] = IGNORED
    return Scenes(images, masks)


def same(x: torch.Tensor) -> torch.Tensor:
    return x


def test_it_reads_what_lies_elsewhere_in_the_image_where_a_linear_layer_cannot() -> None:
    train, test = scenes(64, 0), scenes(24, 1)
    found = pspnet_segmentation({"run": (None, same)}, train, test, classes=2, epochs=12)
    linear = linear_segmentation({"run": same}, train, test, classes=2, epochs=12)
    assert found["run"]["mIoU"] > 90 and linear["run"]["mIoU"] < 60
    assert found["constant"] == linear["constant"] and found["constant"]["aAcc"] == pytest.approx(50)


def test_frozen_networks_stay_to_the_last_bit_and_tuned_ones_are_copies() -> None:
    network = Backbone().eval()
    before = copy.deepcopy(network.state_dict())
    few = scenes(9, 0)
    maps = {"run": (None, lambda x: network.layers(x))}
    state = torch.random.get_rng_state()
    first, second = (pspnet_segmentation(maps, few, few, classes=2, epochs=1, seed=3) for _ in range(2))
    assert first == second and torch.equal(state, torch.random.get_rng_state())
    own, features = tunable(network, lambda part, x: part.layers(x))
    pspnet_segmentation({"run": (own, features)}, few, few, classes=2, epochs=1, fine_tune=True)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert any(not torch.equal(before[name], value) for name, value in own.state_dict().items()) and not own.training


def test_one_image_is_too_few_and_the_share_done_rises() -> None:
    with pytest.raises(ValueError, match="two images"):
        pspnet_segmentation({"run": (None, same)}, scenes(1, 0), scenes(2, 0), classes=2)
    told: list[float] = []
    networks = {"a": (None, same), "b": (None, same)}
    pspnet_segmentation(
        networks, scenes(4, 0), scenes(2, 0), classes=2, epochs=2, progress=lambda what, share: told.append(share)
    )
    assert told == [0.25, 0.5, 0.75, 1.0]
