import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import distillation


def logits(b: int = 4, k: int = 5) -> Tensor:
    return 2 * torch.randn(b, k, dtype=torch.float64)


@pytest.mark.parametrize("tau", [0.5, 1.0, 4.0])
def test_is_torchs_divergence_plus_the_teachers_entropy(tau: float) -> None:
    t, s = logits(), logits()
    p = (t / tau).softmax(dim=1)
    kl = F.kl_div((s / tau).log_softmax(dim=1), p, reduction="batchmean")
    entropy = -(p * p.log()).sum(dim=1).mean()
    expected = tau**2 * (kl + entropy)
    assert distillation(t, s, temperature=tau).item() == pytest.approx(expected.item(), rel=1e-13)


@pytest.mark.parametrize("tau", [0.5, 1.0, 4.0])
def test_a_student_that_says_the_same_has_no_gradient_and_the_entropy_for_loss(tau: float) -> None:
    t = logits()
    s = (t + torch.randn(4, 1, dtype=torch.float64)).requires_grad_()  # a constant changes nothing that is said
    loss = distillation(t, s, temperature=tau)
    loss.backward()
    p = (t / tau).softmax(dim=1)
    assert loss.item() == pytest.approx(tau**2 * -(p * p.log()).sum(dim=1).mean().item(), rel=1e-13)
    assert s.grad.abs().max() < 1e-15


def test_at_high_temperature_it_pulls_logits_together() -> None:
    t, s = logits(), logits().requires_grad_()
    distillation(t, s, temperature=1e5).backward()
    apart = s.detach() - t
    expected = (apart - apart.mean(dim=1, keepdim=True)) / t.shape[1] / len(t)
    torch.testing.assert_close(s.grad, expected, rtol=1e-4, atol=1e-7)


def test_the_teacher_gets_no_gradient() -> None:
    t, s = logits().requires_grad_(), logits().requires_grad_()
    distillation(t, s, temperature=2.0).backward()
    assert t.grad is None and s.grad.abs().max() > 0


def test_a_student_that_says_nothing_costs_log_k() -> None:
    t = logits(k=7)
    assert distillation(t, torch.zeros_like(t), temperature=3).item() == pytest.approx(9 * math.log(7), rel=1e-13)


def test_gradients_and_precision() -> None:
    t, s = logits(), logits().requires_grad_()
    assert gradcheck(lambda s: distillation(t, s, temperature=2.0), (s,))
    half = distillation(t.bfloat16(), s.detach().bfloat16(), temperature=2.0)
    exact = distillation(t.bfloat16().double(), s.detach().bfloat16().double(), temperature=2.0)
    assert half.dtype == torch.float32 and half.item() == pytest.approx(exact.item(), rel=1e-5)
