"""Alignment and uniformity: do two views agree, and do all images fill the sphere?

Wang and Isola, "Understanding contrastive representation learning through alignment and uniformity on the
hypersphere", ICML 2020, arXiv 2005.10242. Both are lower when better, and neither means much alone: a collapse is
perfectly aligned, noise is perfectly uniform.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def alignment(x: Float[Tensor, "n d"], y: Float[Tensor, "n d"], alpha: int | float = 2) -> float:
    """How far apart two views of one image are: mean_i | x_i/|x_i| - y_i/|y_i| |^alpha.

    x, y   [n, D] embeddings of the two views, row by row of the same image; normalised here
    alpha  the power of the distance

    Returns a number in [0, 2^alpha]: 0 when views have the same embedding, 2 (alpha = 2) for unrelated directions.
    Equation 1 of the paper (see the module).
    """
    apart = (_unit(x) - _unit(y)).square().sum(dim=1)
    return float(apart.pow(alpha / 2).mean())


def uniformity(x: Float[Tensor, "n d"], t: int | float = 2, limit: int = 2_000) -> float:
    """How evenly embeddings fill the sphere: log mean_{i≠j} exp(-t |u_i - u_j|²), u = x / |x|.

    x      [n, D] embeddings of n >= 2 different images; normalised here
    t      the sharpness of the Gaussian kernel
    limit  more rows than this are thinned to this many, evenly spaced in their order, to bound n² memory

    Returns a number in [-4 t, 0]: 0 when all embeddings are equal. Evenly spread in D dimensions it is
    -2 t + log 0F1(; D/2; t²), about -2 t + 2 t²/D. By a log-sum-exp, so that no exponential underflows; pairs of a
    row with itself do not count. Equation 2 of the paper (see the module). Raises ValueError for a single row.
    """
    if len(x) < 2:
        raise ValueError(f"uniformity compares two embeddings or more, not {len(x)}")
    if len(x) > limit:
        x = x[torch.linspace(0, len(x) - 1, limit, device=x.device).round().long()]
    u = _unit(x)
    apart = (2 - 2 * (u @ u.T)).clamp(min=0).fill_diagonal_(math.inf)  # [n, n] squared distances
    return float(torch.logsumexp(-t * apart.flatten(), dim=0)) - math.log(len(u) * (len(u) - 1))


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.detach().to(torch.promote_types(x.dtype, torch.float32)), dim=1)
