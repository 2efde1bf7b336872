"""Two networks made of one: the first sees how light an image is, the second what colour it has.

Tian, Krishnan, Isola, Contrastive Multiview Coding, arXiv 1906.05849. Nothing but torch is imported here: weights that
are exported carry the text of this file with them.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

IMAGE_MEAN, IMAGE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # by which images come normalised: ImageNet's
LAB_MEAN, LAB_STD = (50.0, 6.025, -6.6895), (50.0, 92.208, 101.1675)  # middle and half width of the ranges of sRGB
_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.95047, 1.0, 1.08883)  # D65, seen at 2 degrees


def lab_from_rgb(rgb: Tensor) -> Tensor:
    """From sRGB in [0, 1] [B, 3, H, W] to CIE L*a*b*.

    L is in [0, 100]; a, from green to red, and b, from blue to yellow, are in about [-108, 98].
    """
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = torch.einsum("ij,bjhw->bihw", rgb.new_tensor(_XYZ), linear) / _channels(rgb, _WHITE)
    f = torch.where(xyz > 0.008856, xyz.clamp(min=0.008856) ** (1 / 3), 7.787 * xyz + 4 / 29)
    x, y, z = f.unbind(dim=1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=1)


class LabPair(nn.Module):
    """Copies of a network for RGB images, changed to see L alone and a, b alone: images [B, 3, H, W] -> [B, 2D].

    backbone  images [B, 3, H, W] -> features [B, D]; it stays as it is. Both copies start from its weights, those of
              its first layer fitted to the number of channels

    Images come normalised by ImageNet's mean and standard deviation, as for any other network. Raises ValueError where
    no convolution takes three channels.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.lightness, self.colour = _seeing(backbone, 1), _seeing(backbone, 2)
        self.num_features = 2 * int(backbone.num_features)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """The features of both, side by side."""
        return torch.cat(self.both(x), dim=1)

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of lightness [B, D], and of colour [B, D]."""
        light, colour = self.split(x)
        return self.lightness(light), self.colour(colour)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images as L [B, 1, H, W] and a, b [B, 2, H, W], both in about [-1, 1]; at least float32."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            pixels = x * _channels(x, IMAGE_STD) + _channels(x, IMAGE_MEAN)
            lab = (lab_from_rgb(pixels.clamp(0.0, 1.0)) - _channels(x, LAB_MEAN)) / _channels(x, LAB_STD)
            return lab[:, :1], lab[:, 1:]


def _channels(x: Tensor, values: tuple[float, ...]) -> Tensor:
    """One number for each channel of images x."""
    return x.new_tensor(values).view(-1, 1, 1)


def _seeing(backbone: nn.Module, channels: int) -> nn.Module:
    """A copy for images of one or two channels, whose first activations are about as large as those of RGB images."""
    copy = deepcopy(backbone)
    first = [
        part for part in copy.modules() if isinstance(part, nn.Conv2d) and part.weight.shape[1] == part.in_channels == 3
    ]
    if not first:
        raise ValueError(f"no convolution of {type(backbone).__name__} takes the three channels of an RGB image")
    for conv in first:
        rgb = conv.weight.detach()  # [O, 3, k, k]
        weight = rgb.sum(dim=1, keepdim=True) if channels == 1 else 1.5 * rgb[:, :2]
        conv.weight = nn.Parameter(weight, requires_grad=conv.weight.requires_grad)
        conv.in_channels = channels
    return copy
