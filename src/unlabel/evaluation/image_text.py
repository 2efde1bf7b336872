"""How well do images and texts find each other: naming classes never trained on, and searching one by the other.

Every number comes with what guessing would give.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

_CHUNK = 1 << 24  # similarities held at once (64 MiB)
_ROWS = 4096  # images named at once


@dataclass(frozen=True)
class ZeroShot:
    """Accuracy of naming classes, in %; `chance` is that of guessing. top5 is None below six classes.

    protocol  how it was measured, where that is known: see `unlabel.evaluation.kinds`
    """

    top1: float
    top5: float | None
    chance1: float
    chance5: float | None
    images: int
    classes: int
    protocol: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recall:
    """In %, by k: how often one of what belongs to a query is among the k nearest, and how often by guessing."""

    at: dict[int, float]
    chance: dict[int, float]
    queries: int
    candidates: int


@dataclass(frozen=True)
class Retrieval:
    """Recall in both directions; `protocol` as in `ZeroShot`."""

    text_to_image: Recall
    image_to_text: Recall
    protocol: dict[str, Any] = field(default_factory=dict)


def class_vectors(prompts: Float[Tensor, "c t d"]) -> Float[Tensor, "c d"]:
    """One unit vector for each class from those of its t prompts: their mean on the sphere (CLIP, section 3.1.4)."""
    return F.normalize(F.normalize(prompts, dim=2).mean(dim=1), dim=1)


def zero_shot(images: Float[Tensor, "n d"], labels: Int[Tensor, "n"], classes: Float[Tensor, "c d"]) -> ZeroShot:
    """Each image is given the class whose vector is nearest by cosine.

    images   [n, D], n > 0    labels  [n] in [0, c)    classes  [c, D]

    A class as near as the true one counts as nearer, so that equal vectors do not score.
    """
    count, directions = len(classes), F.normalize(classes, dim=1).T  # [D, c]
    ranks = []
    for part, true in zip(images.split(_ROWS), labels.split(_ROWS), strict=True):
        cosine = F.normalize(part, dim=1) @ directions  # [b, c]
        ranks.append((~(cosine < cosine.gather(1, true[:, None]))).sum(dim=1) - 1)
    rank = torch.cat(ranks)
    top1, top5 = (100 * float((rank < k).double().mean()) for k in (1, 5))
    five = count > 5
    return ZeroShot(top1, top5 if five else None, 100 / count, 500 / count if five else None, len(images), count)


def retrieval(
    images: Float[Tensor, "n d"], texts: Float[Tensor, "m d"], pairs: Int[Tensor, "p 2"], ks: Sequence[int] = (1, 5, 10)
) -> Retrieval:
    """Recall of images by their texts and of texts by their images.

    pairs  [p, 2] rows of an image and of a text that belong together; every image and text is in one at least.
           Equal sentences are one text, which then belongs to several images.
    """
    return Retrieval(_recall(texts, images, pairs.flip(1), ks), _recall(images, texts, pairs, ks))


def _recall(
    queries: Float[Tensor, "m d"], candidates: Float[Tensor, "n d"], pairs: Int[Tensor, "p 2"], ks: Sequence[int]
) -> Recall:
    pairs = pairs[pairs[:, 0].argsort()]
    q, c = F.normalize(queries, dim=1), F.normalize(candidates, dim=1)
    step = max(1, _CHUNK // max(1, len(c)))
    ranks, partners = [], []
    for start in range(0, len(q), step):
        part = q[start : start + step]
        first, last = torch.searchsorted(pairs[:, 0].contiguous(), torch.tensor([start, start + len(part)]))
        belongs = torch.zeros(len(part), len(c), dtype=torch.bool)
        belongs[pairs[first:last, 0] - start, pairs[first:last, 1]] = True
        ranks.append(_rank(part @ c.T, belongs))
        partners.append(belongs.sum(dim=1))
    rank, several = torch.cat(ranks), torch.cat(partners)
    return Recall(
        at={k: 100 * float((rank < k).double().mean()) for k in ks},
        chance={k: 100 * float(found_by_chance(several, len(c), k).mean()) for k in ks},
        queries=len(q),
        candidates=len(c),
    )


def _rank(cosine: Float[Tensor, "b n"], belongs: Bool[Tensor, "b n"]) -> Int[Tensor, "b"]:
    """How many that do not belong to it are as near to a query as the nearest that does, or nearer."""
    best = cosine.masked_fill(~belongs, -torch.inf).amax(dim=1, keepdim=True)
    return (~(cosine < best) & ~belongs).sum(dim=1)  # what is no number is as near as anything


def found_by_chance(several: Int[Tensor, "b"], n: int, k: int) -> Float[Tensor, "b"]:
    """The chance that k of n candidates, drawn without looking, hold one of `several` [b]."""
    drawn = torch.arange(min(k, n), dtype=torch.float64)  # [k]
    missed = (n - several.double()[:, None] - drawn) / (n - drawn)  # [b, k], of each draw, if those before missed
    return 1 - missed.clamp(min=0).prod(dim=1)
