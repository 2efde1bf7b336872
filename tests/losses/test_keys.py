"""Objectives of queries against keys: closed forms, slow formulas, other libraries."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import blockwise, info_nce, key_info_nce, queue_info_nce, weak_to_strong


def rows(n: int, d: int = 5, *, unit: bool = False) -> Tensor:
    x = torch.randn(n, d, dtype=torch.float64)
    return F.normalize(x, dim=1) if unit else x


def cosines(a: Tensor, b: Tensor) -> Tensor:
    return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T


# ------------------------------------------------------------------ a queue


@pytest.mark.parametrize("temperature", [0.01, 0.07, 1.0])
def test_queue_is_cross_entropy_with_the_own_key_in_front(temperature: float) -> None:
    q, k, queue = rows(4), rows(4), rows(9, unit=True)
    logits = torch.cat([cosines(q, k).diagonal()[:, None], cosines(q, queue)], dim=1) / temperature
    expected = F.cross_entropy(logits, torch.zeros(4, dtype=torch.int64))
    assert queue_info_nce(q, k, queue, temperature=temperature).item() == pytest.approx(expected.item(), rel=1e-12)


def test_queue_agrees_with_lightly() -> None:
    lightly = pytest.importorskip("lightly.loss")
    q, k, queue = rows(4).float(), rows(4).float(), rows(8, unit=True).float()
    theirs = lightly.NTXentLoss(temperature=0.1, memory_bank_size=(8, 5))
    theirs.memory_bank.bank = queue.clone()
    ours = queue_info_nce(q, k, queue, temperature=0.1)
    assert ours.item() == pytest.approx(theirs(q, k).item(), rel=1e-5)


@pytest.mark.parametrize("length", [1, 8])
def test_queue_of_equal_rows_costs_log_of_one_plus_k(length: int) -> None:
    same = F.normalize(torch.ones(length, 3, dtype=torch.float64), dim=1)
    loss = queue_info_nce(same[:1], same[:1], same, temperature=0.07)
    assert loss.item() == pytest.approx(math.log(1 + length), rel=1e-13)


def test_queue_at_small_temperature_is_the_margin_to_the_hardest_key() -> None:
    q, k, queue = rows(4), rows(4), rows(9, unit=True)
    margin = (cosines(q, queue).amax(dim=1) - cosines(q, k).diagonal()).clamp(min=0).mean()
    assert (1e-3 * queue_info_nce(q, k, queue, temperature=1e-3)).item() == pytest.approx(margin.item(), abs=1e-3)


def test_queue_gradient_reaches_queries_and_pushes_as_softmax_says() -> None:
    k, queue = rows(3), rows(6, unit=True)
    assert gradcheck(lambda q: queue_info_nce(q, k, queue, temperature=0.3), (rows(3).requires_grad_(),))


def test_tiles_are_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, queue = rows(7).requires_grad_(), rows(7), rows(11, unit=True)
    found = []
    for tile in (1024, 4):
        monkeypatch.setattr(blockwise, "TILE", tile)
        loss = queue_info_nce(q, k, queue, temperature=0.2)
        found.append((loss.item(), torch.autograd.grad(loss, q)[0]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-13)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-11, atol=1e-14)


def test_a_whole_matrix_is_the_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """As accelerators do it below a size."""
    q, s, k, queue = rows(4), rows(4), rows(4), rows(9, unit=True)
    tiles = queue_info_nce(q, k, queue, temperature=0.2), *weak_to_strong(s, q, queue, temperature=0.2)
    monkeypatch.setattr(blockwise, "held_whole", lambda a, c: True)
    whole = queue_info_nce(q, k, queue, temperature=0.2), *weak_to_strong(s, q, queue, temperature=0.2)
    torch.testing.assert_close(tiles, whole, rtol=1e-12, atol=1e-14)


# ------------------------------------------------------------------ the batch's keys


@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0])
def test_keys_are_cross_entropy_times_two_tau(temperature: float) -> None:
    q, k, own = rows(3), rows(6), torch.tensor([3, 4, 5])  # as of the second of two ranks
    expected = 2 * temperature * F.cross_entropy(cosines(q, k) / temperature, own)
    assert key_info_nce(q, k, own, temperature=temperature).item() == pytest.approx(expected.item(), rel=1e-12)


def test_keys_that_are_equal_cost_two_tau_log_n() -> None:
    same, own = torch.ones(6, 3, dtype=torch.float64), torch.arange(6)
    assert key_info_nce(same, same, own, temperature=0.2).item() == pytest.approx(0.4 * math.log(6), rel=1e-13)


def test_the_factor_makes_the_gradient_two_times_p_minus_y() -> None:
    """So at small similarities its size does not depend on tau."""
    n, own = 4, torch.arange(4)
    k = F.normalize(torch.eye(n, 6, dtype=torch.float64), dim=1)
    q = torch.zeros(n, 6, dtype=torch.float64)
    q[:, 5] = 1.0  # orthogonal to every key: all similarities are 0
    for temperature in (0.1, 1.0):
        leaf = q.clone().requires_grad_()
        key_info_nce(leaf, k, own, temperature=temperature).backward()
        expected = 2 * (torch.full((n, n), 1 / n, dtype=torch.float64) - torch.eye(n)) / n
        torch.testing.assert_close(leaf.grad[:, :n], expected, rtol=1e-12, atol=1e-14)


# ------------------------------------------------------------------ weak to strong


def distributions(*views: Tensor, candidates: Tensor, temperature: float) -> list[Tensor]:
    return [(cosines(view, candidates) / temperature).softmax(dim=1) for view in views]


@pytest.mark.parametrize("temperature", [0.01, 0.2, 2.0])
def test_divergence_and_entropy_are_those_of_the_distributions(temperature: float) -> None:
    strong, weak, c = rows(4), rows(4), rows(9, unit=True)
    p_s, p_w = distributions(strong, weak, candidates=c, temperature=temperature)
    divergence, entropy = weak_to_strong(strong, weak, c, temperature=temperature)
    assert divergence.item() == pytest.approx(F.kl_div(p_s.log(), p_w, reduction="batchmean").item(), rel=1e-9)
    assert entropy.item() == pytest.approx(torch.special.entr(p_w).sum(dim=1).mean().item(), rel=1e-9, abs=1e-12)
    soft = F.cross_entropy(cosines(strong, c) / temperature, p_w)
    assert (divergence + entropy).item() == pytest.approx(soft.item(), rel=1e-10)


def test_a_strong_view_that_sees_the_same_costs_the_entropy_alone() -> None:
    view, c = rows(4), rows(9, unit=True)
    divergence, _ = weak_to_strong(3 * view, view, c, temperature=0.1)
    assert divergence.item() == pytest.approx(0, abs=1e-14)
    assert weak_to_strong(rows(4), view, c, temperature=0.1)[0] > 0.01


def test_equal_rows_leave_log_of_the_candidates() -> None:
    same = F.normalize(torch.ones(7, 3, dtype=torch.float64), dim=1)
    divergence, entropy = weak_to_strong(same[:2], same[:2], same, temperature=0.2)
    assert divergence.item() == pytest.approx(0, abs=1e-14) and entropy.item() == pytest.approx(math.log(7), rel=1e-13)


def test_a_sure_weak_view_makes_it_info_nce_of_the_strong_one() -> None:
    c, strong, own = torch.eye(6, dtype=torch.float64), rows(3, 6), torch.tensor([4, 0, 2])
    divergence, entropy = weak_to_strong(strong, c[own], c, temperature=0.02)  # others weigh e^-50
    expected = info_nce(F.normalize(strong, dim=1), c, own, temperature=0.02).mean()
    assert (divergence + entropy).item() == pytest.approx(expected.item(), rel=1e-12)


def test_gradient_goes_to_the_strong_view_alone() -> None:
    strong, weak = rows(3).requires_grad_(), rows(3).requires_grad_()
    c = rows(6, unit=True).requires_grad_()
    divergence, entropy = weak_to_strong(strong, weak, c.detach(), temperature=0.3)
    assert not entropy.requires_grad
    divergence.backward()
    assert weak.grad is None and strong.grad.abs().max() > 0
    assert gradcheck(lambda s: weak_to_strong(s, weak.detach(), c.detach(), temperature=0.3)[0], (strong,))


def test_order_of_candidates_does_not_matter_and_looking_needs_no_gradient() -> None:
    strong, weak, c = rows(4), rows(4), rows(9, unit=True)
    with torch.no_grad():
        here = weak_to_strong(strong, weak, c, temperature=0.2)
        there = weak_to_strong(strong, weak, c[torch.randperm(9)], temperature=0.2)
    torch.testing.assert_close(here, there, rtol=1e-12, atol=1e-14)


def test_half_precision_is_compared_in_float32() -> None:
    q, k, queue = rows(4).bfloat16(), rows(4).bfloat16(), rows(9, unit=True).float()
    own, n = torch.arange(4), queue.double()
    with torch.autocast("cpu", torch.bfloat16):
        queued = queue_info_nce(q, k, queue, temperature=0.05)
        keyed = key_info_nce(q, k, own, temperature=0.05)
        moved = weak_to_strong(k, q, queue, temperature=0.05)
    q, k = q.double(), k.double()
    assert queued.dtype == keyed.dtype == moved[0].dtype == torch.float32
    assert queued.item() == pytest.approx(queue_info_nce(q, k, n, temperature=0.05).item(), rel=1e-5)
    assert keyed.item() == pytest.approx(key_info_nce(q, k, own, temperature=0.05).item(), rel=1e-5)
    assert moved[0].item() == pytest.approx(weak_to_strong(k, q, n, temperature=0.05)[0].item(), rel=1e-4)
