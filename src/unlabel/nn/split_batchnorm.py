"""Batch norm over parts of a batch, and an order of rows that puts an image's two views into different company.

A contrastive learner can cheat: rows that were normalised together carry the marks of the same mean and variance, so a
query would know its key by its company and not by what it shows. MoCo keeps queries and keys of an image in different
parts of the batch ("shuffling batch norm"); there the parts are GPUs, here they are `splits` of any batch.

He et al., MoCo, arXiv 1911.05722, section 3.3.
"""

from typing import TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Int64
from torch import Tensor, nn

from unlabel.errors import Fault
from unlabel.nn.batchnorm import GlobalBatchNorm

Network = TypeVar("Network", bound=nn.Module)


def split_batchnorm(network: Network, splits: int) -> Network:
    """Replace every batch norm inside `network` by one over `splits` parts of the batch; 1 leaves it as it is.

    Parameters, buffers and their names in the state dict stay what they are. Returns `network`, changed in place.
    """
    if splits > 1:
        for name, part in list(network.named_modules()):
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                network.set_submodule(name, SplitBatchNorm(part, splits))
    return network


def apart(n: int, splits: int, device: torch.device | str = "cpu") -> Int64[Tensor, "n"]:
    """An order of n rows each of whose splits has equally many rows of every split of the order before, or nearly so.

    Of m = n / splits rows each: 0, m, 2m, …, then 1, m + 1, …. `apart(...).argsort()` is the way back.
    """
    m = -(-n // splits)
    return (torch.arange(n, device=device) % m).argsort(stable=True)


class SplitBatchNorm(GlobalBatchNorm):
    """In training (x − μ_g)/√(σ_g² + ε) · γ + β with the mean and variance of a row's own split g.

    Splits are runs of neighbouring rows of the whole batch. Each rank has a whole number of them, so that nothing
    is exchanged but what goes into the running averages: the means over splits of μ_g and of σ_g² (unbiased).
    """

    def __init__(self, whole: nn.BatchNorm1d | nn.BatchNorm2d, splits: int) -> None:
        super().__init__(whole)
        self.splits = splits

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, ...] -> [B, C, ...]."""
        return self.act(self.drop(self._split(x) if self.training else self._local(x)))

    def _split(self, x: Tensor) -> Tensor:
        ranks = dist.get_world_size() if dist.is_initialized() else 1
        own, left = divmod(self.splits, ranks)
        if left or len(x) < 2 * own:
            raise Fault(
                f"`bn_splits` {self.splits} does not suit {len(x)} images on each of {ranks} processes: each process "
                "needs equally many splits and two images for each of them"
            )
        least, more = divmod(len(x), own)
        sizes = [least + 1] * more + [least] * (own - more)  # `tensor_split` would fill with zeros on the way back
        averages = self.running_mean, self.running_var
        mean, variance = (None if a is None else torch.zeros_like(a) for a in averages)
        # An average with a share of 1, 1/2, 1/3, … is the mean of what was seen.
        y = torch.cat([
            F.batch_norm(part, mean, variance, self.weight, self.bias, True, 1 / (i + 1), self.eps)
            for i, part in enumerate(x.split(sizes))
        ])  # fmt: skip
        share = self._share()
        for average, seen in zip(averages, (mean, variance), strict=True):
            if average is not None and seen is not None:
                if ranks > 1:
                    dist.all_reduce(seen)
                average.lerp_(seen / ranks, share)
        return y
