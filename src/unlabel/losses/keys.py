"""Queries against keys: objectives of a network that learns beside a slowly moving copy of itself (MoCo and its kin).

Queries have a gradient; keys, and those that a queue remembers, are given without. With c_j the candidates and

    r(v) = log sum_j e^{v . c_j / tau}

every objective here is r and a few products of rows: no matrix of queries x candidates is held, O(N d + K d).
Means over queries. temperature: tau > 0. At least float32 whatever the precision around it.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unlabel.losses import blockwise
from unlabel.losses.info_nce import info_nce
from unlabel.losses.matched import with_negative
from unlabel.losses.unit import unit


def queue_info_nce(
    q: Float[Tensor, "n d"],
    k: Float[Tensor, "n d"],
    queue: Float[Tensor, "m d"],
    *,
    temperature: float,
    hard: tuple[Float[Tensor, "n d"], Bool[Tensor, "n"]] | None = None,
) -> Float[Tensor, ""]:
    """A query must tell its own key from the keys of a queue: l_i = -s_i + log(e^{s_i} + e^{r(q_i)}), over the queue.

    q, k   [N, d] queries and their keys, s_i = cos(q_i, k_i) / tau; normalised here
    queue  [K, d] unit vectors, no key of this batch among them
    hard   for each query a negative that no other has, normalised here, and whether it has it: where not, what the
           row holds does not matter (`with_negative`)

    log(1 + K) if all are equal, log(2 + K) of queries with a hard negative.  He et al., MoCo, arXiv 1911.05722, eq. 1.
    """
    with torch.autocast(q.device.type, enabled=False):
        q, k = unit(q), unit(k)
        positive = (q * k).sum(dim=1) / temperature
        negatives = _log_sum_exp(q, queue.to(q.dtype), temperature)
        losses = torch.logaddexp(positive, negatives) - positive
        if hard is not None:
            own = (q * unit(hard[0])).sum(dim=1) / temperature
            losses = with_negative(losses, positive, own.masked_fill(~hard[1], -torch.inf))
        return losses.mean()


def key_info_nce(
    q: Float[Tensor, "n d"], k: Float[Tensor, "m d"], own: Int[Tensor, "n"], *, temperature: float
) -> Float[Tensor, ""]:
    """A query must tell its own key from those of the same batch: 2 tau mean_i [ -s_{i,own(i)} + r(q_i) ].

    q    [N, d] queries, k [M, d] keys of all ranks; normalised here
    own  [N] which key is a query's own

    The factor keeps the gradient's size from depending on tau while similarities are small. 2 tau log M if all are
    equal.  Chen, Xie, He, MoCo v3, arXiv 2104.02057, algorithm 1.
    """
    with torch.autocast(q.device.type, enabled=False):
        return 2 * temperature * info_nce(unit(q), unit(k), own, temperature=temperature).mean()


def weak_to_strong(
    strong: Float[Tensor, "n d"], weak: Float[Tensor, "n d"], candidates: Float[Tensor, "m d"], *, temperature: float
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """A strong view must see the candidates as a weak view of its image does: L = -mean_i sum_j P(w_i)_j log P(s_i)_j.

    P(v) = softmax_j(v . c_j / tau), and L = KL + H, the divergence KL(P(w) || P(s)) and the entropy of P(w). As P(w) is
    the gradient of r,

        KL = r(s) - r(w) - g . (s - w),    H = r(w) - g . w,    g = dr/dv (w) = sum_j P(w)_j c_j / tau

    so L is InfoNCE with a soft positive: the candidates' mean, weighted as the weak view sees them.

    strong, weak  [N, d] queries of two views of the same images; normalised here; the gradient goes to `strong` alone
    candidates    [M, d] unit vectors

    Returns (KL, H): KL >= 0, and 0 where both see the same. (0, log M) if all are equal.
    Wang and Qi, CLSA, arXiv 2104.07713 (distributional divergence).
    """
    with torch.autocast(strong.device.type, enabled=False):
        s, c = unit(strong), candidates.to(torch.promote_types(strong.dtype, torch.float32))
        with torch.enable_grad():
            w = unit(weak).detach().requires_grad_()
            weak_sum = _log_sum_exp(w, c, temperature)
            (g,) = torch.autograd.grad(weak_sum.sum(), w)
        w, weak_sum = w.detach(), weak_sum.detach()
        entropy = weak_sum - (g * w).sum(dim=1)
        divergence = _log_sum_exp(s, c, temperature) - weak_sum - (g * (s - w)).sum(dim=1)
        return divergence.mean(), entropy.mean()


def _log_sum_exp(queries: Tensor, candidates: Tensor, temperature: float) -> Tensor:
    """r(v) for each query, [N]."""
    if blockwise.held_whole(queries, candidates):
        return (queries @ candidates.T / temperature).logsumexp(dim=1)
    return blockwise.row_log_sum_exp(queries, candidates, queries.new_tensor(1 / temperature))
