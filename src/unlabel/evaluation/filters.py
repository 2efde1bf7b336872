"""Filters and clouds that corruptions are made of: blurs, streaks, zooms, plasma."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Draws = Sequence[np.random.Generator]
"""One generator for each image."""


def each(draws: Draws, of: Callable[[np.random.Generator, int], np.ndarray]) -> Float[Tensor, "b ..."]:
    """What `of` makes of each image's generator and place in the batch, together."""
    return torch.stack([torch.from_numpy(of(draw, i)).float() for i, draw in enumerate(draws)])


def gaussian(sigma: float, reach: int) -> Float[Tensor, "k"]:
    """A Gaussian at -reach .. reach that sums to 1; sigma > 0."""
    line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).float() / sigma) ** 2)
    return line / line.sum()


def gaussian_blur(x: Float[Tensor, "b c h w"], sigma: float) -> Float[Tensor, "b c h w"]:
    """Cut off at four standard deviations; beyond the edge lies the edge. sigma > 0."""
    line = gaussian(sigma, int(4 * sigma + 0.5))
    return filtered(filtered(x, line[None], "replicate"), line[:, None], "replicate")


def filtered(x: Float[Tensor, "b c h w"], kernel: Float[Tensor, "k l"], beyond: str) -> Float[Tensor, "b c h w"]:
    """Each channel correlated with a kernel of odd sides; `beyond` says what lies beyond the edge, as for `F.pad`."""
    down, across = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = F.pad(x, (across, across, down, down), mode=beyond).flatten(0, 1)[:, None]
    return F.conv2d(padded, kernel[None, None])[:, 0].unflatten(0, x.shape[:2])


def streaked(x: Float[Tensor, "c h w"], radius: float, sigma: float, angle: float) -> Float[Tensor, "c h w"]:
    """Half a Gaussian along a line, by ImageMagick's rule: tap t lies ceil(t cos - 1/2) across, ceil(t sin - 1/2) down.

    radius  of 2 ceil(radius) + 1 taps;  sigma  of the Gaussian, in taps;  angle  in radians
    """
    taps = torch.arange(2 * math.ceil(radius) + 1)
    weight = torch.exp(-0.5 * (taps.float() / sigma) ** 2)
    weight, far = weight / weight.sum(), len(taps) - 1
    height, width = x.shape[1:]
    padded = F.pad(x[None], (far, far, far, far), mode="replicate")[0]
    out = torch.zeros_like(x)
    for tap, share in enumerate(weight.tolist()):
        left, top = (far + math.ceil(tap * part - 0.5) for part in (math.cos(angle), math.sin(angle)))
        out.add_(padded[:, top : top + height, left : left + width], alpha=share)
    return out


def zoomed(x: Float[Tensor, "b c h w"], factor: float) -> Float[Tensor, "b c h w"]:
    """The middle, enlarged (bilinear, corners on corners) to the size of the whole; factor >= 1."""
    height, width = x.shape[2:]
    inner = [math.ceil(side / factor) for side in (height, width)]
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    part = x[:, :, top : top + inner[0], left : left + inner[1]]
    # Rounded down, as happens at times, the last row would be missing.
    size = [max(whole, round(side * factor)) for side, whole in zip(inner, (height, width), strict=True)]
    large = F.interpolate(part, size=size, mode="bilinear", align_corners=True)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return large[:, :, top : top + height, left : left + width]


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
