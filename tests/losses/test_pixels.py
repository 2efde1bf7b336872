import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import cosine_regression, info_nce, pixel_consistency, pixel_nce


def places(b: int = 3, n: int = 5, m: int = 6, d: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Features of both views, and positives with images, rows and columns of many and of none."""
    x, y = torch.randn(b, n, d, dtype=torch.float64), torch.randn(b, m, d, dtype=torch.float64)
    positive = torch.rand(b, n, m) < 0.4
    positive[0, 1] = False
    positive[-1] = False
    return x, y, positive


def slow_nce(x: Tensor, y: Tensor, positive: Tensor, tau: float) -> list[float]:
    """The formula, place by place, in Python numbers."""
    found = []
    for b in range(len(x)):
        each = []
        for i in range(x.shape[1]):
            e = [math.exp(float(F.cosine_similarity(x[b, i], y[b, j], dim=0)) / tau) for j in range(y.shape[1])]
            same = [e[j] for j in range(y.shape[1]) if positive[b, i, j]]
            if same:
                each.append(-math.log(sum(same) / sum(e)))
        found.append(sum(each) / len(each) if each else 0.0)
    return found


@pytest.mark.parametrize("tau", [0.07, 0.3, 2.0])
def test_nce_is_the_formula_place_by_place(tau: float) -> None:
    x, y, positive = places()
    assert pixel_nce(x, y, positive, temperature=tau).tolist() == pytest.approx(
        slow_nce(x, y, positive, tau), rel=1e-12
    )


def test_with_one_positive_each_it_is_info_nce() -> None:
    x, y, _ = places(b=1, m=5)
    x, y = F.normalize(x, dim=2), F.normalize(y, dim=2)
    order = torch.randperm(5)
    rows = info_nce(x[0], y[0], order, temperature=0.3)
    assert pixel_nce(x, y, F.one_hot(order, 5)[None].bool()).item() == pytest.approx(rows.mean().item(), rel=1e-12)


def test_equal_features_cost_log_of_the_share_of_positives() -> None:
    _, _, positive = places()
    positive[:, :, 0] = True
    same = torch.ones(3, 1, 4, dtype=torch.float64)
    expected = (6 / positive.sum(dim=2).double()).log().mean(dim=1)
    torch.testing.assert_close(pixel_nce(same.expand(-1, 5, -1), same.expand(-1, 6, -1), positive), expected)


def test_everything_positive_costs_nothing() -> None:
    x, y, positive = places()
    assert pixel_nce(x, y, torch.ones_like(positive)).abs().max() < 1e-15


def test_places_and_images_without_positives_cost_and_move_nothing() -> None:
    x, y, positive = places()
    x, y = x.requires_grad_(), y.requires_grad_()
    loss = pixel_nce(x, y, positive)
    assert loss[-1] == 0
    loss.sum().backward()
    assert x.grad.isfinite().all() and y.grad.isfinite().all()
    assert x.grad[0, 1].abs().max() == 0 and x.grad[0, 0].abs().max() > 0
    assert x.grad[-1].abs().max() == y.grad[-1].abs().max() == 0


def test_the_other_direction_is_that_of_exchanged_views() -> None:
    x, y, positive = places()
    both = pixel_nce(x, y, positive) + pixel_nce(y, x, positive.mT)
    torch.testing.assert_close(both, pixel_nce(y, x, positive.mT) + pixel_nce(x, y, positive), rtol=0, atol=0)
    assert (pixel_nce(x, y, positive) - pixel_nce(y, x, positive.mT))[:-1].abs().max() > 1e-3


def test_small_temperatures_stay_finite() -> None:
    x, y, positive = places()
    x = x.float().requires_grad_()
    loss = pixel_nce(x, y.float(), positive, temperature=1e-3)
    loss.sum().backward()
    assert loss.isfinite().all() and x.grad.isfinite().all()


@pytest.mark.parametrize("objective", [pixel_nce, pixel_consistency])
def test_gradients(objective) -> None:
    x, y, positive = places(b=2, n=3, m=3)
    x, y = x.requires_grad_(), y.requires_grad_()
    assert gradcheck(lambda a, b: objective(a, b, positive), (x, y))
    objective(x, y, positive).sum().backward()
    assert (x * x.grad).sum(dim=2).abs().max() < 1e-14  # tangent to the sphere: lengths do not matter


@pytest.mark.parametrize("objective", [pixel_nce, pixel_consistency])
def test_half_precision_is_compared_in_float32(objective) -> None:
    x, y, positive = places()
    with torch.autocast("cpu", torch.bfloat16):
        low = objective(x.bfloat16(), y.bfloat16(), positive)
    assert low.dtype == torch.float32
    exact = objective(x.bfloat16().double(), y.bfloat16().double(), positive)
    torch.testing.assert_close(low.double(), exact, rtol=1e-5, atol=1e-6)


def test_consistency_is_the_mean_cosine_of_the_pairs() -> None:
    x, y, positive = places()
    expected = []
    for b in range(3):
        pairs = [(i, j) for i in range(5) for j in range(6) if positive[b, i, j]]
        cosines = [float(F.cosine_similarity(x[b, i], y[b, j], dim=0)) for i, j in pairs]
        expected.append(-sum(cosines) / len(cosines) if pairs else 0.0)
    assert pixel_consistency(x, y, positive).tolist() == pytest.approx(expected, rel=1e-12)


def test_perfect_agreement_is_minus_one_and_nothing_in_common_zero() -> None:
    x, _, positive = places(m=5)
    itself = torch.eye(5, dtype=torch.bool).expand(3, 5, 5)
    torch.testing.assert_close(pixel_consistency(x, 7 * x, itself), torch.full((3,), -1.0, dtype=torch.float64))
    assert pixel_consistency(x, x, torch.zeros_like(positive)).tolist() == [0, 0, 0]


def test_one_place_is_regression_of_unit_vectors() -> None:
    x, y = torch.randn(3, 1, 4).double(), torch.randn(3, 1, 4).double()
    mean = pixel_consistency(x, y, torch.ones(3, 1, 1, dtype=torch.bool)).mean()
    assert 2 + 2 * mean.item() == pytest.approx(cosine_regression(x[:, 0], y[:, 0]).item(), rel=1e-12)
