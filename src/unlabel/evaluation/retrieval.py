"""Retrieval by class: asked with an image, how early in the ranking do others of its class come?

Candidates are ranked by cosine. With r_i the rank of the i-th candidate of the query's class, of which there are R,

    AP = 1/R sum_i i / r_i        AP@R = 1/R sum_{i: r_i <= R} i / r_i        recall@k = [ r_1 <= k ]

and the scores are means over queries. recall@k is that of metric learning: whether one at least of the k nearest is of
the class; it is not the share of the class that was found. AP@R looks at the first R only, so that a query counts
as right where its class comes before all others (Musgrave, Belongie and Lim, A Metric Learning Reality Check, ECCV
2020, arXiv 2003.08505, section 3.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int32, Int64
from torch import Tensor

from unlabel.evaluation.image_text import found_by_chance

KS = (1, 5, 10)
_CHUNK = 1 << 22  # similarities held at once (16 MiB; with what is made of them five to ten times that)
_STEPS = 1 << 28  # into which a distance of 1 is divided: as fine as float32 is near 1


@dataclass(frozen=True)
class Ranking:
    """Scores in per cent.

    map, map_at_r  mean of AP and of AP@R
    recall         k -> share of queries with one of their class among the k nearest
    queries        that were asked; those of whose class there is no candidate are left out
    """

    map: float
    map_at_r: float
    recall: dict[int, float]
    queries: int

    def as_dict(self) -> dict[str, float]:
        """{"mAP", "mAP@R", "recall@1", ...} in per cent."""
        return {"mAP": self.map, "mAP@R": self.map_at_r, **{f"recall@{k}": p for k, p in self.recall.items()}}


def class_retrieval(
    vectors: Float[Tensor, "n d"],
    labels: Int[Tensor, "n"],
    queries: Float[Tensor, "m d"] | None = None,
    query_labels: Int[Tensor, "m"] | None = None,
    *,
    ks: Sequence[int] = KS,
) -> Ranking:
    """Every query against every candidate; without queries every vector against all others (leave one out).

    vectors, labels        [n, D] candidates and [n] their classes, int64 >= 0
    queries, query_labels  [m, D] and [m] likewise
    ks                     of recall@k

    What is less than 4e-9 apart (float32 seldom tells less than 6e-8) is equally far, and of what is equally far the
    candidates of other classes come first: vectors that say nothing score nothing. Memory is bounded by ranking a few
    queries at a time. Raises ValueError where no query has a candidate of its class, and for vectors
    that are not finite.
    """
    alone = queries is None or query_labels is None
    q, q_labels = (vectors, labels) if queries is None or query_labels is None else (queries, query_labels)
    if not (torch.isfinite(vectors).all() and torch.isfinite(q).all()):
        raise ValueError("retrieval needs finite vectors")
    m, q, labels, q_labels = F.normalize(vectors, dim=1), *(part.to(vectors.device) for part in (q, labels, q_labels))
    several = _partners(labels, q_labels, alone)
    asked = torch.nonzero(several)[:, 0]
    if not len(asked):
        raise ValueError("no query has a candidate of its class")
    total, total_at_r, hits = 0.0, 0.0, dict.fromkeys(ks, 0)
    for part in asked.split(max(1, _CHUNK // len(m))):
        belongs = labels == q_labels[part][:, None]
        keys = _keys(F.normalize(q[part], dim=1) @ m.T, belongs)
        if alone:
            keys.scatter_(1, part[:, None], 2 * (2 * _STEPS + 1))  # behind all others, and of no class
        r = several[part]
        row, rank = torch.nonzero(_sorted(keys) & 1, as_tuple=True)  # [sum R], row by row and nearest first
        rank += 1
        before = r.cumsum(0) - r  # where each query's own begin
        precision = (torch.arange(1, len(row) + 1, device=row.device) - before[row]).double() / rank / r[row]
        total += float(precision.sum())
        total_at_r += float(precision[rank <= r[row]].sum())
        first = rank[before]
        for k in ks:
            hits[k] += int((first <= k).sum())
    share = 100 / len(asked)
    return Ranking(share * total, share * total_at_r, {k: share * count for k, count in hits.items()}, len(asked))


def chance(
    labels: Int[Tensor, "n"], query_labels: Int[Tensor, "m"] | None = None, *, ks: Sequence[int] = KS
) -> Ranking:
    """What a random order of the candidates scores on average, exactly; arguments and errors as for `class_retrieval`.

    A candidate of the class lies at rank r with probability R / n, and then each of the r - 1 before it is of the class
    with probability (R - 1) / (n - 1), so that

        E AP = 1/n sum_{r = 1..n} 1/r (1 + (r - 1) (R - 1) / (n - 1)),        E AP@R the same up to r = R.
    """
    n = len(labels) - (query_labels is None)
    several = _partners(labels, labels if query_labels is None else query_labels, query_labels is None)
    several = several[several > 0].cpu()
    if not len(several):
        raise ValueError("no query has a candidate of its class")
    harmonic = (1 / torch.arange(1, n + 1, dtype=torch.float64)).cumsum(0)  # [n], of each rank
    rest = (several - 1).double() / max(1, n - 1)
    ap, ap_at_r = (
        (harmonic[last - 1] + rest * (last - harmonic[last - 1])) / n for last in (torch.full_like(several, n), several)
    )
    recall = {k: 100 * float(found_by_chance(several, n, k).mean()) for k in ks}
    return Ranking(100 * float(ap.mean()), 100 * float(ap_at_r.mean()), recall, len(several))


def _partners(labels: Int[Tensor, "n"], queries: Int[Tensor, "m"], alone: bool) -> Int64[Tensor, "m"]:
    """How many candidates are of each query's class; itself is none."""
    classes = int(torch.cat([labels, queries]).max()) + 1 if len(labels) and len(queries) else 1
    return torch.bincount(labels, minlength=classes)[queries] - int(alone)


def _keys(cosine: Float[Tensor, "b n"], belongs: Tensor) -> Int32[Tensor, "b n"]:
    """Whole numbers that rise with the distance and, where it is equal, from other classes to the query's own.

    The last bit says whether a candidate belongs: sorting these alone, without positions, is seven times faster.
    """
    steps = cosine.neg_().add_(1).clamp_(0, 2).mul_(_STEPS).to(torch.int32)
    return steps.mul_(2).add_(belongs)


def _sorted(keys: Int32[Tensor, "b n"]) -> Int32[Tensor, "b n"]:
    """Each row in rising order; on the host by numpy, which uses vector instructions."""
    if keys.device.type != "cpu":
        return keys.sort(dim=1).values
    keys.numpy().sort(axis=1)
    return keys
