"""Pixel propagation: every place takes over what the places that are like it say."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unlabel.nn.heads import mlp


class PixelPropagation(nn.Module):
    """y_i = unit( sum_j max(cos(x_i, x_j), 0)^gamma unit(g(x_j)) ), over all places j of the same image.

    gamma   sharpness: 0 averages all places alike, a large one leaves each place what it says itself
    layers  of g, 1 x 1 convolutions as wide as x with batch norm and ReLU between them; 0: g(x) = x

    The weights need not add up to 1, since y is a direction.  Xie et al., arXiv 2011.10043, eq. 3 and 4.
    """

    def __init__(self, width: int, *, gamma: int | float = 2, layers: int = 1) -> None:
        super().__init__()
        self.gamma = gamma
        self.transform: nn.Module = nn.Identity()
        if layers:
            self.transform = mlp(width, width, width, layers=layers, bias=True, last_norm=None, last_bias=True)

    def affinity(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n n"]:
        """max(cos(x_i, x_j), 0)^gamma, at least float32."""
        with torch.autocast(x.device.type, enabled=False):
            x = _unit(x)
            cosine = (x @ x.mT).clamp(min=0)
            # Below 1 the slope of the power is infinite at 0, where many places are.
            return (cosine + 1e-6 if self.gamma < 1 else cosine) ** self.gamma

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """[B, N, d] -> unit vectors [B, N, d]."""
        g = self.transform(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        weights = self.affinity(x)
        with torch.autocast(x.device.type, enabled=False):
            return F.normalize(weights @ _unit(g), dim=-1)


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=-1)
