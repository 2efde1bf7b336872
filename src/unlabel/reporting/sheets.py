"""Many small pictures of one size in one file: a sheet of square cells, drawn over images of a run."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageColor
from plotly.colors import sequential
from torch import Tensor

from unlabel.engine.folder import write_atomically
from unlabel.views import View, as_rgb

CELL = 128  # pixels of a side
_LIGHT = 0.55  # of the grey image that lies below a map
_QUALITY = 88

SCALE: tuple[str, ...] = tuple(sequential.Inferno)
"""From nothing to most: dark to bright, and so to be read in grey and by everybody."""


def shown(x: Tensor, view: View) -> Tensor:
    """Rendered images [n, C, S, S] as cells [n, 3, CELL, CELL] in [0, 1]; pixels of small ones stay squares."""
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (view.mean, view.std))
    pixels = as_rgb((x.cpu().float() * std + mean).clamp(0, 1))
    if CELL % pixels.shape[-1] == 0:
        return F.interpolate(pixels, (CELL, CELL), mode="nearest")
    return F.interpolate(pixels, (CELL, CELL), mode="bicubic", antialias=True).clamp(0, 1)


def over(cells: Tensor, heat: Tensor, *, smooth: bool) -> Tensor:
    """Maps [n, r, s] in [0, 1] as colours over the greys of cells [n, 3, CELL, CELL].

    smooth  between places, rather than each place a square
    """
    size = cells.shape[-2:]
    large = F.interpolate(heat[:, None].float(), size, mode="bilinear" if smooth else "nearest")
    stops = torch.tensor([ImageColor.getrgb(colour) for colour in SCALE]) / 255  # [k, 3]
    at = large[:, 0].clamp(0, 1) * (len(stops) - 1)
    low = at.floor().long().clamp(max=len(stops) - 2)
    part = (at - low)[..., None]
    colours = (stops[low] * (1 - part) + stops[low + 1] * part).permute(0, 3, 1, 2)
    grey = cells.mean(dim=1, keepdim=True) * _LIGHT
    cover = 0.45 + 0.35 * large  # the image is seen through, less so where the map is high
    return (grey * (1 - cover) + colours * cover).clamp(0, 1)


def squares(colours: Tensor) -> Tensor:
    """Colours of places [n, 3, r, s] as cells [n, 3, CELL, CELL], each place a square."""
    return F.interpolate(colours.float(), (CELL, CELL), mode="nearest")


def write_sheet(rows: Sequence[Sequence[Tensor]], path: Path) -> None:
    """Write rows of cells [3, CELL, CELL] in [0, 1], as many in each, as one JPEG."""
    joined = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
    pixels = (joined * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    buffer = BytesIO()
    # Full colour resolution: with shared chroma the colours of neighbouring cells would bleed into each other.
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    write_atomically(path, buffer.getvalue())


def read_sheet(path: Path, rows: int, columns: int) -> list[list[Image.Image]]:
    """The cells of a sheet, row by row. ValueError for a picture of another size; OSError where it cannot be read."""
    with Image.open(path) as picture:
        sheet = picture.convert("RGB")
    if sheet.width % columns or sheet.height % rows or min(sheet.size) < 1:
        raise ValueError(f"{sheet.width} x {sheet.height} pixels are not {rows} rows of {columns} pictures")
    width, height = sheet.width // columns, sheet.height // rows
    return [
        [sheet.crop((j * width, i * height, (j + 1) * width, (i + 1) * height)) for j in range(columns)]
        for i in range(rows)
    ]
