"""Batch norm over the whole batch of all ranks, on any device.

torch's own SyncBatchNorm needs an accelerator; this one is made of differentiable all-reduces and so also
runs on the CPU, where it lets a test show that two ranks equal one process.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def convert_batchnorm(module: nn.Module) -> nn.Module:
    """Replace every batch norm inside `module` by one over the batch of all ranks.

    timm's batch norms with activation keep it. Parameters, buffers and their names in the state dict stay
    what they are, so checkpoints do not change.
    Returns `module`, changed in place, or the replacement if `module` is a batch norm itself.
    """
    if isinstance(module, _BATCH_NORMS):
        return GlobalBatchNorm(module)
    for name, child in module.named_children():
        setattr(module, name, convert_batchnorm(child))
    return module


class GlobalBatchNorm(nn.Module):
    """(x − μ)/√(σ² + ε) · γ + β with μ, σ² over the rows and positions of all ranks.

    Each mean is a sum over ranks, and so is its gradient: with gradients averaged over ranks, as
    data-parallel training does, the result is that of one process with the whole batch. Ranks hold equally
    many rows. Two passes (the mean, then the mean squared distance to it) rather than E[x²] − μ², which
    cancels in float32.
    """

    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, local: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps = local.eps
        self.momentum = local.momentum
        self.register_parameter("weight", local.weight)
        self.register_parameter("bias", local.bias)
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(local, name))
        if isinstance(local, BatchNormAct2d):
            self.drop, self.act = local.drop, local.act
        else:
            self.drop, self.act = nn.Identity(), nn.Identity()
        self.train(local.training)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, ...] -> [B, C, ...]."""
        ranks = dist.get_world_size() if dist.is_initialized() else 1
        y = self._global(x, ranks) if self.training and ranks > 1 else self._local(x)
        return self.act(self.drop(y))

    def _local(self, x: Tensor) -> Tensor:
        if self.training:
            share = self._share()
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, True, share, self.eps)
        untracked = self.running_mean is None
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, untracked, 0.0, self.eps)

    def _global(self, x: Tensor, ranks: int) -> Tensor:
        others = [d for d in range(x.ndim) if d != 1]
        column = [1, -1] + [1] * (x.ndim - 2)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = _SumOverRanks.apply(wide.mean(others)) / ranks  # [C]
        centred = wide - mean.view(column)
        variance = _SumOverRanks.apply(centred.square().mean(others)) / ranks  # [C]
        if self.running_mean is not None and self.running_var is not None:
            n = ranks * x.numel() // x.shape[1]
            share = self._share()
            self.running_mean.lerp_(mean.detach().to(self.running_mean.dtype), share)
            self.running_var.lerp_(variance.detach().to(self.running_var.dtype) * n / max(n - 1, 1), share)
        y = centred * torch.rsqrt(variance + self.eps).view(column)
        if self.weight is not None:
            y = y * self.weight.view(column)
        if self.bias is not None:
            y = y + self.bias.view(column)
        return y.to(x.dtype)

    def _share(self) -> float:
        """How much of the running averages this batch replaces; without momentum they are plain averages."""
        if self.num_batches_tracked is None:
            return 0.0
        self.num_batches_tracked += 1
        return 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum


class _SumOverRanks(torch.autograd.Function):
    """Forward and backward both add up what all ranks have."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _summed(grads[0])


def _summed(x: Tensor) -> Tensor:
    x = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(x)
    return x
