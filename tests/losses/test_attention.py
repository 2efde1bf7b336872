import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import attention_loss


def maps(b: int = 4) -> tuple[Tensor, Tensor]:
    return torch.rand(b, 3, 5, dtype=torch.float64), torch.rand(b, 3, 5, dtype=torch.float64)


def test_it_is_the_formula() -> None:
    g, m = maps()
    each = [1 - float((a * b).sum() / (a.norm() * b.norm())) for a, b in zip(g, m, strict=True)]
    assert attention_loss(g, m).item() == pytest.approx(sum(each) / 4, rel=1e-13)
    whole = 1 - float((g * m).sum() / (g.norm() * m.norm()))
    assert attention_loss(g, m, together=True).item() == pytest.approx(whole, rel=1e-13)
    assert abs(whole - sum(each) / 4) > 1e-4


@given(st.integers(0, 10_000), st.booleans())
@settings(deadline=None, max_examples=50)
def test_it_lies_between_0_and_1_for_maps_that_are_not_negative(seed: int, together: bool) -> None:
    torch.manual_seed(seed)
    g, m = maps()
    g, m = g * (torch.rand_like(g) > 0.7), m * (torch.rand_like(m) > 0.7)
    assert -1e-12 <= attention_loss(g, m, together=together).item() <= 1


def test_it_is_0_where_and_only_where_maps_are_proportional() -> None:
    g, _ = maps()
    factors = torch.tensor([0.1, 1.0, 7.0, 30.0], dtype=torch.float64)[:, None, None]
    assert attention_loss(g, factors * g).item() == pytest.approx(0, abs=1e-14)
    assert attention_loss(g, 3 * g, together=True).item() == pytest.approx(0, abs=1e-14)
    assert attention_loss(g, factors * g, together=True).item() > 0.01  # one factor for all images
    nearly = g.clone()
    nearly[2, 1, 1] += 0.1
    assert attention_loss(g, nearly).item() > 1e-5


def test_maps_apart_cost_1() -> None:
    g, m = torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)
    g[0, 0, 0], m[0, 1, 1] = 1, 1
    assert attention_loss(g, m).item() == 1


@pytest.mark.parametrize("together", [False, True])
def test_gradient(together: bool) -> None:
    g, m = maps(2)
    assert gradcheck(lambda x: attention_loss(x, m, together=together), (g.requires_grad_(),))


def test_no_attention_and_no_object_cost_1_and_have_finite_gradients() -> None:
    for g, m in ((torch.zeros(2, 3, 3), torch.rand(2, 3, 3)), (torch.rand(2, 3, 3), torch.zeros(2, 3, 3))):
        g.requires_grad_()
        loss = attention_loss(g, m)
        loss.backward()
        assert loss.item() == 1 and g.grad.isfinite().all() and g.grad.abs().max() < 10


def test_half_precision_is_compared_in_float32() -> None:
    g, m = (x.bfloat16() for x in maps())
    loss = attention_loss(g, m)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(attention_loss(g.double(), m.double()).item(), rel=1e-5)
