"""All pictures of an evaluation as one sprite: a report with two thousand images carries a single JPEG."""

import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from unlabel.errors import writing
from unlabel.views import as_rgb


def write_thumbnails(images: Iterable[Tensor], folder: Path, tile: int = 48) -> Path:
    """Writes thumbnails.jpg and thumbnails.json ({"tile", "columns", "count"}) into the folder.

    images  uint8 [C, H, W] of any size, in the order of the rows of embeddings.parquet; consumed one by one
    folder  made where it is absent
    tile    side in pixels: each image is shrunk (or enlarged) so that its shorter side fits, and cut to its centre
    Returns the path of thumbnails.jpg. Tile i lies in row i // columns, column i % columns.
    """
    tiles = [thumbnail(image, tile) for image in images]
    columns = max(1, math.ceil(math.sqrt(len(tiles))))
    rows = max(1, math.ceil(len(tiles) / columns))
    sprite = Image.new("RGB", (columns * tile, rows * tile))
    for i, picture in enumerate(tiles):
        sprite.paste(picture, ((i % columns) * tile, (i // columns) * tile))
    path, facts = folder / "thumbnails.jpg", {"tile": tile, "columns": columns, "count": len(tiles)}
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        # Full colour resolution: with shared chroma the colours of neighbouring tiles would bleed into each other.
        # Not optimised: that needs all of the file in one buffer, whose size Pillow guesses too low for noisy pictures.
        sprite.save(path, quality=85, subsampling=0)
        (folder / "thumbnails.json").write_text(json.dumps(facts), encoding="utf-8")
    return path


def thumbnail(image: Tensor, tile: int) -> Image.Image:
    """The central square of an image, uint8 [C, H, W], as a picture of `tile` pixels a side."""
    pixels = as_rgb(image.detach().cpu()).permute(1, 2, 0).numpy()  # [H, W, 3]
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    square = Image.fromarray(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
    return square.resize((tile, tile), Image.Resampling.BICUBIC, reducing_gap=3.0)
