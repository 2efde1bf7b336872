"""Which images are nearly the same to a network?"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_HELD = 1 << 24  # cosines held at once (64 MiB)


def alike(vectors: Float[Tensor, "n d"], distance: float, centre: Float[Tensor, "d"] | None = None) -> list[list[int]]:
    """Groups of rows within a cosine distance of the first row of their group, 1 - cos <= distance.

    vectors   [n, D] embeddings; their mean is taken away first: behind a ReLU all of them point much the same way
    distance  in [0, 2]
    centre    taken away instead of their mean: that of all embeddings, where `vectors` are a few of them

    Rows are taken in order: one that is in no group yet begins one with all later rows near it that are in none. So no
    group is a chain whose ends are far apart, which many images between them would make of unlike ones. Compares all
    pairs and keeps none. Rows that are the mean itself have no direction and are in no group.

    Returns ascending positions, for each group of at least two.
    """
    unit = F.normalize(vectors - (vectors.mean(0) if centre is None else centre), dim=1)
    free = torch.ones(len(unit), dtype=torch.bool)
    groups = []
    rows = max(1, _HELD // max(1, len(unit)))
    for top in range(0, len(unit), rows):
        near = unit[top : top + rows] @ unit[top:].T >= 1 - distance  # [rows, n - top]
        near = near.triu(diagonal=1)  # later rows only
        for row in torch.nonzero(near.any(1))[:, 0].tolist():
            if free[top + row]:
                later = top + torch.nonzero(near[row] & free[top:])[:, 0]
                if len(later):
                    free[later] = False
                    groups.append([top + row, *later.tolist()])
    return groups
