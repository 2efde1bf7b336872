import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import blockwise, info_nce, nt_xent


def slow_nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> float:
    """The formula, pair by pair, in Python numbers."""
    z = [row / row.norm() for row in torch.cat([z1, z2]).double()]
    n, b = len(z), len(z1)
    total = 0.0
    for i in range(n):
        positive = float(z[i] @ z[(i + b) % n]) / temperature
        others = [float(z[i] @ z[k]) / temperature for k in range(n) if k != i]
        total += -positive + math.log(sum(math.exp(s) for s in others))
    return total / n


def pair(b: int = 6, d: int = 5) -> tuple[Tensor, Tensor]:
    return torch.randn(b, d, dtype=torch.float64), torch.randn(b, d, dtype=torch.float64)


@pytest.mark.parametrize("temperature", [0.07, 0.5, 3.0])
def test_nt_xent_is_the_formula(temperature: float) -> None:
    z1, z2 = pair()
    loss = nt_xent(z1, z2, temperature=temperature)
    assert loss.item() == pytest.approx(slow_nt_xent(z1, z2, temperature), rel=1e-13)


@pytest.mark.parametrize("b", [2, 7])
def test_nt_xent_of_collapsed_embeddings_is_log_2b_minus_1(b: int) -> None:
    z = torch.ones(b, 3, dtype=torch.float64)
    assert nt_xent(z, z, temperature=0.1).item() == pytest.approx(math.log(2 * b - 1), rel=1e-14)


def test_nt_xent_of_two_solved_images() -> None:
    z = torch.eye(2, dtype=torch.float64)  # positives identical, images orthogonal
    assert nt_xent(z, z, temperature=0.5).item() == pytest.approx(math.log1p(2 * math.exp(-2)), rel=1e-13)
    assert nt_xent(z, z, temperature=0.5).item() == pytest.approx(0.239545, abs=5e-7)


def test_nt_xent_does_not_see_scale_order_of_views_or_order_of_images() -> None:
    z1, z2 = pair()
    loss = nt_xent(z1, z2, temperature=0.2)
    scale = torch.rand(6, 1, dtype=torch.float64) + 0.1
    order = torch.randperm(6)
    for same in (
        nt_xent(z1 * scale, z2 / scale, temperature=0.2),
        nt_xent(z2, z1, temperature=0.2),
        nt_xent(z1[order], z2[order], temperature=0.2),
    ):
        assert same.item() == pytest.approx(loss.item(), rel=1e-13)
    assert abs(nt_xent(z1[order], z2, temperature=0.2).item() - loss.item()) > 1e-3  # other positives


def test_nt_xent_gradient() -> None:
    z1, z2 = (z.requires_grad_() for z in pair(3, 4))
    assert gradcheck(lambda a, b: nt_xent(a, b, temperature=0.3), (z1, z2))


def test_nt_xent_gradient_is_tangent_to_the_sphere() -> None:
    z1, z2 = pair()
    z1.requires_grad_()
    nt_xent(z1, z2, temperature=0.2).backward()
    assert (z1 * z1.grad).sum(dim=1).abs().max() < 1e-14


def test_nt_xent_agrees_with_lightly() -> None:
    lightly = pytest.importorskip("lightly.loss")
    z1, z2 = pair()
    theirs = lightly.NTXentLoss(temperature=0.5)(z1, z2)
    assert nt_xent(z1, z2, temperature=0.5).item() == pytest.approx(theirs.item(), rel=1e-12)


def test_nt_xent_agrees_with_pytorch_metric_learning() -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    z1, z2 = pair()
    ours = nt_xent(z1, z2, temperature=0.2).item()
    for theirs in (losses.NTXentLoss(temperature=0.2), losses.SupConLoss(temperature=0.2)):
        assert ours == pytest.approx(losses.SelfSupervisedLoss(theirs)(z1, z2).item(), rel=1e-13)


def test_half_precision_is_compared_in_float32() -> None:
    z1, z2 = (z.bfloat16() for z in pair())
    with torch.autocast("cpu", torch.bfloat16):
        loss = nt_xent(z1, z2, temperature=0.05)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(slow_nt_xent(z1, z2, 0.05), rel=1e-5)


def test_small_temperatures_stay_finite() -> None:
    z1, z2 = (z.float().requires_grad_() for z in pair())
    loss = nt_xent(z1, z2, temperature=0.001)
    loss.backward()
    assert loss.isfinite() and z1.grad.isfinite().all()


# ------------------------------------------------------------------ the kernel


def test_info_nce_is_cross_entropy_row_by_row() -> None:
    a, c = torch.randn(4, 5, dtype=torch.float64), torch.randn(9, 5, dtype=torch.float64)
    positive = torch.tensor([8, 0, 3, 3])
    rows = info_nce(a, c, positive, temperature=0.7)
    expected = F.cross_entropy(a @ c.T / 0.7, positive, reduction="none")
    torch.testing.assert_close(rows, expected, rtol=1e-13, atol=0)


def test_cross_view_form_at_the_simplex() -> None:
    b = 8  # b points on the sphere, as far from each other as can be: all cosines are -1/(b - 1)
    centred = torch.eye(b, dtype=torch.float64) - 1 / b
    z = F.normalize(centred, dim=1)
    rows = info_nce(z, z, torch.arange(b), temperature=0.5)
    expected = math.log1p((b - 1) * math.exp(-b / ((b - 1) * 0.5)))
    assert rows.mean().item() == pytest.approx(expected, rel=1e-13)
    assert expected == pytest.approx(0.537610, abs=5e-7)


def test_decoupled_form_and_its_identity() -> None:
    """InfoNCE = softplus(DCL) where DCL leaves the positive out of the denominator (arXiv 2110.06848)."""
    z = F.normalize(torch.randn(8, 3, dtype=torch.float64), dim=1)
    positive = torch.arange(8).roll(4)
    rows = torch.arange(8)
    coupled = info_nce(z, z, positive, temperature=0.2, same=(rows, rows))
    decoupled = info_nce(z, z, positive, temperature=0.2, same=(rows % 4, rows % 4))
    torch.testing.assert_close(coupled, F.softplus(decoupled), rtol=1e-12, atol=1e-14)


def test_gradients_over_all_candidates_sum_to_zero() -> None:
    """d/ds_j = p_j/tau and −(1 − p)/tau at the positive, so each row's gradients add up to 0."""
    a = torch.eye(4, dtype=torch.float64)  # then the logits are the candidates' coordinates
    c = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    positive = torch.tensor([0, 1, 2, 3])
    info_nce(a, c, positive, temperature=0.25).sum().backward()
    p = (c.detach() / 0.25).softmax(dim=0)  # column i: row i's probabilities
    expected = p / 0.25
    expected[positive, torch.arange(4)] -= 1 / 0.25
    torch.testing.assert_close(c.grad, expected, rtol=1e-12, atol=1e-13)
    assert c.grad.sum(dim=0).abs().max() < 1e-13


def test_learnt_temperature_gets_its_gradient() -> None:
    a, c = torch.randn(3, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    t = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda t: info_nce(a, c, torch.tensor([0, 1, 2]), temperature=t), (t,))


@pytest.mark.parametrize("whole", [True, False])
def test_candidates_that_are_left_out_get_no_gradient(whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blockwise, "held_whole", lambda *_: whole)
    a = torch.randn(2, 3, dtype=torch.float64)
    c = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    names = (torch.tensor([7, 7]), torch.tensor([0, 1, 2, 7]))
    info_nce(a, c, torch.tensor([0, 1]), temperature=0.1, same=names).sum().backward()
    assert c.grad[3].abs().max() == 0 and c.grad[2].abs().max() > 0
