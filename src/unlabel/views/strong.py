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

What comes in from outside is black; pixels are moved, not interpolated.
"""

import math

import numpy as np
from torch import Tensor
from torchvision.transforms.v2 import functional as F

OPERATIONS = (
    "identity", "autocontrast", "brightness", "colour", "contrast", "equalise", "posterise", "rotate", "sharpness",
    "shear_x", "shear_y", "solarise", "translate_x", "translate_y",
)  # fmt: skip
"""By the numbers that records give them; 0 does nothing."""

LEVELS = 9


def operate(x: Tensor, operations: np.ndarray, levels: np.ndarray) -> Tensor:
    """uint8 [C, S, S] -> the same after its operations (numbers into `OPERATIONS`) at their levels, in order."""
    if not operations.any():
        return x
    # torchvision knows grey and RGB pictures; without RGB there is no grey, and each channel is a picture.
    y = x if len(x) == 3 else x[:, None]
    for operation, level in zip(operations.tolist(), levels.tolist(), strict=True):
        y = _operated(y, OPERATIONS[operation], level)
    return y.reshape(x.shape)


def _operated(x: Tensor, operation: str, level: int) -> Tensor:
    size, factor = abs(level), 0.05 + 0.09 * abs(level)
    match operation:
        case "autocontrast":
            return F.autocontrast(x)
        case "brightness":
            return F.adjust_brightness(x, factor)
        case "colour":
            return F.adjust_saturation(x, factor)
        case "contrast":
            return F.adjust_contrast(x, factor)
        case "equalise":
            return F.equalize(x)
        case "posterise":
            return F.posterize(x, 4 + 4 * size // 10)
        case "rotate":
            return F.rotate(x, 3 * level)
        case "sharpness":
            return F.adjust_sharpness(x, factor)
        case "shear_x":
            return _moved(x, shear=(0.03 * level, 0.0))
        case "shear_y":
            return _moved(x, shear=(0.0, 0.03 * level))
        case "solarise":
            return F.solarize(x, 256 - 256 * size // 10)
        case "translate_x":
            return _moved(x, right=_pixels(level, x.shape[-1]))
        case "translate_y":
            return _moved(x, down=_pixels(level, x.shape[-2]))
    return x


def _moved(x: Tensor, *, right: int = 0, down: int = 0, shear: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    degrees = [math.degrees(math.atan(share)) for share in shear]
    return F.affine(x, angle=0.0, translate=[right, down], scale=1.0, shear=degrees, center=[0.0, 0.0])


def _pixels(level: int, side: int) -> int:
    """0.03 level of a side, towards zero."""
    return int(math.copysign(3 * abs(level) * side // 100, level))
