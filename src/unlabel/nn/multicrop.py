"""Several views of different sizes: how they go through one backbone, and which of them predicts which.

Introduced with SwAV, arXiv 2006.09882; used by DINO and others.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn


def multicrop(backbone: nn.Module, views: Sequence[Tensor]) -> Tensor:
    """Features of all views: V tensors [B, 3, S_v, S_v] -> [V · B, D]; rows vB … (v+1)B − 1 are view v.

    Neighbouring views of the same size go through the backbone in one pass, so that batch norm sees each run
    of equal sizes by itself.
    """
    runs = [torch.cat(list(run)) for _, run in groupby(views, key=lambda view: view.shape[-2:])]
    return torch.cat([backbone(run) for run in runs])


def roles(views: int, large: int, *, symmetric: bool = True) -> tuple[list[int], list[int]]:
    """Which of so many views are predicted, and which predict: the first `large`, and all.

    Small crops, which come after the large views, predict and are never predicted.
    symmetric: false leaves one direction: the last large view alone is predicted, and does not predict.
    """
    if symmetric:
        return list(range(large)), list(range(views))
    return [large - 1], [v for v in range(views) if v != large - 1]


def mean_of_pairs(term: Callable[[int, int], Tensor], targets: Iterable[int], predictors: Sequence[int]) -> Tensor:
    """The mean of term(u, v), a scalar: how well view v predicts u, over all pairs of different views.

    All pairs count alike, so the order of small crops does not matter; `targets` and `predictors` come from `roles`.
    """
    return torch.stack([term(u, v) for u in targets for v in predictors if v != u]).mean()
