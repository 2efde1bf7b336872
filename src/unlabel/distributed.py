"""What distributed training adds to a method: `gather` all ranks' rows, keep `mine`.

Without a process group every function here is the identity, so methods never ask whether there is one.
All ranks hold equally many rows.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    """This process's number, 0 in a single process."""
    return dist.get_rank() if _grouped() else 0


def world() -> int:
    """How many processes train together, 1 in a single process."""
    return dist.get_world_size() if _grouped() else 1


def gather(x: Tensor) -> Tensor:
    """All ranks' rows, in rank order, with gradients.

    x [b, ...] this rank's rows -> [world · b, ...], the same on every rank.

    The gradient. Rank r makes its rows x_r = f(θ; batch r) and computes a loss L_r of all gathered rows
    X = (x_0, …, x_{W-1}). The training objective is the mean over ranks, L = (1/W) Σ_s L_s, so that

        dL/dθ = Σ_r (∂x_r/∂θ)ᵀ · (1/W) Σ_s ∂L_s/∂X_r ,            X_r = the rows of X that rank r gave.

    Data-parallel training averages what each rank finds in its own graph: (1/W) Σ_r (∂x_r/∂θ)ᵀ v_r, where v_r
    is what the backward of `gather` hands to x_r. The two agree exactly when

        v_r = Σ_s ∂L_s/∂X_r :   the gradients of all ranks are summed, and rank r keeps its own rows.

    If every rank computes the same full loss (SimCLR), v_r is W ∂L/∂X_r and the averaged gradient is that of
    one process with the whole batch. If rank r computes the loss of its own anchors only, the same rule is
    right for the mean over ranks. Losses that are plain means over the batch need no gathering.
    """
    return _Gather.apply(x) if world() > 1 else x


def mine(x: Tensor) -> Tensor:
    """This rank's rows of a gathered tensor: mine(gather(x)) has the values of x."""
    rows = len(x) // world()
    return x[rank() * rows : (rank() + 1) * rows]


def all_mean(x: Tensor) -> Tensor:
    """The mean of x over ranks, without gradient: for centres, monitors and logs."""
    x = x.detach()
    if world() == 1:
        return x
    x = x.clone()
    dist.all_reduce(x)
    return x / world()


def _grouped() -> bool:
    return dist.is_available() and dist.is_initialized()


class _Gather(torch.autograd.Function):
    """Forward: all-gather. Backward: sum over ranks, keep this rank's rows (see `gather`)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rows = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world())]
        dist.all_gather(rows, x.contiguous())
        return torch.cat(rows)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        summed = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return mine(summed)
