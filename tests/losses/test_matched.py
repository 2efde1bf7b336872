"""One negative more for some rows of InfoNCE."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import nt_xent, nt_xent_matched, queue_info_nce, with_negative


def rows(b: int = 5, d: int = 4) -> Tensor:
    return torch.randn(b, d, dtype=torch.float64)


def test_one_more_column_of_the_softmax() -> None:
    """l' = l + log(1 + e^{s_n} / sum e^s): the cross-entropy with the new candidate at its end."""
    logits = 3 * torch.randn(6, 8, dtype=torch.float64)
    negative = 3 * torch.randn(6, dtype=torch.float64)
    first = torch.zeros(6, dtype=torch.int64)
    loss = F.cross_entropy(logits, first, reduction="none")
    expected = F.cross_entropy(torch.cat([logits, negative[:, None]], dim=1), first, reduction="none")
    found = with_negative(loss, logits[:, 0], negative)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found, loss + (negative.exp() / logits.exp().sum(dim=1)).log1p(), rtol=1e-12, atol=1e-12)


def test_it_never_falls_and_stays_where_there_is_none() -> None:
    loss, positive = torch.rand(50, dtype=torch.float64) * 5, torch.randn(50, dtype=torch.float64)
    negative = torch.linspace(-40, 40, 50, dtype=torch.float64)
    assert (with_negative(loss, positive, negative) >= loss).all()
    none = torch.full((50,), -torch.inf, dtype=torch.float64)
    assert torch.equal(with_negative(loss, positive, none), loss)


def test_moco_with_a_hard_negative() -> None:
    """As the queue's last key, for the rows that have it."""
    q, k, u, n = (F.normalize(rows(), dim=1) for _ in range(4))
    has = torch.tensor([True, False, True, True, False])
    own = ((q * n).sum(dim=1) / 0.2).masked_fill(~has, -torch.inf)
    loss = torch.stack([queue_info_nce(q[i : i + 1], k[i : i + 1], u, temperature=0.2) for i in range(5)])
    found = with_negative(loss, (q * k).sum(dim=1) / 0.2, own)
    for i in range(5):
        negatives = torch.cat([u, n[i : i + 1]]) if has[i] else u
        expected = queue_info_nce(q[i : i + 1], k[i : i + 1], negatives, temperature=0.2)
        assert found[i].item() == pytest.approx(expected.item(), rel=1e-10)


def test_nt_xent_with_no_match_is_nt_xent() -> None:
    z1, z2, n = rows(), rows(), rows()
    never = torch.zeros(5, dtype=torch.bool)
    assert nt_xent_matched(z1, z2, n, never, temperature=0.3).item() == pytest.approx(
        nt_xent(z1, z2, temperature=0.3).item(), rel=1e-14
    )


def test_nt_xent_with_matches_is_the_formula() -> None:
    z1, z2, n = rows(), rows(), rows()
    matched = torch.tensor([True, False, True, True, False])
    z, own = F.normalize(torch.cat([z1, z2]), dim=1), F.normalize(n, dim=1)
    total = 0.0
    for i in range(10):
        candidates = [float(z[i] @ z[j]) / 0.3 for j in range(10) if j != i]
        if i < 5 and matched[i]:
            candidates.append(float(z[i] @ own[i]) / 0.3)
        total += -float(z[i] @ z[(i + 5) % 10]) / 0.3 + math.log(sum(math.exp(s) for s in candidates))
    assert nt_xent_matched(z1, z2, n, matched, temperature=0.3).item() == pytest.approx(total / 10, rel=1e-12)


def test_collapse_value() -> None:
    z, every = torch.ones(4, 3, dtype=torch.float64), torch.ones(4, dtype=torch.bool)
    expected = math.log(7) + math.log(8 / 7) / 2
    assert nt_xent_matched(z, z, z, every, temperature=0.1).item() == pytest.approx(expected, rel=1e-12)


def test_gradient_and_what_has_none() -> None:
    z1, z2, n = (rows(3).requires_grad_() for _ in range(3))
    matched = torch.tensor([True, False, True])
    assert gradcheck(lambda a, b, c: nt_xent_matched(a, b, c, matched, temperature=0.5), (z1, z2, n))
    nt_xent_matched(z1, z2, n, matched, temperature=0.5).backward()
    assert n.grad[1].abs().max() == 0 and n.grad[0].abs().max() > 0
