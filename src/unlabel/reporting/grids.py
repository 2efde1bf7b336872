"""The views as the method saw them, back in pixels: the views of one image stand side by side."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from unlabel.errors import writing
from unlabel.views import as_rgb

_GAP, _WIDE_GAP = 2, 14  # pixels between views of one image, and between images
_MAT = 144  # a middle grey: it suits a light page and a dark one
_LEGIBLE = 80  # smaller views are enlarged by a whole factor, so that their pixels stay pixels
_COLUMNS = 4  # views in a row, unless one image has more


def views_grid(views: Sequence[Tensor], mean: Sequence[float], std: Sequence[float], *, images: int = 8) -> Tensor:
    """A picture of a batch's views.

    views   V tensors float [B, C, S_v, S_v], normalised with mean and std [C]; a smaller view stays smaller
    images  how many of the B images to show
    Returns uint8 [3, H, W]: the views of an image side by side; images below each other, and beside each other where
    they have few views.
    """
    shown = min(images, len(views[0]))
    abreast = min(shown, max(1, _COLUMNS // len(views)))  # images in one row
    side = max(view.shape[-1] for view in views)
    factor = max(1, -(-_LEGIBLE // side))
    cell = side * factor + _GAP
    block = len(views) * cell - _GAP + _WIDE_GAP
    rows = -(-shown // abreast)
    grid = torch.full((3, rows * cell - _GAP, abreast * block - _WIDE_GAP), _MAT, dtype=torch.uint8)
    for number, view in enumerate(views):
        pixels = _pixels(view[:shown], mean, std)  # [shown, 3, S, S]
        pixels = pixels.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
        inset = (side * factor - pixels.shape[-1]) // 2
        for i, picture in enumerate(pixels):
            top = (i // abreast) * cell + inset
            left = (i % abreast) * block + number * cell + inset
            grid[:, top : top + picture.shape[-2], left : left + picture.shape[-1]] = picture
    return grid


def write_picture(picture: Tensor, path: Path) -> Path:
    """Writes a uint8 picture [3, H, W] as PNG, making its folder."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.cpu().permute(1, 2, 0).contiguous().numpy()).save(path, optimize=True)
    return path


def _pixels(view: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Undoes the normalisation: x * std + mean, in [0, 255]."""
    view = view.detach().float().cpu()
    mu, sigma = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    pixels = ((view * sigma + mu) * 255).round().clamp(0, 255).to(torch.uint8)
    return as_rgb(pixels)
