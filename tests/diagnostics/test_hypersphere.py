import math

import pytest
import torch
import torch.nn.functional as F

from unlabel.diagnostics import alignment, tolerance, uniformity


def test_alignment_by_hand():
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    y = torch.tensor([[0.0, 3.0], [0.0, -1.0]])  # orthogonal, opposite
    assert alignment(x, x) == 0
    assert alignment(x, y) == pytest.approx((2 + 4) / 2)
    assert alignment(x, y, alpha=1) == pytest.approx((math.sqrt(2) + 2) / 2)


def test_equal_points_are_the_least_uniform():
    assert uniformity(torch.ones(10, 5)) == pytest.approx(0, abs=1e-5)


def test_two_opposite_points():
    x = torch.tensor([[1.0, 2.0], [-1.0, -2.0]])
    assert uniformity(x, t=2) == pytest.approx(-8, abs=1e-5)


@pytest.mark.parametrize(("d", "t"), [(2, 2.0), (3, 2.0), (128, 2.0), (8, 3.0)])
def test_even_spread_reaches_its_closed_form(d, t):
    from scipy.special import hyp0f1

    x = torch.randn(2000, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = -2 * t + math.log(hyp0f1(d / 2, t**2))
    # U-statistic of 2,000 points: its error is O(1/n) where the first projection is constant, as on a sphere.
    assert uniformity(x, t=t) == pytest.approx(expected, abs=4e-3)


def test_slow_formula():
    x = F.normalize(torch.randn(40, 6, dtype=torch.float64), dim=1)
    slow = torch.pdist(x).pow(2).mul(-2).exp().mean().log()
    assert uniformity(3 * x) == pytest.approx(float(slow), abs=1e-12)


def test_no_underflow_where_the_formula_would():
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert uniformity(x, t=500) == pytest.approx(-2000)


def test_many_rows_are_thinned():
    x = torch.randn(500, 4, dtype=torch.float64)
    assert uniformity(x, limit=500) != uniformity(x, limit=100)
    rows = torch.linspace(0, 499, 100).round().long()
    assert uniformity(x, limit=100) == pytest.approx(uniformity(x[rows]))


def test_against_lightly():
    module = pytest.importorskip("lightly.loss.hypersphere_loss")
    x, y = torch.randn(50, 16, dtype=torch.float64), torch.randn(50, 16, dtype=torch.float64)
    theirs = float(module.HypersphereLoss(t=2.0, lam=1.0, alpha=2.0)(x, y))
    assert alignment(x, y) + (uniformity(x) + uniformity(y)) / 2 == pytest.approx(theirs, abs=1e-10)


def test_one_row_has_no_pairs():
    with pytest.raises(ValueError, match="two embeddings"):
        uniformity(torch.randn(1, 3))


def test_tolerance_by_the_slow_formula():
    x, labels = torch.randn(30, 5, dtype=torch.float64), torch.arange(30) % 4 - 1  # a class is unknown
    z = F.normalize(x[labels >= 0], dim=1)
    known = labels[labels >= 0]
    cosines = z @ z.T
    pairs = ~torch.eye(len(z), dtype=torch.bool)
    alike = (known[:, None] == known) & pairs
    assert tolerance(3 * x, labels) == pytest.approx(float(cosines[alike].mean()), abs=1e-12)
    assert tolerance(x, labels, joint=True) == pytest.approx(float((cosines * alike)[pairs].mean()), abs=1e-12)


def test_tolerance_of_classes_that_are_points_is_one_and_pairless_ones_have_none():
    x, labels = torch.eye(3).repeat_interleave(4, dim=0), torch.arange(3).repeat_interleave(4)
    assert tolerance(x, labels) == pytest.approx(1)
    assert tolerance(x, labels, joint=True) == pytest.approx(3 * 12 / (12 * 11))
    assert math.isnan(tolerance(torch.eye(3), torch.arange(3)))
