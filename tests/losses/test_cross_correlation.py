"""Barlow Twins' sums against the matrix written out, their closed forms, and what they do and do not see."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import cross_correlation
from unlabel.losses.cross_correlation import EPS, correlations


def pair(b: int = 7, d: int = 4) -> tuple[Tensor, Tensor]:
    return torch.randn(b, d, dtype=torch.float64), torch.randn(b, d, dtype=torch.float64)


def value(z1: Tensor, z2: Tensor, weight: float = 0.005) -> float:
    invariance, redundancy = cross_correlation(z1, z2)
    return float(invariance + weight * redundancy)


WHITE = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
"""Two dimensions that have nothing in common."""


def test_matrix_is_the_formula() -> None:
    z1, z2 = pair()
    c = correlations(z1, z2)
    for i in range(4):
        for j in range(4):
            a, b = z1[:, i] - z1[:, i].mean(), z2[:, j] - z2[:, j].mean()
            spread = ((a.square().mean() + EPS) * (b.square().mean() + EPS)).sqrt()
            assert c[i, j].item() == pytest.approx(float((a * b).mean() / spread), rel=1e-12)
    assert c.abs().max() <= 1


@pytest.mark.parametrize(("b", "d"), [(7, 4), (5, 5), (4, 9)])
def test_sums_are_the_formula_with_and_without_the_matrix(b: int, d: int) -> None:
    z1, z2 = pair(b, d)
    c = correlations(z1, z2)
    own = torch.diagonal(c)
    invariance, redundancy = cross_correlation(z1, z2)
    assert invariance.item() == pytest.approx(float((1 - own).square().sum()), rel=1e-12)
    assert redundancy.item() == pytest.approx(float(c.square().sum() - own.square().sum()), rel=1e-12)


@pytest.mark.parametrize(("b", "d"), [(8, 5), (5, 8)])
def test_agrees_with_lightly(b: int, d: int) -> None:
    lightly = pytest.importorskip("lightly.loss")
    z1, z2 = pair(b, d)
    theirs = lightly.BarlowTwinsLoss(lambda_param=0.0051)(z1, z2)
    assert value(z1, z2, 0.0051) == pytest.approx(theirs.item(), rel=1e-12)


def test_closed_forms() -> None:
    assert value(WHITE, WHITE) == pytest.approx(2 * (EPS / (1 + EPS)) ** 2, rel=1e-6)  # 2e-10
    assert value(WHITE, -WHITE) == pytest.approx(4 * 2, rel=1e-4)
    twice = WHITE[:, [0, 0]]
    assert value(twice, twice) == pytest.approx(2 * 0.005, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
@pytest.mark.parametrize(("b", "d"), [(16, 8), (64, 40), (64, 63)])
def test_whitened_embeddings_cost_nothing_and_never_less(b: int, d: int, scale: float, dtype: torch.dtype) -> None:
    """Both sums are of squares, also where these are all but 0: up to the rounding of a sum of d ones."""
    z = torch.randn(b, d, dtype=torch.float64)
    white = torch.linalg.qr(z - z.mean(dim=0))[0] * b**0.5
    z1 = (scale * white).to(dtype)
    for z2 in (z1, z1 * torch.linspace(0.5, 2, d).to(dtype) + 3):
        invariance, redundancy = cross_correlation(z1, z2)
        assert 0 <= invariance.item() < 1e-6
        assert 0 <= redundancy.item() < 8 * d * torch.finfo(dtype).eps


@pytest.mark.parametrize("d", [3, 20])
def test_collapse_costs_the_number_of_dimensions(d: int) -> None:
    z = torch.ones(6, d, dtype=torch.float64)
    invariance, redundancy = cross_correlation(z, z)
    assert invariance.item() == d and redundancy.item() == 0


def test_one_dimension_copied_is_invariant_and_redundant() -> None:
    z = torch.randn(50, 1, dtype=torch.float64).expand(50, 6)
    invariance, redundancy = cross_correlation(z, z)
    assert invariance.item() == pytest.approx(0, abs=1e-8) and redundancy.item() == pytest.approx(6 * 5, rel=1e-4)


def test_shift_scale_order_and_sign_do_not_matter_but_rotation_does() -> None:
    z1, z2 = (100 * z for z in pair(30, 4))  # large, so that what is added to the variances does not show
    expected = value(z1, z2)
    order, sign = torch.randperm(4), torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64)
    stretched = z1 * torch.tensor([1.0, 2.0, 5.0, 3.0], dtype=torch.float64) - 7
    for a, b in ((stretched, z2), (z1, z2 + 1), (z1[:, order], z2[:, order]), (z1 * sign, z2 * sign), (z2, z1)):
        assert value(a, b) == pytest.approx(expected, rel=1e-7)
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    assert abs(value(z1 @ turn, z2 @ turn) - expected) > 1e-3


@pytest.mark.parametrize(("b", "d"), [(6, 3), (3, 6)])
def test_gradients(b: int, d: int) -> None:
    z1, z2 = (z.requires_grad_() for z in pair(b, d))
    assert gradcheck(cross_correlation, (z1, z2))


def test_half_precision_is_compared_in_float32() -> None:
    z = torch.randn(40, 6).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        invariance, redundancy = cross_correlation(z, z)
    assert invariance.dtype == redundancy.dtype == torch.float32
    expected = cross_correlation(z.double(), z.double())
    assert redundancy.item() == pytest.approx(expected[1].item(), rel=1e-5)


def test_one_image_has_no_correlations() -> None:
    with pytest.raises(ValueError, match="two images"):
        cross_correlation(torch.randn(1, 4), torch.randn(1, 4))
