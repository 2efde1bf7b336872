"""Alignment and uniformity as objectives: two views agree, and all images fill the sphere.

Wang and Isola, Understanding contrastive representation learning through alignment and uniformity on the hypersphere,
ICML 2020, arXiv 2005.10242. The two terms of InfoNCE in the limit of many negatives, apart from each other.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from unlabel.losses import blockwise
from unlabel.losses.unit import unit


def alignment(x: Float[Tensor, "n d"], y: Float[Tensor, "n d"], *, alpha: int | float = 2) -> Float[Tensor, ""]:
    """How far apart two views of one image are: mean_i | x_i/|x_i| - y_i/|y_i| |^alpha (eq. 1).

    x, y   [n, d] embeddings of the two views, row by row of the same image; normalised here
    alpha  the power of the distance, above 0

    In [0, 2^alpha]: 0 when views have the same embedding, 2 (alpha = 2) for unrelated directions.
    """
    apart = (unit(x) - unit(y)).square().sum(dim=1)
    if alpha < 2:
        apart = apart.clamp(min=1e-12)  # the gradient of a root at 0 is infinite
    return apart.pow(alpha / 2).mean()


def uniformity(x: Float[Tensor, "n d"], *, t: int | float = 2) -> Float[Tensor, ""]:
    """How evenly embeddings fill the sphere: log mean_{i≠j} exp(-t |u_i - u_j|²), u = x / |x| (eq. 2).

    x  [n, d] embeddings of n >= 2 different images; normalised here
    t  the sharpness of the Gaussian kernel, above 0

    In [-4 t, 0]: 0 when all embeddings are equal. Evenly spread in d dimensions it is -2 t + log 0F1(; d/2; t²), about
    -2 t + 2 t²/d. Pairs of a row with itself do not count. In memory O(n d). Raises ValueError for a single row.
    """
    if len(x) < 2:
        raise ValueError(f"uniformity compares two embeddings or more, not {len(x)}")
    u = unit(x)
    rows = torch.arange(len(u), device=u.device)
    return _potential(u, u, (rows, rows), len(u) * (len(u) - 1), t)


def align_uniform(
    z1: Float[Tensor, "b d"],
    z2: Float[Tensor, "b d"],
    *,
    alpha: int | float = 2,
    t: int | float = 2,
    align_weight: int | float = 1,
    uniform_weight: int | float = 1,
    small: Float[Tensor, "b d"] | None = None,
) -> Float[Tensor, ""]:
    """L = align_weight alignment(z1, z2) + uniform_weight (uniformity(z1) + uniformity(z2)) / 2.

    z1, z2 [B, d] two views of the same images; without either weight the other term has a trivial best: all equal, or
    noise.

    small [B, d]: with a small crop of each image, alignment is that of the small crops with either view, and uniformity
    that of small crops among both views of all other images.
    """
    if small is None:
        spread = (uniformity(z1, t=t) + uniformity(z2, t=t)) / 2
        apart = alignment(z1, z2, alpha=alpha)
    else:
        images = torch.arange(len(small), device=small.device)
        names = (images, images.repeat(2))
        spread = _potential(unit(small), unit(torch.cat([z1, z2])), names, 2 * len(small) * (len(small) - 1), t)
        apart = (alignment(small, z1, alpha=alpha) + alignment(small, z2, alpha=alpha)) / 2
    return align_weight * apart + uniform_weight * spread


def _potential(u: Tensor, v: Tensor, names: tuple[Tensor, Tensor], pairs: int, t: int | float) -> Tensor:
    """log of the mean of exp(-t |u_i - v_j|²) over the `pairs` unit rows i, j of different names."""
    sums = blockwise.row_log_sum_exp(u, v, u.new_tensor(2 * t), same=names)  # |u - v|² = 2 - 2 u·v
    return sums.logsumexp(dim=0) - 2 * t - math.log(pairs)
