"""Cross-correlation of two views: each dimension agrees with itself and tells nothing of the others.

Zbontar, Jing, Misra, LeCun, Deny, Barlow Twins, ICML 2021, arXiv 2103.03230.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

EPS = 1e-5  # added to variances, as batch norm does it


def correlations(z1: Float[Tensor, "b d"], z2: Float[Tensor, "b e"]) -> Float[Tensor, "d e"]:
    """C_ij = mean_b n(z1)_bi n(z2)_bj, with n(z) = (z - mean) / sqrt(variance + 1e-5) of each dimension over the batch.

    In [-1, 1]: what dimension i of one view and dimension j of the other have in common. Variances divide by b, so that
    C_ii is 1 where the views are equal. A dimension that is constant correlates with nothing. At least float32.
    Eq. 2.
    """
    with torch.autocast(z1.device.type, enabled=False):
        return _standardised(z1).T @ _standardised(z2) / len(z1)


def cross_correlation(
    z1: Float[Tensor, "b d"], z2: Float[Tensor, "b d"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The two sums of Barlow Twins over C = `correlations(z1, z2)`:

        invariance = sum_i (1 - C_ii)²,    redundancy = sum_i sum_{j != i} C_ij²

    z1, z2  [B, d] two views of the same B >= 2 images (of all ranks, if there are several)

    The objective is invariance + weight redundancy. If all embeddings are equal, (d, 0): a collapse is no minimum.
    Shifting or stretching a dimension changes nothing; rotating does. Eq. 1.

    Where there are fewer images than dimensions, C is not made: |C|² = sum of (Y1 Y1') * (Y2 Y2') / B², Y the
    standardised views, takes matrices [B, B].
    """
    with torch.autocast(z1.device.type, enabled=False):
        y1, y2 = _standardised(z1), _standardised(z2)
        b, d = y1.shape
        own = (y1 * y2).mean(dim=0)  # [d] C_ii
        every = ((y1 @ y1.T) * (y2 @ y2.T)).sum() / b**2 if b < d else (y1.T @ y2 / b).square().sum()
        # A difference of two sums that are equal where all is decorrelated: rounding must not make it negative.
        return (1 - own).square().sum(), (every - own.square().sum()).clamp(min=0)


def _standardised(z: Tensor) -> Tensor:
    """Each dimension with mean 0 and variance 1 over the batch."""
    if len(z) < 2:
        raise ValueError(f"correlations are taken over two images or more, not {len(z)}")
    return F.batch_norm(z.to(torch.promote_types(z.dtype, torch.float32)), None, None, training=True, eps=EPS)
