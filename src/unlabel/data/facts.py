"""What a scan asks of one picture file: whether it can be read, and what its pixels are like."""

import hashlib
import os
from typing import NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from unlabel.data.decode import CUT_SHORT, glance, opened
from unlabel.data.folder import printable
from unlabel.data.perceptual import SIDE, TONES
from unlabel.data.source import Unreadable

LEAST = 256  # pixels: JPEGs are decoded no smaller than this a side
_STRIP = 1 << 20  # pixels whose grey is worked out at once


class Facts(NamedTuple):
    """Of one file.

    size:    bytes on disk.
    reason:  why it cannot be read, or None; what follows is then of no meaning.
    cut:     whether that is because it ends too early.
    width, height, format, mode: of the picture as the file has it, EXIF's turn applied.
    content: sha256 of the file.
    mean, spread: mean and standard deviation of the grey levels (0 to 255).
    colour:  whether any pixel is not grey.
    small:   uint8 [32, 32], the grey picture shrunk;  tones: uint8 [3, 8, 8], the picture shrunk more.
    """

    size: int
    reason: str | None = None
    cut: bool = False
    width: int = 0
    height: int = 0
    format: str = ""
    mode: str = ""
    content: bytes = b""
    mean: float = 0.0
    spread: float = 0.0
    colour: bool = False
    small: np.ndarray = np.zeros((0, 0), np.uint8)
    tones: np.ndarray = np.zeros((0, 0, 0), np.uint8)


def facts_of(file: str) -> Facts:
    """The facts of the file named `file`; nothing that it holds, or that it is not, raises.

    Grey levels and colours are those of the picture decoded at 256 pixels a side or more, where it is larger.
    """
    size = _size(file)
    try:
        with opened(file, printable(file)) as stream:  # first, since it refuses pipes and devices
            content = hashlib.file_digest(stream, "sha256").digest()
            stream.seek(0)
            decoded, (height, width) = glance(stream, printable(file), LEAST)
    except Unreadable as unreadable:
        return Facts(size, unreadable.reason, unreadable.reason.startswith(CUT_SHORT))
    except OSError as error:  # such as a disk that fails while it is read
        return Facts(size, error.strerror or str(error))
    grey, colour = _grey(decoded.pixels)
    picture = Image.fromarray(grey)
    levels = np.array(picture.histogram()) / grey.size
    mean = float(levels @ np.arange(256))
    spread = float(levels @ (np.arange(256) - mean) ** 2) ** 0.5
    small = _shrunk(picture, SIDE)
    tones = np.stack([_shrunk(Image.fromarray(channel), TONES) if colour else _shrunk(picture, TONES)
                      for channel in decoded.pixels.numpy()])  # fmt: skip
    form, mode = decoded.format, decoded.mode
    return Facts(size, None, False, width, height, form, mode, content, mean, spread, colour, small, tones)


def _shrunk(picture: Image.Image, side: int) -> np.ndarray:
    """The means over side x side equal areas, uint8 [side, side]."""
    return np.asarray(picture.resize((side, side), Image.Resampling.BOX))


def _grey(pixels: Tensor) -> tuple[np.ndarray, bool]:
    """Luma (299 R + 587 G + 114 B) / 1000 of pixels [3, H, W] as uint8 [H, W], and whether any pixel has a colour.

    By strips: of a large photograph nothing more is held than its pixels and its grey.
    """
    whole = pixels.numpy()
    _, height, width = whole.shape
    grey = np.empty((height, width), np.uint8)
    colour = False
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        red, green, blue = whole[:, top : top + rows]
        colour = colour or bool((red != green).any() or (green != blue).any())
        luma = red.astype(np.uint32) * 19595
        luma += green.astype(np.uint32) * 38470
        luma += blue.astype(np.uint32) * 7471
        luma += 1 << 15
        grey[top : top + rows] = luma >> 16
    return grey, colour


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size
    except OSError:
        return 0
