"""Contrast between different sights of the same images: two of them, or many."""

from collections.abc import Callable, Sequence
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from unlabel.losses.info_nce import info_nce
from unlabel.losses.unit import unit


def cross_view(z1: Float[Tensor, "b d"], z2: Float[Tensor, "b d"], *, temperature: int | float) -> Float[Tensor, ""]:
    """Each row of one view must find its own image among the rows of the other: L = l(1, 2) + l(2, 1),

        l(u, v) = (1/B) Σ_i [ −s_ii + log Σ_j e^{s_ij} ],   s_ij = cos(z_i^u, z_j^v) / τ.

    z1, z2       [B, d] two views of the same B images (of all ranks, if there are several); normalised here
    temperature  τ > 0

    Rows of the same view are never compared. 2 log B if all embeddings are equal. Tian, Krishnan, Isola, arXiv
    1906.05849, section 3.2, with the batch in place of a bank.
    """
    z1, z2 = unit(z1), unit(z2)
    own = torch.arange(len(z1), device=z1.device)
    one_way, other_way = (info_nce(a, b, own, temperature=float(temperature)) for a, b in ((z1, z2), (z2, z1)))
    return one_way.mean() + other_way.mean()


Pair = Callable[[Tensor, Tensor], Tensor]
"""An objective of two views, such as `cross_view`."""


def core_view(views: Sequence[Float[Tensor, "b d"]], pair: Pair) -> Float[Tensor, ""]:
    """Σ_{j > 1} L(V_1, V_j): the first of M views with every other, M − 1 terms.  arXiv 1906.05849, section 3.3."""
    first, *others = views
    return torch.stack([pair(first, other) for other in others]).sum()


def full_graph(views: Sequence[Float[Tensor, "b d"]], pair: Pair) -> Float[Tensor, ""]:
    """Σ_{i < j} L(V_i, V_j): every two of M views, M (M − 1) / 2 terms.  arXiv 1906.05849, section 3.3."""
    return torch.stack([pair(a, b) for a, b in combinations(views, 2)]).sum()
