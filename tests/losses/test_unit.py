"""Rows of length one, with torch's gradient."""

import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from unlabel.losses.unit import unit


def test_is_torchs_normalisation_with_its_gradient() -> None:
    x = (5 * torch.randn(7, 4, dtype=torch.float64)).requires_grad_()
    weights = torch.randn(7, 4, dtype=torch.float64)
    (ours,) = torch.autograd.grad((unit(x) * weights).sum(), x)
    (theirs,) = torch.autograd.grad((F.normalize(x, dim=1) * weights).sum(), x)
    torch.testing.assert_close(unit(x), F.normalize(x, dim=1), rtol=1e-15, atol=0)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_gradients_of_both_orders_are_those_of_finite_differences() -> None:
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(unit, (x,)) and gradgradcheck(unit, (x,))


def test_a_row_of_zeros_stays_finite() -> None:
    x = torch.zeros(2, 3, requires_grad=True)
    unit(x).sum().backward()
    assert not unit(x).any() and torch.isfinite(x.grad).all()


def test_half_precision_is_widened() -> None:
    x = torch.randn(3, 8).bfloat16()
    torch.testing.assert_close(unit(x), F.normalize(x.float(), dim=1))
    assert unit(x).dtype == torch.float32
