"""Both directions of the cross-entropy between two kinds of vectors, against torch's own and in closed form."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import matching

TAU = 0.07


def pair(n: int = 7, d: int = 5) -> tuple[Tensor, Tensor]:
    return torch.randn(n, d, dtype=torch.float64), torch.randn(n, d, dtype=torch.float64)


def logits(x: Tensor, y: Tensor, temperature: float | Tensor) -> Tensor:
    return F.normalize(x, dim=1) @ F.normalize(y, dim=1).T / temperature


@pytest.mark.parametrize("temperature", [0.01, TAU, 1.0])
def test_it_is_two_cross_entropies(temperature: float) -> None:
    x, y = pair()
    s, diagonal = logits(x, y, temperature), torch.arange(7)
    expected = (F.cross_entropy(s, diagonal) + F.cross_entropy(s.T, diagonal)) / 2
    assert matching(x, y, temperature=temperature).item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("n", [2, 9])
def test_equal_vectors_give_log_n(n: int) -> None:
    same = torch.ones(n, 4, dtype=torch.float64)
    assert matching(same, same, temperature=TAU).item() == pytest.approx(math.log(n), rel=1e-13)


def test_both_kinds_on_a_simplex() -> None:
    simplex = torch.eye(8, dtype=torch.float64) - 1 / 8  # cosines -1/7
    for tau in (0.5, 0.2):
        expected = math.log1p(7 * math.exp(-8 / (7 * tau)))
        assert matching(simplex, simplex, temperature=tau).item() == pytest.approx(expected, rel=1e-12)
    assert matching(simplex, simplex, temperature=0.5).item() == pytest.approx(0.537610, abs=5e-7)


def test_perfect_pairs_lose_nothing_as_the_scale_grows() -> None:
    x = torch.eye(6, dtype=torch.float64)
    assert matching(x, x, temperature=0.01).item() == pytest.approx(0, abs=1e-40)


def test_kinds_may_be_swapped_and_pairs_put_in_another_order_together() -> None:
    x, y = pair()
    loss = matching(x, y, temperature=TAU).item()
    order = torch.randperm(7)
    assert matching(y, x, temperature=TAU).item() == pytest.approx(loss, rel=1e-13)
    assert matching(x[order], y[order], temperature=TAU).item() == pytest.approx(loss, rel=1e-13)
    assert matching(3 * x, y / 7, temperature=TAU).item() == pytest.approx(loss, rel=1e-13)
    assert abs(matching(x[order], y, temperature=TAU).item() - loss) > 1e-3


def test_gradient_of_the_scale_is_what_negatives_outweigh() -> None:
    """dL/dt = e^t sum_ij (P - Y)_ij cos_ij / n, the mean of rows and columns, for the scale e^t."""
    x, y = pair()
    t = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    matching(x, y, temperature=(-t).exp()).backward()
    cosine = logits(x, y, 1.0)
    s = cosine * t.detach().exp()
    moved = sum((p - torch.eye(7, dtype=torch.float64)).mul(cosine).sum() for p in (s.softmax(1), s.softmax(0))) / 2
    assert t.grad.item() == pytest.approx((t.detach().exp() * moved / 7).item(), rel=1e-10)
    confused = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    matching(x, x.roll(1, dims=0), temperature=(-confused).exp()).backward()  # each finds another's partner
    assert confused.grad > 0  # the scale shrinks


def test_gradients() -> None:
    x, y = (z.requires_grad_() for z in pair(4, 3))
    t = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda a, b, c: matching(a, b, temperature=(-c).exp()), (x, y, t))


def test_the_same_text_twice_makes_both_images_equally_likely() -> None:
    """So captions that are alike need no treatment of their own: value and gradient are those of soft targets."""
    names = torch.tensor([4, 2, 4, 0, 2, 4])
    x, texts = pair(6)
    x, texts = x.requires_grad_(), texts.requires_grad_()
    y = texts[names]
    target = (names[:, None] == names).double()
    target /= target.sum(dim=1, keepdim=True)
    s = logits(x, y, TAU)
    soft = (F.cross_entropy(s, target) + F.cross_entropy(s.T, target)) / 2
    ours = matching(x, y, temperature=TAU)
    assert ours.item() == pytest.approx(soft.item(), rel=1e-12)
    ways = [torch.autograd.grad(loss, (x, texts), retain_graph=True) for loss in (ours, soft)]
    for a, b in zip(*ways, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
