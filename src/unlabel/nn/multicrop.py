"""Several views of different sizes: how they go through one backbone, and which of them predicts which.

Introduced with SwAV, arXiv 2006.09882; used by DINO and others.
"""

from collections.abc import Sequence
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


def pairs(views: int, large: int) -> list[tuple[int, int]]:
    """(u, v): each of the first `large` views u is predicted from every other view v.

    Small crops, which come after the large views, are predicted from and never predicted: large · (views − 1) pairs.
    """
    return [(u, v) for u in range(large) for v in range(views) if v != u]
