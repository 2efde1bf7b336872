"""Teachers: copies of a network that follow it as a moving average and learn nothing themselves."""

from collections.abc import Callable
from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def teacher_of(student: Network) -> Network:
    """A copy of `student` that takes no gradient.

    It stays in train mode with its student: its batch norms use the batch's statistics and keep their own
    running averages, as the targets of BYOL and DINO do.
    """
    return deepcopy(student).requires_grad_(False)


def without_graph(network: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """What a network says to tensors [B, ...], under inference mode: without graph, versions or views to keep track of.

    Returns an ordinary tensor: one made under inference mode could not be saved for a student's backward pass.
    """
    with torch.inference_mode():
        said = network(*inputs)
    return said.clone()


@torch.no_grad()
def ema_update(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """ξ ← m ξ + (1 − m) θ for every parameter; buffers (batch norm's running averages) are the teacher's own.

    momentum  m = 1 leaves the teacher as it is, m = 0 makes it the student.

    Raises ValueError unless both have parameters of the same names and shapes.
    Mean Teacher, arXiv 1703.01780, eq. 1.
    """
    old, new = dict(teacher.named_parameters()), dict(student.named_parameters())
    if {n: p.shape for n, p in old.items()} != {n: p.shape for n, p in new.items()}:
        raise ValueError(
            f"teacher and student differ in {sorted(old.keys() ^ new.keys()) or 'the shapes of parameters'}"
        )
    # One fused call; lerp is exact at both ends.
    torch._foreach_lerp_(list(old.values()), [new[name] for name in old], 1 - momentum)
