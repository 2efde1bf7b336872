"""Alignment and uniformity as readings: do two views agree, and do all images fill the sphere?

The formulas are those of `unlabel.losses.hypersphere`. Both are lower when better, and neither means much alone: a
collapse is perfectly aligned, noise is perfectly uniform.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from unlabel.losses import hypersphere


def alignment(x: Float[Tensor, "n d"], y: Float[Tensor, "n d"], alpha: int | float = 2) -> float:
    """`losses.alignment` of two views' embeddings [n, D], as a number in [0, 2^alpha]."""
    return float(hypersphere.alignment(x.detach(), y.detach(), alpha=alpha))


def uniformity(x: Float[Tensor, "n d"], t: int | float = 2, limit: int = 2_000) -> float:
    """`losses.uniformity` of embeddings [n, D], as a number in [-4 t, 0].

    limit  more rows than this are thinned to this many, evenly spaced in their order, to bound the work of n²
    """
    if len(x) > limit:
        x = x[torch.linspace(0, len(x) - 1, limit, device=x.device).round().long()]
    return float(hypersphere.uniformity(x.detach(), t=t))
