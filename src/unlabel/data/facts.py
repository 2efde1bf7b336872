"""What a scan asks of one picture file: whether it can be read, and what its pixels are like."""

import hashlib
import os
from typing import NamedTuple

import numpy as np
from PIL import Image

from unlabel.data.decode import CUT_SHORT, glance, opened
from unlabel.data.findings import FLAT
from unlabel.data.folder import printable
from unlabel.data.perceptual import shrunk
from unlabel.data.source import Unreadable

LEAST = 256  # pixels: JPEGs are decoded no smaller than this a side


class Facts(NamedTuple):
    """Of one file.

    size:    bytes on disk.
    reason:  why it cannot be read, or None; what follows is then of no meaning.
    cut:     whether that is because it ends too early.
    width, height, format, mode: of the picture as the file has it, EXIF's turn applied.
    content: sha256 of the file.
    mean, spread: mean and standard deviation of the grey levels (0 to 255).
    flat:    whether the levels of no channel have a standard deviation of FLAT or more.
    colour:  whether any pixel is not grey.
    small:   uint8 [32, 32], the grey picture shrunk;  tones: uint8 [8, 8, 3], the picture shrunk more.
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
    flat: bool = True
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
    pixels = np.ascontiguousarray(decoded.pixels.permute(1, 2, 0).numpy())  # [H, W, 3]
    picture = Image.fromarray(pixels)
    grey = picture.convert("L")
    levels = np.array(grey.histogram()) / (grey.width * grey.height)
    mean = float(levels @ np.arange(256))
    red, green, blue = np.moveaxis(pixels, 2, 0)
    spread = float(levels @ (np.arange(256) - mean) ** 2) ** 0.5
    small, tones = shrunk(picture, grey)
    return Facts(
        size, None, False, width, height, decoded.format, decoded.mode, content, mean, spread,
        flat=spread < FLAT and bool(pixels.std((0, 1)).max() < FLAT),  # colours of one lightness are no constant
        colour=bool((red != green).any() or (green != blue).any()),
        small=small, tones=tones,
    )  # fmt: skip


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size
    except OSError:
        return 0
