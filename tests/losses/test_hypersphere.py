"""Alignment and uniformity as objectives; their values are tested where they are readings (tests/diagnostics)."""

import math

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


Z1 = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
Z2 = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
"""Between views apart 0, sqrt 2 and 2; squared distances within them 2, 4, 2 and 4, 0, 4."""


@pytest.mark.parametrize(
    ("alpha", "apart"), [(2, 2.0), (3, (2 * 2**0.5 + 8) / 3), (4, 20 / 3), (1.0, (2**0.5 + 2) / 3)]
)
def test_alignment_by_hand(alpha: float, apart: float) -> None:
    assert alignment(5 * Z1, Z2 / 3, alpha=alpha).item() == pytest.approx(apart, abs=1e-6 if alpha < 2 else 1e-14)


@pytest.mark.parametrize("t", [0.5, 1, 2, 3, 7.0])
def test_uniformity_by_hand(t: float) -> None:
    first = math.log((2 * math.exp(-2 * t) + math.exp(-4 * t)) / 3)
    second = math.log((1 + 2 * math.exp(-4 * t)) / 3)
    assert uniformity(Z1, t=t).item() == pytest.approx(first, rel=1e-12)
    assert uniformity(Z2, t=t).item() == pytest.approx(second, rel=1e-12)


@pytest.mark.parametrize(("alpha", "t"), [(3, 2), (2, 3), (4, 0.5)])
def test_the_weighted_sum_by_hand(alpha: int, t: float) -> None:
    apart = {2: 2.0, 3: (2 * 2**0.5 + 8) / 3, 4: 20 / 3}[alpha]
    first = math.log((2 * math.exp(-2 * t) + math.exp(-4 * t)) / 3)
    second = math.log((1 + 2 * math.exp(-4 * t)) / 3)
    found = align_uniform(2 * Z1, 7 * Z2, alpha=alpha, t=t, align_weight=3, uniform_weight=0.5)
    assert found.item() == pytest.approx(3 * apart + 0.5 * (first + second) / 2, rel=1e-12)
