"""Strong augmentation: a few operations, drawn at random, one after the other on a finished picture of 8 bits.

The pool and its ranges are FixMatch's (Sohn et al., NeurIPS 2020, arXiv 2001.07685, appendix), which CLSA uses too. A
level l is a whole number from 1 to 9, of 10; its sign turns the direction of what has one.

    autocontrast, equalise           of each channel by itself; no level
    brightness, colour, contrast,
    sharpness                        by the factor 0.05 + 0.09 |l|, so always towards black, grey, flat or blurred
    posterise                        to 4 + floor(0.4 |l|) bits
    solarise                         values from 256 - floor(25.6 |l|) on
    rotate                           by 3 l degrees about the centre
    shear_x, shear_y                 by 0.03 l, about the upper left corner
    translate_x, translate_y         by 0.03 l of the side, in whole pixels

What comes in from outside is black; pixels are moved, not interpolated. All are Pillow's, to a grey level or two.
Pictures of a batch that have the same operation go through it together.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d
from torchvision.transforms.v2 import functional as F

LEVELS = 9


def operate(x: Tensor, operations: np.ndarray, levels: np.ndarray) -> Tensor:
    """uint8 [B, C, S, S] -> the same after each picture's operations in order.

    operations, levels  [B, n], numbers into `OPERATIONS` and of their levels
    """
    if x.shape[1] not in (1, 3):  # without RGB there is no grey, and each channel is a picture
        of_each = (drawn.repeat(x.shape[1], axis=0) for drawn in (operations, levels))
        return operate(x.flatten(0, 1)[:, None], *of_each).view_as(x)
    x = x.clone()
    for operation, level in zip(operations.T, levels.T, strict=True):
        for number in set(operation.tolist()) - {0}:
            rows = torch.from_numpy(np.flatnonzero(operation == number))
            x[rows] = _POOL[OPERATIONS[number]](x[rows], torch.from_numpy(level)[rows].double())
    return x


def _towards(x: Tensor, other: Tensor | float, level: Tensor) -> Tensor:
    """From `other` back to x by the factor of a level [B]."""
    factor = _each(0.05 + 0.09 * level.abs()).float()
    return (factor * x + (1 - factor) * other).to(torch.uint8)


def _grey(x: Tensor) -> Tensor:
    return F.rgb_to_grayscale(x) if x.shape[1] == 3 else x


def _contrast(x: Tensor, level: Tensor) -> Tensor:
    return _towards(x, _grey(x).float().mean(dim=(1, 2, 3), keepdim=True), level)


def _sharpness(x: Tensor, level: Tensor) -> Tensor:
    """The blur leaves the border as it is."""
    if x.shape[-1] < 3:
        return x
    kernel = torch.ones(1, 1, 3, 3)
    kernel[..., 1, 1] = 5
    blurred = x.clone()
    inner = conv2d(x.flatten(0, 1)[:, None].float(), kernel / kernel.sum()).round().to(torch.uint8)
    blurred[..., 1:-1, 1:-1] = inner.view_as(blurred[..., 1:-1, 1:-1])
    return _towards(x, blurred, level)


def _posterise(x: Tensor, level: Tensor) -> Tensor:
    dropped = 4 - (4 * level.abs() / 10).floor()  # bits
    return x & _each(256 - 2**dropped).to(torch.uint8)


def _solarise(x: Tensor, level: Tensor) -> Tensor:
    return torch.where(x >= _each(256 - (256 * level.abs() / 10).floor()).to(torch.uint8), 255 - x, x)


def _rotate(x: Tensor, level: Tensor) -> Tensor:
    cos, sin, centre = torch.deg2rad(3 * level).cos(), torch.deg2rad(3 * level).sin(), x.shape[-1] / 2
    return _moved(x, (cos, -sin, centre * (1 - cos + sin)), (sin, cos, centre * (1 - sin - cos)))


def _shear(x: Tensor, across: Tensor | float, down: Tensor | float) -> Tensor:
    return _moved(x, (1.0, across, 0.0), (down, 1.0, 0.0))


def _translate(x: Tensor, right: Tensor | float, down: Tensor | float) -> Tensor:
    return _moved(x, (1.0, 0.0, -right), (0.0, 1.0, -down))


def _moved(x: Tensor, to_column: tuple[Tensor | float, ...], to_row: tuple[Tensor | float, ...]) -> Tensor:
    """The pixel at column u, row v (centres at 1/2) comes from column a u + b v + c, and likewise from a row."""
    side = x.shape[-1]
    centre = torch.arange(side, dtype=torch.float64) + 0.5
    column, row = (
        (_each(a) * centre + _each(b) * centre[:, None] + _each(c)).floor().squeeze(1).expand(len(x), side, side)
        for a, b, c in (to_column, to_row)
    )  # [B, S, S]
    outside = (column < 0) | (column >= side) | (row < 0) | (row >= side)
    source = (row * side + column).long().masked_fill(outside, 0)
    y = x.flatten(2).gather(2, source.view(len(x), 1, -1).expand(-1, x.shape[1], -1)).view_as(x)
    return y.masked_fill(outside[:, None], 0)


def _each(value: Tensor | float) -> Tensor:
    """One number for each picture of a batch, or for all, as [B, 1, 1, 1]."""
    return torch.as_tensor(value, dtype=torch.float64).reshape(-1, 1, 1, 1)


def _whole(level: Tensor, x: Tensor) -> Tensor:
    """0.03 level of the side, towards zero, in whole pixels."""
    return (3 * level * x.shape[-1] / 100).trunc()


_POOL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "identity": lambda x, level: x,
    "autocontrast": lambda x, level: F.autocontrast(x),
    "brightness": lambda x, level: _towards(x, 0.0, level),
    "colour": lambda x, level: _towards(x, _grey(x), level),
    "contrast": _contrast,
    "equalise": lambda x, level: F.equalize(x),
    "posterise": _posterise,
    "rotate": _rotate,
    "sharpness": _sharpness,
    "shear_x": lambda x, level: _shear(x, 0.03 * level, 0.0),
    "shear_y": lambda x, level: _shear(x, 0.0, 0.03 * level),
    "solarise": _solarise,
    "translate_x": lambda x, level: _translate(x, _whole(level, x), 0.0),
    "translate_y": lambda x, level: _translate(x, 0.0, _whole(level, x)),
}

OPERATIONS = tuple(_POOL)
"""By the numbers that records give them; 0 does nothing."""
