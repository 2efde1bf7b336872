"""Pillow's manners: what it raises on damaged files, and keeping it quiet about odd ones."""

import logging
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageCms

# What Pillow raised on a hundred thousand damaged files, and the errors of the decoders it documents.
DECODING = (
    OSError,
    SyntaxError,
    ValueError,
    RuntimeError,  # AVIF
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    ImageCms.PyCMSError,
)

# Pillow logs some failures that it also raises; without a handler, logging would print them into a progress bar.
logging.getLogger("PIL").addHandler(logging.NullHandler())

# Pillow warns of odd EXIF, odd TIFF tags and the like, once for each odd file. Python's own way of silencing a few
# lines (`warnings.catch_warnings`) restores what it found and so goes wrong in threads; this adds one filter when the
# first thread starts to decode and takes that one away when the last is done.
_PILLOW = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_decoding_now = 0
_counting = threading.Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings from Pillow's modules meanwhile; those of others come through. Threads may nest and overlap."""
    global _decoding_now
    with _counting:
        _decoding_now += 1
        if _PILLOW not in warnings.filters:
            warnings.filters.insert(0, _PILLOW)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        with _counting:
            _decoding_now -= 1
            if _decoding_now == 0 and _PILLOW in warnings.filters:
                warnings.filters.remove(_PILLOW)  # type: ignore[attr-defined]
