"""Invariant and spreading: every view is told to be its own image, and no view to be another.

Ye, Zhang, Yuen, Chang, CVPR 2019, arXiv 1904.03436. NT-Xent, and a second term for the mistakes that the softmax of
NT-Xent leaves.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from unlabel.losses import blockwise
from unlabel.losses.unit import unit

ROWS = 512
"""Anchors whose probabilities are held at once; of more, they are made once again for the gradient."""


def inva_spread(
    z1: Float[Tensor, "b d"], z2: Float[Tensor, "b d"], *, temperature: float = 0.1, detach_others: bool = True
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """With P_ij = e^{s_ij} / sum_{k != i} e^{s_ik}, s_ij = cos(z_i, z_j) / tau, over the 2B views:

        invariance = mean_i -log P_ip,   spread = mean_i -sum_{j != i, p} log(1 - P_ij),   p the other view of image i

    z1, z2         [B, d] two views of the same B >= 2 images (of all ranks, if there are several); normalised here
    temperature    tau > 0
    detach_others  whether z_j and z_k are constants, so that only the anchor of a row moves (same value, about half the
                   gradient), as in the authors' code

    The objective is their sum. The first is NT-Xent; the second is 0 where each P_i is all on its positive. If all
    embeddings are equal: log(2B - 1) and -(2B - 2) log(1 - 1 / (2B - 1)). A P_ij that rounds to 1 counts as a little
    less. Rows of probabilities are held for 512 anchors at a time.
    As the authors' code has it: all 2B views are anchors, and none is among its own candidates.
    """
    if len(z1) < 2:
        raise ValueError("one image has no others to be told from: a batch must hold two at least")
    with torch.autocast(z1.device.type, enabled=False):
        z = unit(torch.cat([z1, z2]))  # [2B, d]
        others = z.detach() if detach_others else z
        rows = torch.arange(len(z), device=z.device)
        positive = rows.roll(len(z1))
        attracted = (z * others[positive]).sum(dim=1) / temperature
        total = blockwise.row_log_sum_exp(z, others, z.new_tensor(1 / temperature), same=(rows, rows))  # [2B]
        mistaken = z.new_zeros(())
        for part in rows.split(ROWS):
            given = (z[part], others, total[part], part, positive[part], temperature)
            once = len(rows) <= ROWS
            mistaken = mistaken + (_mistaken(*given) if once else checkpoint(_mistaken, *given, use_reentrant=False))
        return (total - attracted).mean(), mistaken / len(z)


def _mistaken(
    anchors: Tensor, others: Tensor, total: Tensor, rows: Tensor, positive: Tensor, temperature: float
) -> Tensor:
    """-sum_ij log(1 - P_ij) over some anchors i and all j that show another image."""
    log_p = anchors @ others.T / temperature - total[:, None]  # [r, 2B]
    columns = torch.arange(len(others), device=rows.device)
    own = (columns == rows[:, None]) | (columns == positive[:, None])
    log_p = log_p.clamp(max=-torch.finfo(log_p.dtype).eps).masked_fill(own, -torch.inf)
    # Each form of log(1 - e^x) is exact where the other cancels.
    near, far = torch.log(-torch.expm1(log_p)), torch.log1p(-torch.exp(log_p))
    return -torch.where(log_p > -math.log(2), near, far).sum()
