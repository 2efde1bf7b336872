import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import grid_nce

B, H, W, D = 3, 4, 5, 6


def grids(k: int) -> tuple[Tensor, Tensor]:
    """Predictions of the rows k below, and targets."""
    p = torch.randn(B, H - k, W, D, dtype=torch.float64)
    return p, torch.randn(B, H, W, D, dtype=torch.float64)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_is_cross_entropy_over_all_places_of_all_images(k: int) -> None:
    p, z = grids(k)
    logits = p.flatten(0, 2) @ z.flatten(0, 2).T
    labels = [(b * H + r + k) * W + j for b in range(B) for r in range(H - k) for j in range(W)]
    expected = F.cross_entropy(logits, torch.tensor(labels), reduction="none").view(B, H - k, W)
    torch.testing.assert_close(grid_nce(p, z), expected, rtol=1e-12, atol=1e-12)


def test_labels_are_those_of_the_papers_pseudo_code() -> None:
    """Offset i there is k = i + 1: label = b H W + (i + 1) W + position among the (H - i - 1) W of an image."""
    i = 1
    p, z = grids(i + 1)
    n = B * (H - i - 1) * W
    image, position = torch.arange(n) // ((H - i - 1) * W), torch.arange(n) % ((H - i - 1) * W)
    labels = image * H * W + (i + 1) * W + position
    expected = F.cross_entropy(p.flatten(0, 2) @ z.flatten(0, 2).T, labels)
    assert grid_nce(p, z).mean().item() == pytest.approx(expected.item(), rel=1e-13)


def test_equal_vectors_cost_log_of_the_number_of_candidates() -> None:
    p, z = torch.ones(B, H - 1, W, D), torch.ones(B, H, W, D)
    torch.testing.assert_close(grid_nce(p, z), torch.full((B, H - 1, W), math.log(B * H * W)))


def test_swapping_images_permutes_their_losses() -> None:
    p, z = grids(2)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(grid_nce(p[order], z[order]), grid_nce(p, z)[order], rtol=1e-12, atol=1e-12)


def test_predictions_of_some_images_among_all() -> None:
    """As a rank has it: its own predictions, everybody's targets."""
    p, z = grids(2)
    whole = grid_nce(p, z)
    torch.testing.assert_close(grid_nce(p[1:], z, first=1), whole[1:], rtol=1e-12, atol=1e-12)


def test_gradients() -> None:
    p, z = grids(2)
    assert gradcheck(grid_nce, (p.requires_grad_(), z.requires_grad_()))
