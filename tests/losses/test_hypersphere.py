"""Alignment and uniformity as objectives; their values are tested where they are readings (tests/diagnostics)."""

import pytest
import torch
from torch.autograd import gradcheck

from unlabel.losses import align_uniform, alignment, uniformity


def test_uniformity_is_the_logarithm_of_a_mean_over_pairs() -> None:
    x = torch.nn.functional.normalize(torch.randn(7, 4, dtype=torch.float64), dim=1)
    expected = torch.pdist(x).square().mul(-3.0).exp().mean().log()
    assert uniformity(5 * x, t=3).item() == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize("alpha", [1, 2, 3])
def test_gradients(alpha: int) -> None:
    x, y = (torch.randn(4, 3, dtype=torch.float64).requires_grad_() for _ in range(2))
    assert gradcheck(lambda a, b: alignment(a, b, alpha=alpha), (x, y))
    assert gradcheck(lambda a, b: align_uniform(a, b, alpha=alpha, uniform_weight=0.7), (x, y))


def test_equal_views_have_a_gradient_that_is_a_number() -> None:
    x = torch.ones(3, 4).requires_grad_()
    alignment(x, torch.ones(3, 4), alpha=1).backward()
    assert torch.isfinite(x.grad).all()


def test_either_weight_alone() -> None:
    x, y = torch.randn(5, 4), torch.randn(5, 4)
    assert align_uniform(x, y, uniform_weight=0).item() == pytest.approx(alignment(x, y).item())
    spread = (uniformity(x) + uniformity(y)) / 2
    assert align_uniform(x, y, align_weight=0).item() == pytest.approx(spread.item())
