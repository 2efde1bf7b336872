"""One picture file to a uint8 tensor [3, H, W], whatever the file holds; or `Unreadable` with a reason.

What is decided here, once, for every source of encoded pictures:

- Animations and multi-page files: the first frame.
- EXIF orientation is applied, or that of XMP where EXIF has none. EXIF that cannot be parsed is ignored.
- Transparent pixels are blended over white, also where a palette or a colour key makes them transparent.
- Grey pictures get three equal channels; CMYK, YCbCr, HSV and palettes are converted by Pillow, LAB by its
  colour management; ICC profiles are otherwise ignored, as is usual in training.
- 16-bit grey: the depth is the smallest of 8, 10, 12, 14, 16 bits that holds the picture's largest value (sensors
  have these), and the upper 8 bits of that depth are kept. 16-bit colour: the upper 8 bits (Pillow).
- Float pixels in [0, 1] are multiplied by 255. Other floats, and 32-bit integers outside [0, 65535], are
  stretched from their smallest value to their largest; NaN and infinities become the nearer end.
- More than 178,956,970 pixels (Pillow's limit, half a gigabyte decoded) are refused before any are decoded.
- A truncated or damaged file is refused as a whole: half a picture would be an invention.
"""

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, NamedTuple

import numpy as np
import torch
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError
from torch import Tensor

from unlabel.data.jpeg import START, Jpeg, plain_jpeg
from unlabel.data.pillow import DECODING, quiet
from unlabel.data.source import SMALL, Look, Unreadable
from unlabel.data.truncated import cut_short

# Suffixes that make a file a picture, and the only formats that are tried on its content. Formats without a
# signature (TGA) or with an interpreter behind them (EPS, PDF, WMF) stay out.
SUFFIXES = frozenset(
    f".{suffix}"
    for line in (
        "jpg jpeg jpe jfif mpo png apng webp gif bmp dib tif tiff",
        "ico jp2 j2k jpx avif ppm pgm pbm pnm",
    )
    for suffix in line.split()
)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "ICO", "JPEG2000", "AVIF", "PPM")
MAX_PIXELS = 178_956_970
CUT_SHORT = "cut short"
"""How the reason begins where a file ends before its picture does."""

_UPRIGHT = {  # EXIF 2.32, tag 0x0112: how to turn the stored picture
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Decoded(NamedTuple):
    """A decoded picture and what the file said of itself.

    pixels: uint8 [3, H, W];  format: such as "JPEG";  mode: Pillow's name of the channels, such as "CMYK".
    """

    pixels: Tensor
    format: str
    mode: str


def decode_file(file: str, path: str) -> Decoded:
    """Decode the file named `file` (as the file system has it); `path` is its printable name for errors.

    Raises Unreadable for whatever is no readable picture: also folders, pipes and links to nothing.
    """
    with opened(file, path) as stream:
        return decode(stream, path)


def look_at_file(file: str, path: str) -> Look:
    """The picture in a file, its size read: a large plain JPEG waits until it is known how large it is needed.

    Raises Unreadable as `decode_file` does, and so may the `pixels` of what is returned.
    """
    with opened(file, path) as stream:
        return _look_at(stream, path, lambda: decode_file(file, path))


def look_at(content: bytes, path: str) -> Look:
    """The same of a file that is in memory."""
    return _look_at(io.BytesIO(content), path, lambda: decode(io.BytesIO(content), path))


def _look_at(stream: IO[bytes], path: str, whole: Callable[[], Decoded]) -> Look:
    jpeg = _jpeg(stream)
    if jpeg is None or jpeg.size[0] * jpeg.size[1] <= SMALL:
        return Look.of(_decoded(stream, jpeg, path).pixels)

    def pixels(least: tuple[int, int] | None) -> Tensor:
        decoded = jpeg.pixels(least)
        return whole().pixels if decoded is None else decoded

    return Look(jpeg.size, pixels)


@contextmanager
def opened(file: str, path: str) -> Iterator[io.BufferedReader]:
    """The file named `file` open for reading; Unreadable where it cannot be opened or read, or is none."""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for somebody to write into it.
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise Unreadable(path, _why_not_opened(file, error)) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise Unreadable(path, "not a file but a folder, a pipe or a device")
    try:
        with os.fdopen(descriptor, "rb") as stream:
            yield stream
    except OSError as error:  # such as a disk that fails while it is read
        raise Unreadable(path, error.strerror or str(error)) from None


def _jpeg(stream: IO[bytes]) -> Jpeg | None:
    """The stream as a plain JPEG of acceptable size, if it is one; the stream is at its start again afterwards."""
    start = stream.read(len(START))
    jpeg = plain_jpeg(start + stream.read()) if start == START else None
    stream.seek(0)
    return jpeg if jpeg is not None and jpeg.size[0] * jpeg.size[1] <= MAX_PIXELS else None


def decode(stream: IO[bytes], path: str) -> Decoded:
    """Decode an open file or io.BytesIO; `path` is its printable name for errors.

    Raises Unreadable.
    """
    return _decoded(stream, _jpeg(stream), path)


def glance(stream: IO[bytes], path: str, least: int) -> tuple[Decoded, tuple[int, int]]:
    """As `decode`, but a picture larger than `least` pixels a side may come smaller, not below that; and its size.

    What is refused by one is refused by the other: nothing that a file holds is left undecoded. Returns the picture
    with its (height, width) as it is in the file.
    """
    jpeg = _jpeg(stream)
    pixels = None if jpeg is None else jpeg.pixels((least, least))
    if jpeg is not None and pixels is not None:
        return Decoded(pixels, "JPEG", jpeg.mode), jpeg.size
    decoded = _decoded(stream, None, path)  # not plain, or damaged: for Pillow to judge
    return decoded, (decoded.pixels.shape[1], decoded.pixels.shape[2])


def _decoded(stream: IO[bytes], jpeg: Jpeg | None, path: str) -> Decoded:
    """What the stream holds; `jpeg` is what `_jpeg` made of it."""
    try:
        decoded = None if jpeg is None else jpeg.pixels()
        if jpeg is not None and decoded is not None:
            return Decoded(decoded, "JPEG", jpeg.mode)
        with quiet(), Image.open(stream, formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise Unreadable(path, f"{width} x {height} pixels, more than the {MAX_PIXELS:,} that are read")
            mode, kind = picture.mode, picture.format or "unknown"
            picture.load()
            array = _pixels(_upright(picture))
    except UnidentifiedImageError:
        raise Unreadable(path, _why_not_a_picture(stream)) from None
    except Image.DecompressionBombError:
        raise Unreadable(path, f"more than the {MAX_PIXELS:,} pixels that are read") from None
    except DECODING as error:
        raise Unreadable(path, _what_is_wrong(stream, error)) from None
    return Decoded(torch.from_numpy(array), kind, mode)


def pixels(picture: Image.Image) -> Tensor:
    """The pixels of a loaded Pillow image as uint8 [3, H, W], by the rules at the head of this file."""
    return torch.from_numpy(_pixels(picture))


def to_eight_bits(values: np.ndarray) -> np.ndarray:
    """Grey values of any depth, [H, W] integers or floats, as uint8 [H, W].

    Raises ValueError where no value is a finite number.
    """
    if values.dtype.kind in "ui" and values.min() >= 0 and values.max() <= 0xFFFF:
        depth = next(bits for bits in (8, 10, 12, 14, 16) if values.max() < 1 << bits)
        return (values >> (depth - 8)).astype(np.uint8)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise ValueError("no pixel is a finite number")
    low, high = float(finite.min()), float(finite.max())
    if values.dtype.kind == "f" and low >= 0.0 and high <= 1.0:
        low, high = 0.0, 1.0
    if low == high:  # nothing to stretch: a flat picture stays flat, in the middle
        return np.full(values.shape, 128, np.uint8)
    unit = (np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low) - low) / (high - low)
    return np.round(255 * unit).astype(np.uint8)


def _pixels(picture: Image.Image) -> np.ndarray:
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return np.repeat(to_eight_bits(np.asarray(picture))[None], 3, axis=0)
    if picture.mode in ("L", "1") and "transparency" not in picture.info:
        return np.repeat(np.asarray(picture.convert("L"))[None], 3, axis=0)
    return np.array(np.moveaxis(np.asarray(_rgb(picture)), 2, 0), order="C")


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in picture.info:
        if picture.mode == "La":  # premultiplied grey has no direct way to RGBA
            picture = picture.convert("LA")
        colour = picture.convert("RGBA")
        white = Image.new("RGBA", colour.size, "white")
        return Image.alpha_composite(white, colour).convert("RGB")
    if picture.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
        if converted is None:  # only when converting in place
            raise ValueError("no conversion from LAB")
        return converted
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _upright(picture: Image.Image) -> Image.Image:
    try:
        turn = _UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except DECODING:  # broken EXIF beside sound pixels
        return picture
    return picture if turn is None else picture.transpose(turn)


def _why_not_opened(file: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "a link to a file that is not there" if os.path.islink(file) else "no longer there"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    return error.strerror or str(error)


def _what_is_wrong(stream: IO[bytes], error: Exception) -> str:
    said = str(error) or type(error).__name__
    short = cut_short(stream)
    if short or (short is None and "truncated" in said.lower()):
        return f"{CUT_SHORT}: the file ends before the picture does"
    return f"damaged: {said}" if str(error) else f"damaged ({said})"


def _why_not_a_picture(stream: IO[bytes]) -> str:
    stream.seek(0)
    head = stream.read(512).lstrip().lower()
    if not head:
        return "the file is empty"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer and not the picture itself: fetch it with `git lfs pull`"
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page, saved by a download that failed"
    if head.startswith(b"<svg") or b"<svg" in head:
        return "a vector picture (SVG), which has no pixels"
    if not head.strip(b"\0"):
        return "nothing but zero bytes"
    if cut_short(stream):
        return f"{CUT_SHORT}: the file ends before the picture begins"
    return "not a picture, or too damaged to tell"
