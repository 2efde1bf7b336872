"""Rows of length one, as cosines compare them."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def unit(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """x_i / |x_i|, in at least float32 whatever the precision of x."""
    return F.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=1)
