"""Corruptions that fall on a picture or on the lens: fog, snow, frost, drops of water or mud. See `corruptions`."""

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor

from unlabel.evaluation.filters import Draws, each, filtered, gaussian_blur, plasma, streaked, zoomed

_LUMA = (0.299, 0.587, 0.114)
_WATER, _MUD = (175 / 255, 238 / 255, 238 / 255), (63 / 255, 42 / 255, 20 / 255)
_BOX = torch.full((3, 3), 1 / 9)
_RELIEF = torch.tensor([[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])
_FAR = 20.0  # pixels from a drop's outline from which on its depth is the same


def fog(x: Tensor, setting: tuple[float, float], draws: Draws) -> Tensor:
    """(x + s f) m / (m + s) with a plasma f and m = max x."""
    thickness, decay = setting
    height, width = x.shape[2:]
    cloud = each(draws, lambda draw, i: plasma(max(height, width), decay, draw)[None, :height, :width])
    most = x.amax(dim=(1, 2, 3), keepdim=True)
    return (x + thickness * cloud) * (most / (most + thickness))


def snow(x: Tensor, setting: tuple[float, ...], draws: Draws) -> Tensor:
    """Flakes: noise above a threshold, enlarged and falling, and the same turned by half a turn; the scene whitened."""
    mean, std, zoom, least, radius, sigma, share = setting
    flakes = each(draws, lambda draw, i: mean + std * draw.standard_normal((1, *x.shape[2:]), np.float32))
    flakes = zoomed(flakes, zoom)
    flakes = flakes.masked_fill(flakes < least, 0.0).clamp(0, 1).mul(255).floor() / 255
    falling = [
        streaked(layer, radius, sigma, math.radians(draw.uniform(-135, -45)))
        for layer, draw in zip(flakes, draws, strict=True)
    ]
    layer = torch.stack(falling) if falling else flakes
    grey = luma(x)
    return share * x + (1 - share) * torch.maximum(x, 1.5 * grey + 0.5) + layer + layer.flip(2, 3)


def luma(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
    """The grey value of RGB (ITU-R BT.601); of images of other channels their mean."""
    if x.shape[1] != 3:
        return x.mean(dim=1, keepdim=True)
    return (x * torch.tensor(_LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def frost(x: Tensor, setting: tuple[float, float], draws: Draws) -> Tensor:
    """a x + b ice, the ice drawn: see `ice`."""
    share, more = setting
    return share * x + more * each(draws, lambda draw, i: ice(x.shape[2], x.shape[3], draw)[None])


def ice(height: int, width: int, draw: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Needles in three directions, 60 degrees apart, on a thin cloud; from 0 to 1, about half on average.

    Ours, in place of the authors' photographs of ice. Its scale is that of the picture, as theirs are reduced for
    small ones.
    """
    side = max(height, width)
    cloud = plasma(side, 1.7, draw)[:height, :width]
    angle, length = draw.uniform(0, np.pi), max(2.0, side / 10)
    needles = np.zeros((height, width))
    for turn in range(3):
        seeds = torch.from_numpy((draw.random((1, height, width)) < 0.8 / side).astype(np.float32))
        lines = sum(streaked(seeds, length, length, angle + np.pi * (turn / 3 + end)) for end in (0, 1))
        assert isinstance(lines, Tensor)
        needles = np.maximum(needles, lines[0].numpy())
    needles = needles / max(float(needles.max()), 1e-6)
    return np.clip(0.25 + 0.4 * cloud + 0.6 * np.sqrt(needles) * (0.4 + 0.6 * cloud), 0, 1)


def spatter(x: Tensor, setting: tuple[float, ...], draws: Draws) -> Tensor:
    """Drops, smooth noise above a threshold: of water, which adds light where it is deep, or of mud, which covers."""
    mean, std, smooth, least, strength, mud = setting
    drops = each(draws, lambda draw, i: mean + std * draw.standard_normal((1, *x.shape[2:]), np.float32))
    drops = gaussian_blur(drops, smooth)
    colour = torch.tensor(_MUD if mud else _WATER)[:, None, None]
    if mud:
        cover = gaussian_blur((drops > least).float(), strength)
        cover = cover.masked_fill(cover < 0.8, 0.0)
        return x * (1 - cover) + colour * cover
    drops = drops.masked_fill(drops < least, 0.0).clamp(0, 1).mul(255).floor()
    depth = torch.stack([relief(layer[0]) for layer in drops])[:, None] if len(drops) else drops
    light = drops * depth
    return x + strength * colour * light / light.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)


def relief(drops: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """How light falls on drops (not 0): distances from their outlines, spread over all grey values, lit from a side."""
    there = drops.numpy() > 0
    outline = there & ~ndimage.binary_erosion(there, border_value=1)
    if not outline.any():
        return torch.zeros_like(drops)
    far = torch.from_numpy(np.minimum(ndimage.distance_transform_edt(~outline), _FAR)).float()
    far = (filtered(far[None, None], _BOX, "reflect") + 1e-3).floor()  # sums of ninths
    lit = filtered(_equalised(far), _RELIEF, "reflect").clamp(0, 255)
    return filtered(lit, _BOX, "reflect")[0, 0]


def _equalised(x: Tensor) -> Tensor:
    """Whole numbers to 255 replaced by the share of pixels that are not larger, in 255ths; 0 for the smallest."""
    counts = torch.bincount(x.long().flatten(), minlength=256).cumsum(0).float()
    first, whole = counts[counts > 0][0], counts[-1]
    table = ((counts - first) / (whole - first).clamp(min=1)).mul(255).round().clamp(min=0)
    return table[x.long()]
