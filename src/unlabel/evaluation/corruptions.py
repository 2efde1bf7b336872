"""Common corruptions: nineteen ways in which pictures get worse, in five severities each.

Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations, ICLR 2019,
arXiv 1903.12261. Its fifteen and the four more (`FURTHER`) that are kept for choosing models. On pixels x in [0, 1]:

    gaussian_noise  x + s n, n normal                    motion_blur  half a Gaussian along a line of -45 to 45 degrees
    shot_noise      Poisson(s x) / s                     zoom_blur    mean of x and of enlargements of its middle
    impulse_noise   a share s black or white, evenly     glass_blur   pixels from places nearby, between two blurs
    speckle_noise   x + s x n, n normal                  elastic      an affine map, then pixels from places nearby
    gaussian_blur   standard deviation s                 brightness   V + s, in HSV
    defocus_blur    disk of radius s, its edge softened  contrast     m + s (x - m), m each channel's mean
    pixelate        to s of the side and back            saturate     s S + t, in HSV
    jpeg            quality s                            fog          (x + s f) m / (m + s), m = max x, f a plasma
    snow            s x + (1 - s) max(x, 1.5 grey + 0.5) + flakes that fall at -135 to -45 degrees
    frost           a x + b ice                          spatter      drops of water (1 to 3), of mud (4 and 5)

The numbers are those of the authors' programs (`severities`). Departures, so that scores are comparable within this
library and near those published, not equal to them:

    frost    the ice is drawn, needles on a cloud; the authors crop photographs of ice, which are files of their own
    spatter  a drop's outline is its outermost pixels, not what Canny's detector finds; distances to it are exact
    motion   (of snow too) lines are drawn after ImageMagick's rule instead of by ImageMagick
    elastic  distances are shares of the side, which at 224 px the authors take to be 244
    all      pixels are rounded at the end, not cut off; ImageNet-C's files were also saved as JPEG
"""

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from unlabel.evaluation.filters import Draws, each, filtered, gaussian, gaussian_blur, streaked
from unlabel.evaluation.severities import NAMES, SEVERITIES, settings
from unlabel.evaluation.warps import elastic, glass_blur, zoom_blur
from unlabel.evaluation.weather import fog, frost, snow, spatter


def corrupt(
    images: UInt8[Tensor, "b c h w"], name: str, severity: int, *, indices: np.ndarray, seed: int = 0
) -> UInt8[Tensor, "b c h w"]:
    """Pictures made worse.

    images    [B, C, H, W], as they are shown to a network; they stay as they are
    name      one of `NAMES`; `saturate` and `spatter` take three channels, `jpeg` one or three
    severity  1 to 5
    indices   [B] the images' positions in their source

    What is random depends on (seed, index, name) alone: it is the same in any batch, and a picture's noise, line or fog
    at one severity is that of another, stronger. Raises ValueError for another name or severity.
    """
    if name not in applicable(images.shape[1]) or not 1 <= severity <= SEVERITIES:
        raise ValueError(f"there is no {name} of severity {severity} for images of {images.shape[1]} channels")
    strength = settings(images.shape[2])[name][severity - 1]
    setting = tuple(float(part) for part in strength) if isinstance(strength, tuple) else float(strength)
    number = NAMES.index(name)
    draws = [np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, number, int(i))))) for i in indices]
    y = _HOW[name](images.float() / 255, setting, draws)
    return y.clamp_(0, 1).mul_(255).round_().to(torch.uint8)


def applicable(channels: int) -> tuple[str, ...]:
    """The names of those that images of so many channels can have."""
    without = {"saturate": channels != 3, "spatter": channels != 3, "jpeg": channels not in (1, 3)}
    return tuple(name for name in NAMES if not without.get(name))


def _gaussian_noise(x: Tensor, scale: float, draws: Draws) -> Tensor:
    return x + scale * each(draws, lambda draw, i: draw.standard_normal(x.shape[1:], np.float32))


def _shot_noise(x: Tensor, rate: float, draws: Draws) -> Tensor:
    return each(draws, lambda draw, i: draw.poisson(rate * x[i].numpy())) / rate


def _impulse_noise(x: Tensor, share: float, draws: Draws) -> Tensor:
    u = each(draws, lambda draw, i: draw.random(x.shape[1:], np.float32))
    return x.masked_fill(u < share, 0.0).masked_fill(u < share / 2, 1.0)


def _speckle_noise(x: Tensor, scale: float, draws: Draws) -> Tensor:
    return x + x * scale * each(draws, lambda draw, i: draw.standard_normal(x.shape[1:], np.float32))


def _gaussian_blur(x: Tensor, sigma: float, draws: Draws) -> Tensor:
    return gaussian_blur(x, sigma)


def _defocus_blur(x: Tensor, setting: tuple[float, float], draws: Draws) -> Tensor:
    return filtered(x, disk(*setting), "reflect")


def disk(radius: float, softness: float) -> Float[Tensor, "k k"]:
    """A disk that sums to 1, blurred by a Gaussian of 3 x 3 (5 x 5 from a radius of 8 on) of standard deviation
    `softness`."""
    reach = 1 if radius <= 8 else 2
    place = torch.arange(-math.floor(radius) - reach, math.floor(radius) + reach + 1).float()
    flat = (place[:, None].square() + place.square() <= radius**2).float()
    line = gaussian(softness, reach)
    return F.conv2d((flat / flat.sum())[None, None], torch.outer(line, line)[None, None], padding=reach)[0, 0]


def _motion_blur(x: Tensor, setting: tuple[float, float], draws: Draws) -> Tensor:
    angles = [math.radians(draw.uniform(-45, 45)) for draw in draws]
    blurred = [streaked(picture, *setting, angle) for picture, angle in zip(x, angles, strict=True)]
    return torch.stack(blurred) if blurred else x


def _brightness(x: Tensor, more: float, draws: Draws) -> Tensor:
    value = x.amax(dim=1, keepdim=True)
    brighter = (value + more).clamp(max=1)
    return torch.where(value > 0, x * (brighter / value.clamp(min=1e-6)), brighter)


def _contrast(x: Tensor, factor: float, draws: Draws) -> Tensor:
    mean = x.mean(dim=(2, 3), keepdim=True)
    return mean + factor * (x - mean)


def _saturate(x: Tensor, setting: tuple[float, float], draws: Draws) -> Tensor:
    factor, more = setting
    value, least = x.amax(dim=1, keepdim=True), x.amin(dim=1, keepdim=True)
    saturation = (value - least) / value.clamp(min=1e-6)
    wanted = (factor * saturation + more).clamp(0, 1)
    # Away from `value` by as much more as saturation grows. Greys have hue 0, which is red.
    coloured = value - (value - x) * (wanted / saturation.clamp(min=1e-6))
    red = value * torch.cat([torch.ones_like(wanted), 1 - wanted, 1 - wanted], dim=1)
    return torch.where(value > least, coloured, red)


def _pixelate(x: Tensor, share: float, draws: Draws) -> Tensor:
    height, width = x.shape[2:]
    small = max(1, int(share * width)), max(1, int(share * height))

    def coarse(plane: Image.Image) -> Image.Image:
        return plane.resize(small, Image.Resampling.BOX).resize((width, height), Image.Resampling.BOX)

    return _by_pillow(x.flatten(0, 1)[:, None], coarse).reshape(x.shape)


def _jpeg(x: Tensor, quality: float, draws: Draws) -> Tensor:
    def compressed(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(quality))
        return Image.open(file)

    return _by_pillow(x, compressed)


def _by_pillow(x: Tensor, change: Callable[[Image.Image], Image.Image]) -> Tensor:
    """Pictures [B, C, H, W] of one or three channels, changed one by one in 8 bits."""
    pictures = (255 * x).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    grey = x.shape[1] == 1
    changed = [np.array(change(Image.fromarray(p[:, :, 0] if grey else p))) for p in pictures]
    planes = torch.from_numpy(np.stack(changed)).float() / 255
    return planes[:, None] if grey else planes.permute(0, 3, 1, 2)


_HOW: dict[str, Callable[[Tensor, Any, Draws], Tensor]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "gaussian_blur": _gaussian_blur,
    "defocus_blur": _defocus_blur,
    "motion_blur": _motion_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "saturate": _saturate,
    "fog": fog,
    "pixelate": _pixelate,
    "jpeg": _jpeg,
    "glass_blur": glass_blur,
    "zoom_blur": zoom_blur,
    "snow": snow,
    "frost": frost,
    "elastic": elastic,
    "speckle_noise": _speckle_noise,
    "spatter": spatter,
}
