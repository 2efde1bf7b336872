"""Rows of length one, as cosines compare them."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

_LEAST = 1e-12  # length that a row is divided by at least


def unit(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """x_i / |x_i|, in at least float32 whatever the precision of x; a row of zeros stays one."""
    u: Tensor
    u, _ = _Unit.apply(x.to(torch.promote_types(x.dtype, torch.float32)))
    return u


class _Unit(torch.autograd.Function):
    """(u, lengths), both kept, and not x: torch's own would hold three more matrices as large as x.

    Lengths are an output too so that second derivatives pass through them.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        length = x.norm(dim=1, keepdim=True).clamp_(min=_LEAST)
        u = x / length
        ctx.save_for_backward(u, length)
        ctx.set_materialize_grads(False)
        return u, length

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, toward_length: Tensor | None) -> Tensor | None:
        u, length = ctx.saved_tensors
        moved = None
        if g is not None:
            along = (u * g).sum(dim=1, keepdim=True)
            moved = torch.addcmul(g, u, along, value=-1).div_(length)
        if toward_length is not None:
            moved = u * toward_length if moved is None else moved + u * toward_length
        return moved
