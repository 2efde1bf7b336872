"""Both terms of InvaSpread against the probabilities written out; what the second adds, and what is constant in it."""

import math
from importlib import import_module

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import inva_spread, nt_xent

module = import_module("unlabel.losses.inva_spread")  # whose name in the package is the function


def pair(b: int = 5, d: int = 4) -> tuple[Tensor, Tensor]:
    return torch.randn(b, d, dtype=torch.float64), torch.randn(b, d, dtype=torch.float64)


def probabilities(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """P [2B, 2B], the matrix as the formula has it."""
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    weights = (z @ z.T / temperature).exp()
    weights = weights - torch.diag(torch.diagonal(weights))
    return weights / weights.sum(dim=1, keepdim=True)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_terms_are_the_formula(temperature: float) -> None:
    z1, z2 = pair()
    p = probabilities(z1, z2, temperature)
    n, b = len(p), len(z1)
    invariance, spread = inva_spread(z1, z2, temperature=temperature)
    found = sum(-math.log(p[i, (i + b) % n]) for i in range(n)) / n
    others = sum(-math.log1p(-float(p[i, j])) for i in range(n) for j in range(n) if j % b != i % b) / n
    assert invariance.item() == pytest.approx(found, rel=1e-12)
    assert spread.item() == pytest.approx(others, rel=1e-11)


def released(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """The authors' criterion as it computes: products over all other rows, the positive's factor divided out again."""
    p = probabilities(z1, z2, temperature)
    positive = p.gather(1, torch.arange(len(p)).roll(len(z1))[:, None]).log().sum()
    negative = (1 - p).log().sum(dim=1) - (1 - p.gather(1, torch.arange(len(p)).roll(len(z1))[:, None])[:, 0]).log()
    return -(positive + negative.sum()) / len(p)


def test_sum_is_the_authors_criterion() -> None:
    z1, z2 = pair()
    assert sum(inva_spread(z1, z2, temperature=0.3)).item() == pytest.approx(released(z1, z2, 0.3).item(), rel=1e-11)


def test_first_term_is_nt_xent_and_lightlys() -> None:
    z1, z2 = pair()
    invariance, _ = inva_spread(z1, z2, temperature=0.1)
    assert invariance.item() == pytest.approx(nt_xent(z1, z2, temperature=0.1).item(), rel=1e-12)
    lightly = pytest.importorskip("lightly.loss")
    assert invariance.item() == pytest.approx(lightly.NTXentLoss(temperature=0.1)(z1, z2).item(), rel=1e-10)


@pytest.mark.parametrize("b", [2, 4, 9])
def test_value_of_collapse(b: int) -> None:
    z = torch.ones(b, 3, dtype=torch.float64)
    total = sum(inva_spread(z, z)).item()
    assert total == pytest.approx(math.log(2 * b - 1) - (2 * b - 2) * math.log(1 - 1 / (2 * b - 1)), rel=1e-12)
    if b == 4:
        assert total == pytest.approx(2.870814, abs=5e-7)


def test_second_term_is_positive_and_vanishes_when_all_are_told_apart() -> None:
    z1, z2 = pair()
    assert inva_spread(z1, z2)[1].item() > 0
    solved = torch.eye(5, dtype=torch.float64)
    assert [inva_spread(solved, solved, temperature=t)[1].item() for t in (0.02, 0.05)] == pytest.approx(
        [0, 0], abs=1e-7
    )
    assert inva_spread(solved, solved, temperature=1.0)[1].item() > 0.1


def test_detaching_changes_the_gradient_and_not_the_value() -> None:
    gradients, values = [], []
    start = pair()
    for detach in (True, False):
        z1, z2 = (z.clone().requires_grad_() for z in start)
        loss = sum(inva_spread(z1, z2, detach_others=detach))
        loss.backward()
        values.append(loss.item())
        gradients.append(z1.grad)
    assert values[0] == pytest.approx(values[1], rel=1e-14)
    assert (gradients[0] - gradients[1]).abs().max() > 1e-3


def test_detached_gradient_is_that_of_anchors_alone() -> None:
    start = F.normalize(torch.cat(pair()), dim=1)
    anchors = start.clone().requires_grad_()
    s = F.normalize(anchors, dim=1) @ start.T / 0.2
    s = s.masked_fill(torch.eye(len(s), dtype=torch.bool), -torch.inf)
    log_p = s.log_softmax(dim=1)
    rows = torch.arange(len(s))
    others = rows[:, None] % 5 != rows % 5
    expected = -(log_p[rows, rows.roll(5)].sum() + torch.log1p(-log_p.exp())[others].sum()) / len(s)
    expected.backward()
    z = start.clone().requires_grad_()
    sum(inva_spread(*z.chunk(2), temperature=0.2)).backward()
    torch.testing.assert_close(z.grad, anchors.grad, rtol=1e-9, atol=1e-12)


def test_gradients() -> None:
    z1, z2 = (z.requires_grad_() for z in pair(3, 4))
    assert gradcheck(lambda a, b: inva_spread(a, b, temperature=0.4, detach_others=False), (z1, z2))


@pytest.mark.parametrize("detach", [True, False])
def test_a_few_rows_at_a_time_are_the_same(monkeypatch: pytest.MonkeyPatch, detach: bool) -> None:
    start, found = pair(8, 5), []
    for rows in (16, 3):
        monkeypatch.setattr(module, "ROWS", rows)
        z1, z2 = (z.clone().requires_grad_() for z in start)
        loss = sum(inva_spread(z1, z2, detach_others=detach))
        loss.backward()
        found.append((loss.detach(), z1.grad, z2.grad))
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(whole, parts, rtol=1e-11, atol=1e-14)


def test_a_certain_mistake_is_finite() -> None:
    """Two images with one embedding, at a temperature at which a probability rounds to 1."""
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).requires_grad_()
    apart = torch.tensor([[-1.0, 0.0], [-1.0, 0.1], [0.0, -1.0]])
    loss = sum(inva_spread(z, apart, temperature=0.01))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(z.grad).all()


def test_half_precision_is_compared_in_float32() -> None:
    z1, z2 = (z.bfloat16() for z in pair())
    with torch.autocast("cpu", torch.bfloat16):
        invariance, spread = inva_spread(z1, z2)
    assert invariance.dtype == spread.dtype == torch.float32
    assert spread.item() == pytest.approx(inva_spread(z1.double(), z2.double())[1].item(), rel=1e-4)


def test_one_image_is_refused() -> None:
    with pytest.raises(ValueError, match="two at least"):
        inva_spread(torch.randn(1, 4), torch.randn(1, 4))
