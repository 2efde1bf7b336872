"""Alignment, uniformity and tolerance as readings: do views agree, do images fill the sphere, do classes stay close?

The formulas of the first two are those of `unlabel.losses.hypersphere`. Both are lower when better, and neither means
much alone: a collapse is perfectly aligned, noise is perfectly uniform. Tolerance is higher when better and pulls
against uniformity: a low temperature spreads images of one class too.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
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


def tolerance(x: Float[Tensor, "n d"], labels: Int[Tensor, "n"], *, joint: bool = False) -> float:
    """T = mean cos(x_i, x_j) over pairs i != j of one class: how near images of a class are, in [-1, 1].

    x       [n, D] embeddings
    labels  [n] int64; rows of a negative label count for nothing
    joint   the mean over all pairs, those of other classes with 0, as the paper's formula reads: with balanced classes
            at most about 1 / their number, which is not what its figures show

    Not a number where no two rows have the same class. Wang and Liu, CVPR 2021, arXiv 2012.09740, section 4.2.
    """
    z = F.normalize(x.detach()[labels >= 0].double(), dim=1)
    _, own, counts = labels[labels >= 0].unique(return_inverse=True, return_counts=True)
    sums = z.new_zeros(len(counts), z.shape[1]).index_add_(0, own, z)  # [C, D]
    alike = sums.square().sum() - z.square().sum()  # over ordered pairs of one class, without each row with itself
    return float(alike / (len(z) * (len(z) - 1) if joint else (counts * (counts - 1)).sum()))
