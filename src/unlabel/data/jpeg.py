"""Plain JPEGs through libjpeg-turbo, at a fraction of their size where that is enough.

A JPEG can be decoded at half its size and less in a fraction of the time, for its coefficients are already
frequencies. What is not plain (turned by EXIF or XMP, CMYK, damaged in any way) is left to Pillow and the rules of
`decode`.

A crop is not decoded alone: simplejpeg scales what it decodes and has no way to ask for a region.
"""

import io
import re
import struct
from dataclasses import dataclass

import simplejpeg
import torch
from PIL import ExifTags, Image
from torch import Tensor

from unlabel.data.pillow import DECODING, quiet

START = b"\xff\xd8\xff"
"""The first bytes of every JPEG."""

# Markers (ITU-T T.81, table B.1): those that may stand before the pixels and are followed by their length, and two.
_WITH_LENGTH = frozenset({*range(0xC0, 0xC8), *range(0xC9, 0xD0), 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE})
_APP1, _SCAN = 0xE1, 0xDA
_EXIF = b"Exif\0\0"
_SHORT = 3  # the type of an EXIF value
_XMP_TURNS = re.compile(rb'tiff:Orientation(?!="1"|>1<)')  # Pillow looks there too
_PLAIN = ("Gray", "YCbCr", "RGB")


@dataclass(frozen=True)
class Jpeg:
    """The bytes of a plain JPEG, its header read. size: (height, width)."""

    data: bytes
    size: tuple[int, int]
    mode: str

    def pixels(self, least: tuple[int, int] | None = None) -> Tensor | None:
        """uint8 [3, H, W], channels side by side in memory; None where the file is damaged.

        least  (height, width) that is large enough: a picture at least twice as large is decoded smaller
        """
        height, width = least or self.size
        halved = 2 * height <= self.size[0] and 2 * width <= self.size[1]
        try:
            array = (
                simplejpeg.decode_jpeg(self.data, min_height=height, min_width=width, min_factor=2)
                if halved
                else simplejpeg.decode_jpeg(self.data)
            )
        except ValueError:
            return None
        return torch.from_numpy(array).permute(2, 0, 1)


def plain_jpeg(data: bytes) -> Jpeg | None:
    """The header of a JPEG that can be decoded here; None for whatever Pillow should look at."""
    if not data.startswith(START):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    if colours not in _PLAIN or _turned(data):
        return None
    return Jpeg(data, (height, width), "L" if colours == "Gray" else "RGB")


def _turned(data: bytes) -> bool:
    """Whether EXIF or XMP says that the picture is stored turned, or might say so."""
    if _upright(data):
        return False
    try:
        with quiet(), Image.open(io.BytesIO(data), formats=["JPEG", "MPO"]) as picture:
            return picture.getexif().get(ExifTags.Base.Orientation, 1) != 1
    except DECODING:  # whatever is wrong with it, Pillow's own path knows what to do
        return True


def _upright(data: bytes) -> bool:
    """Whether nothing that stands before the pixels can be taken to turn them. False where anything is odd."""
    at = 2
    while len(data) >= at + 4 and data[at] == 0xFF:
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _SCAN:
            return True
        if marker not in _WITH_LENGTH:
            return False
        if marker == _APP1:
            segment = data[at + 4 : end]
            if segment.startswith(_EXIF):
                if not _exif_upright(segment[len(_EXIF) :]):
                    return False
            elif _XMP_TURNS.search(segment):
                return False
        at = end
    return False


def _exif_upright(tiff: bytes) -> bool:
    """Whether the first directory of EXIF is whole and says nothing of an orientation but, once, that it is 1."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return False
    try:
        (place,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, place)
        entry = struct.Struct(order + "HHIH2x")  # tag, type, how many values, the first where it is a short
        found = [entry.unpack_from(tiff, place + 2 + 12 * k) for k in range(count)]
    except struct.error:
        return False
    said = [rest for tag, *rest in found if tag == ExifTags.Base.Orientation]
    return not said or said == [[_SHORT, 1, 1]]
