"""Common corruptions: twelve ways in which pictures get worse, in five severities each.

Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations, ICLR 2019,
arXiv 1903.12261. Those of its list that are given by a formula and need no pictures of their own; `gaussian_blur` and
`saturate` belong to its further four, which are meant for choosing models. On pixels x in [0, 1]:

    gaussian_noise  x + s n, n normal                    motion_blur  half a Gaussian along a line of -45 to 45 degrees
    shot_noise      Poisson(s x) / s                     brightness   V + s, in HSV
    impulse_noise   a share s black or white, evenly     contrast     m + s (x - m), m each channel's mean
    gaussian_blur   standard deviation s                 saturate     s S + t, in HSV
    defocus_blur    disk of radius s, its edge softened  fog          (x + s f) m / (m + s), m = max x, f a plasma
    pixelate        to s of the side and back            jpeg         quality s

The numbers are those of the authors' programs for CIFAR-10-C (32 px), Tiny-ImageNet-C (64 px) and ImageNet-C (224 px);
other sides take the nearest of these, by ratio. Departures: pixels are rounded at the end, not cut off; the motion's
line is drawn here after ImageMagick's rule instead of by ImageMagick; ImageNet-C's files were also saved as JPEG.
"""

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

SEVERITIES = 5
SIDES = {32: "CIFAR-10-C", 64: "Tiny-ImageNet-C", 224: "ImageNet-C"}

_SETTINGS: dict[str, dict[int, tuple[Any, ...]]] = {
    "gaussian_noise": {
        32: (0.04, 0.06, 0.08, 0.09, 0.10),
        64: (0.04, 0.08, 0.12, 0.15, 0.18),
        224: (0.08, 0.12, 0.18, 0.26, 0.38),
    },
    "shot_noise": {32: (500, 250, 100, 75, 50), 64: (250, 100, 50, 30, 15), 224: (60, 25, 12, 5, 3)},
    "impulse_noise": {
        32: (0.01, 0.02, 0.03, 0.05, 0.07),
        64: (0.01, 0.02, 0.05, 0.08, 0.14),
        224: (0.03, 0.06, 0.09, 0.17, 0.27),
    },
    "gaussian_blur": {32: (0.4, 0.6, 0.7, 0.8, 1.0), 64: (0.5, 0.75, 1.0, 1.25, 1.5), 224: (1, 2, 3, 4, 6)},
    "defocus_blur": {  # radius, softness of the edge
        32: ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        64: ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
        224: ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    },
    "motion_blur": {  # radius, standard deviation
        32: ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        64: ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
        224: ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    },
    "brightness": {
        32: (0.05, 0.1, 0.15, 0.2, 0.3),
        64: (0.1, 0.2, 0.3, 0.4, 0.5),
        224: (0.1, 0.2, 0.3, 0.4, 0.5),
    },
    "contrast": {
        32: (0.75, 0.5, 0.4, 0.3, 0.15),
        64: (0.4, 0.3, 0.2, 0.1, 0.05),
        224: (0.4, 0.3, 0.2, 0.1, 0.05),
    },
    "saturate": {  # factor, what is added
        32: ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
        64: ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)),
        224: ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    },
    "fog": {  # thickness, how much smoother a large patch is than a small one
        32: ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        64: ((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
        224: ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    },
    "pixelate": {
        32: (0.95, 0.9, 0.85, 0.75, 0.65),
        64: (0.9, 0.8, 0.7, 0.6, 0.5),
        224: (0.6, 0.5, 0.4, 0.3, 0.25),
    },
    "jpeg": {32: (80, 65, 58, 50, 40), 64: (65, 58, 50, 40, 25), 224: (25, 18, 15, 10, 7)},
}
NAMES = tuple(_SETTINGS)

Draws = Sequence[np.random.Generator]
"""One generator for each image."""


def corrupt(
    images: UInt8[Tensor, "b c h w"], name: str, severity: int, *, indices: np.ndarray, seed: int = 0
) -> UInt8[Tensor, "b c h w"]:
    """Pictures made worse.

    images    [B, C, H, W], as they are shown to a network; they stay as they are
    name      one of `NAMES`; `saturate` takes three channels, `jpeg` one or three
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
    without = {"saturate": channels != 3, "jpeg": channels not in (1, 3)}
    return tuple(name for name in NAMES if not without.get(name))


def settings(side: int) -> dict[str, tuple[Any, ...]]:
    """name -> what the five severities are, for images of this side."""
    return {name: found[_nearest(side)] for name, found in _SETTINGS.items()}


def source_of(side: int) -> str:
    """Whose numbers those for images of this side are."""
    return SIDES[_nearest(side)]


def _nearest(side: int) -> int:
    return min(SIDES, key=lambda known: abs(math.log(side / known)))


def _gaussian_noise(x: Tensor, scale: float, draws: Draws) -> Tensor:
    return x + scale * _each(draws, lambda draw, i: draw.standard_normal(x.shape[1:], np.float32))


def _shot_noise(x: Tensor, rate: float, draws: Draws) -> Tensor:
    return _each(draws, lambda draw, i: draw.poisson(rate * x[i].numpy())) / rate


def _impulse_noise(x: Tensor, share: float, draws: Draws) -> Tensor:
    u = _each(draws, lambda draw, i: draw.random(x.shape[1:], np.float32))
    return x.masked_fill(u < share, 0.0).masked_fill(u < share / 2, 1.0)


def _each(draws: Draws, of: Callable[[np.random.Generator, int], np.ndarray]) -> Tensor:
    return torch.stack([torch.from_numpy(of(draw, i)).float() for i, draw in enumerate(draws)])


def _gaussian_blur(x: Tensor, sigma: float, draws: Draws) -> Tensor:
    line = _gaussian(sigma, int(4 * sigma + 0.5))
    return _filtered(_filtered(x, line[None], "replicate"), line[:, None], "replicate")


def _defocus_blur(x: Tensor, setting: tuple[float, float], draws: Draws) -> Tensor:
    return _filtered(x, disk(*setting), "reflect")


def disk(radius: float, softness: float) -> Float[Tensor, "k k"]:
    """A disk that sums to 1, blurred by a Gaussian of 3 x 3 (5 x 5 from a radius of 8 on) of standard deviation
    `softness`."""
    reach = 1 if radius <= 8 else 2
    place = torch.arange(-math.floor(radius) - reach, math.floor(radius) + reach + 1).float()
    flat = (place[:, None].square() + place.square() <= radius**2).float()
    line = _gaussian(softness, reach)
    return F.conv2d((flat / flat.sum())[None, None], torch.outer(line, line)[None, None], padding=reach)[0, 0]


def _gaussian(sigma: float, reach: int) -> Float[Tensor, "k"]:
    """A Gaussian at -reach .. reach that sums to 1."""
    line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).float() / sigma) ** 2)
    return line / line.sum()


def _filtered(x: Tensor, kernel: Tensor, beyond: str) -> Tensor:
    """Each channel filtered by a symmetric kernel [k, l] of odd sides; `beyond` says what lies beyond the edge."""
    down, across = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = F.pad(x, (across, across, down, down), mode=beyond).flatten(0, 1)[:, None]
    return F.conv2d(padded, kernel[None, None])[:, 0].unflatten(0, x.shape[:2])


def _motion_blur(x: Tensor, setting: tuple[float, float], draws: Draws) -> Tensor:
    radius, sigma = setting
    taps = torch.arange(2 * math.ceil(radius) + 1)
    weight = torch.exp(-0.5 * (taps.float() / sigma) ** 2)
    weight, far = weight / weight.sum(), len(taps) - 1
    height, width = x.shape[2:]
    padded = F.pad(x, (0, far, far, far), mode="replicate")
    blurred = torch.zeros_like(x)
    for picture, out, draw in zip(padded, blurred, draws, strict=True):
        angle = math.radians(draw.uniform(-45, 45))
        for tap, share in enumerate(weight.tolist()):
            left, top = (math.ceil(tap * part - 0.5) for part in (math.cos(angle), math.sin(angle)))
            out.add_(picture[:, far + top : far + top + height, left : left + width], alpha=share)
    return blurred


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


def _fog(x: Tensor, setting: tuple[float, float], draws: Draws) -> Tensor:
    thickness, decay = setting
    height, width = x.shape[2:]
    fog = _each(draws, lambda draw, i: plasma(max(height, width), decay, draw)[None, :height, :width])
    most = x.amax(dim=(1, 2, 3), keepdim=True)
    return (x + thickness * fog) * (most / (most + thickness))


def plasma(side: int, decay: float, draw: np.random.Generator) -> Float[np.ndarray, "s s"]:
    """A cloud in [0, 1] on a torus of the next power of two: midpoints, each moved by less than those before.

    Diamond-square (Fournier, Fussell and Carpenter, Communications of the ACM 25, 1982): squares get a middle, then
    edges do, each the mean of its four neighbours plus a uniform draw, which from one scale to the next is smaller by
    decay².
    """
    step = size = 1 << (side - 1).bit_length()
    field, strength = np.zeros((size, size)), 1.0
    while step > 1:
        half, count = step // 2, size // step
        moves = strength * draw.uniform(-1, 1, (3, count, count))
        corner = field[::step, ::step]
        right, below = np.roll(corner, -1, axis=1), np.roll(corner, -1, axis=0)
        middle = (corner + right + below + np.roll(right, -1, axis=0)) / 4 + moves[0]
        field[half::step, half::step] = middle
        field[::step, half::step] = (corner + right + middle + np.roll(middle, 1, axis=0)) / 4 + moves[1]
        field[half::step, ::step] = (corner + below + middle + np.roll(middle, 1, axis=1)) / 4 + moves[2]
        step, strength = half, strength / decay**2
    return (field - field.min()) / max(np.ptp(field), 1e-12)


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
    "fog": _fog,
    "pixelate": _pixelate,
    "jpeg": _jpeg,
}
