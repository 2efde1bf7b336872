import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import soft_cross_entropy, swapped_cross_entropy


def distribution(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64).softmax(dim=-1)


def slow_pair(p: Tensor, s: Tensor, temperature: float) -> float:
    """mean_b −Σ_k P log softmax, number by number."""
    total = 0.0
    for b in range(len(p)):
        z = sum(math.exp(float(x) / temperature) for x in s[b])
        total -= sum(float(p[b, k]) * (float(s[b, k]) / temperature - math.log(z)) for k in range(p.shape[1]))
    return total / len(p)


def test_single_view_is_the_formula() -> None:
    p, s = distribution(3, 4), torch.randn(3, 4, dtype=torch.float64)
    assert soft_cross_entropy(p, s, temperature=0.3).item() == pytest.approx(slow_pair(p, s, 0.3), rel=1e-13)


@pytest.mark.parametrize("views", [2, 5])
def test_swapped_is_the_mean_over_pairs_of_different_views(views: int) -> None:
    p, s = distribution(2, 3, 4), torch.randn(views, 3, 4, dtype=torch.float64)
    pairs = [slow_pair(p[u], s[v], 0.2) for u in range(2) for v in range(views) if v != u]
    assert len(pairs) == 2 * views - 2
    loss = swapped_cross_entropy(p, s, temperature=0.2)
    assert loss.item() == pytest.approx(sum(pairs) / len(pairs), rel=1e-13)


def test_same_view_pairs_do_not_count() -> None:
    """With targets for one view only, that view's own logits get no gradient."""
    p = distribution(1, 3, 4)
    s = torch.randn(3, 3, 4, dtype=torch.float64, requires_grad=True)
    swapped_cross_entropy(p, s, temperature=0.2).backward()
    assert s.grad[0].abs().max() == 0
    assert s.grad[1].abs().max() > 0 and s.grad[2].abs().max() > 0


def test_order_of_views_without_targets_does_not_matter() -> None:
    p, s = distribution(2, 3, 4), torch.randn(6, 3, 4, dtype=torch.float64)
    shuffled = s[[0, 1, 4, 2, 5, 3]]
    a, b = (swapped_cross_entropy(p, x, temperature=0.2).item() for x in (s, shuffled))
    assert a == pytest.approx(b, rel=1e-14)


def test_equal_logits_cost_log_k_whatever_the_target() -> None:
    s = torch.zeros(4, 3, 16, dtype=torch.float64)
    loss = swapped_cross_entropy(distribution(2, 3, 16), s, temperature=0.1)
    assert loss.item() == pytest.approx(math.log(16), rel=1e-14)


def test_a_constant_added_to_all_logits_changes_nothing() -> None:
    p, s = distribution(2, 3, 4), torch.randn(4, 3, 4, dtype=torch.float64)
    shift = torch.randn(4, 3, 1, dtype=torch.float64)
    a, b = (swapped_cross_entropy(p, x, temperature=0.1).item() for x in (s, s + shift))
    assert a == pytest.approx(b, rel=1e-13)


def test_gradient_vanishes_at_the_target_and_the_value_is_its_entropy() -> None:
    s = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    p = (s.detach() / 0.5).softmax(dim=-1)
    loss = soft_cross_entropy(p, s, temperature=0.5)
    loss.backward()
    assert loss.item() == pytest.approx(-(p * p.log()).sum(dim=-1).mean().item(), rel=1e-13)
    assert s.grad.abs().max() < 1e-15


def test_gradients() -> None:
    p = distribution(2, 3, 4)
    s = torch.randn(3, 3, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda s: swapped_cross_entropy(p, s, temperature=0.4), (s,))
    assert gradcheck(lambda s: soft_cross_entropy(p[0], s, temperature=0.4), (s[0].detach().requires_grad_(),))


def test_half_precision_is_summed_in_float32() -> None:
    p, s = distribution(2, 3, 64).float(), torch.randn(2, 3, 64).bfloat16()
    exact = swapped_cross_entropy(p.double(), s.double(), temperature=0.1).item()
    with torch.autocast("cpu", torch.bfloat16):
        loss = swapped_cross_entropy(p, s, temperature=0.1)
        single = soft_cross_entropy(p[0], s[0], temperature=0.1)
    assert loss.dtype == single.dtype == torch.float32
    assert loss.item() == pytest.approx(exact, rel=1e-5)
