"""Equal shares, whatever the scores."""

import pytest
import torch

from unlabel.losses import sinkhorn


def scores(n: int = 12, k: int = 4) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(n, 8, dtype=torch.float64), dim=1) @ torch.nn.functional.normalize(
        torch.randn(8, k, dtype=torch.float64), dim=0
    )


def test_rows_sum_to_one_and_columns_to_equal_shares() -> None:
    q = sinkhorn(scores(), iterations=200)
    torch.testing.assert_close(q.sum(dim=1), torch.ones(12, dtype=torch.float64))
    torch.testing.assert_close(q.sum(dim=0), torch.full((4,), 3.0, dtype=torch.float64))


def test_is_the_papers_loop() -> None:
    s = scores()
    q = (s / 0.05).exp().T
    q /= q.sum()
    for _ in range(3):
        q /= q.sum(dim=1, keepdim=True) * len(q)
        q /= q.sum(dim=0, keepdim=True) * q.shape[1]
    torch.testing.assert_close(sinkhorn(s), (q * q.shape[1]).T, rtol=1e-10, atol=1e-12)


def test_agrees_with_lightly() -> None:
    theirs = pytest.importorskip("lightly.loss.swav_loss")
    s = scores()
    torch.testing.assert_close(sinkhorn(s), theirs.sinkhorn(s, iterations=3, epsilon=0.05), rtol=1e-8, atol=1e-10)


def test_permuted_samples_permute_rows_and_constants_change_nothing() -> None:
    s, order = scores(), torch.randperm(12)
    torch.testing.assert_close(sinkhorn(s[order]), sinkhorn(s)[order])
    torch.testing.assert_close(sinkhorn(s + 3.7), sinkhorn(s))


def test_limits_of_epsilon() -> None:
    s = scores()
    torch.testing.assert_close(sinkhorn(s, epsilon=1e6), torch.full_like(s, 0.25), rtol=0, atol=1e-5)
    hard = sinkhorn(s, epsilon=1e-3, iterations=100)
    assert hard.max(dim=1).values.median() > 0.99


def test_samples_that_are_all_alike_are_assigned_to_all_alike() -> None:
    q = sinkhorn(scores(1).repeat(12, 1))
    torch.testing.assert_close(q, torch.full_like(q, 0.25))


def test_no_score_is_too_large_and_no_gradient_passes() -> None:
    s = (100 * scores()).float().requires_grad_()
    q = sinkhorn(s)
    assert torch.isfinite(q).all() and not q.requires_grad
