"""Rows of length one, as cosines compare them."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

_LEAST = 1e-12  # length that a row is divided by at least


def unit(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """x_i / |x_i|, in at least float32 whatever the precision of x; a row of zeros stays one."""
    result: Tensor = _Unit.apply(x.to(torch.promote_types(x.dtype, torch.float32)))
    return result


class _Unit(torch.autograd.Function):
    """Keeps u = x / |x| and the lengths, not x: torch's own would hold three more matrices as large as x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        length = x.norm(dim=1, keepdim=True).clamp_(min=_LEAST)
        u = x / length
        ctx.save_for_backward(u, length)
        return u

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        u, length = ctx.saved_tensors
        along = torch.einsum("nd,nd->n", u, g)[:, None]
        return torch.addcmul(g, u, along, value=-1).div_(length)
