"""Whether a picture file ends before its picture does: such files come of broken downloads and full disks.

Asked only of files that could not be decoded. Each format says where it ends: JPEG and JPEG 2000 by a last marker, PNG
by a last chunk, GIF by a last byte, WebP and BMP by a length at their start, TIFF by where its strips or tiles lie.
"""

import os
import struct
from typing import IO

_NUMBERS = {3: ("H", 2), 4: ("I", 4)}  # kinds of numbers in a TIFF: of struct, and bytes
_OFFSETS, _COUNTS = (273, 324), (279, 325)  # TIFF 6.0: where strips and tiles begin, and how long they are
_MOST = 1 << 16  # entries of a directory of a TIFF that are looked at


def cut_short(stream: IO[bytes]) -> bool | None:
    """Whether the file in `stream`, which holds no picture that can be read, ends too early; None: nothing says so.

    True and False are of files that say where they end; a file that is damaged in its middle is not cut short. The
    stream is read from its start, and left anywhere.
    """
    length = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    head = stream.read(12)
    stream.seek(0)
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg(stream.read())
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(stream, length)
    if head.startswith(b"GIF8"):
        return not stream.read().rstrip(b"\0").endswith(b"\x3b")
    if head.startswith(b"RIFF") and len(head) >= 8:
        return 8 + int.from_bytes(head[4:8], "little") > length or None
    if head.startswith(b"BM") and len(head) >= 6:
        return int.from_bytes(head[2:6], "little") > length or None
    if head.startswith(b"\xff\x4f\xff\x51") or head[4:].startswith(b"jP  \r\n"):
        return b"\xff\xd9" not in stream.read()[-16:]
    if head[:4] in (b"II*\0", b"MM\0*"):
        return _tiff(stream.read(), "<" if head.startswith(b"II") else ">") or None
    return None


def _jpeg(data: bytes) -> bool:
    """Markers up to the first scan, then a search for the last one, which stands nowhere in the data of a scan."""
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return False  # no marker where one must be
        kind = data[place + 1]
        if kind == 0xFF:  # padding
            place += 1
        elif kind == 0xDA:
            return data.find(b"\xff\xd9", place) < 0
        elif kind == 0xD9:
            return False
        elif kind == 0x01 or 0xD0 <= kind <= 0xD7:  # these have no length
            place += 2
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return True


def _png(stream: IO[bytes], length: int) -> bool:
    place = 8
    while place + 12 <= length:
        stream.seek(place)
        size, kind = struct.unpack(">I4s", stream.read(8))
        if not kind.isalpha():
            return False  # lengths are not to be believed
        if kind == b"IEND":
            return False
        place += 12 + size
    return True


def _tiff(data: bytes, order: str) -> bool:
    """Whether the first directory, or a strip or tile it speaks of, lies behind the end."""
    if len(data) < 8:
        return True
    (place,) = struct.unpack_from(f"{order}I", data, 4)
    if place + 2 > len(data):
        return True
    (entries,) = struct.unpack_from(f"{order}H", data, place)
    if place + 2 + 12 * entries > len(data):
        return True
    starts: list[int] = []
    sizes: list[int] = []
    for entry in range(entries):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, place + 2 + 12 * entry)
        if tag not in _OFFSETS + _COUNTS or kind not in _NUMBERS or not 0 < count <= _MOST:
            continue
        letter, size = _NUMBERS[kind]
        where = place + 2 + 12 * entry + 8
        if size * count > 4:  # too much for the entry itself, which says where it is instead
            (where,) = struct.unpack_from(f"{order}I", data, where)
        if where + size * count > len(data):
            return True
        values = struct.unpack_from(f"{order}{count}{letter}", data, where)
        (starts if tag in _OFFSETS else sizes).extend(values)
    return any(start + size > len(data) for start, size in zip(starts, sizes, strict=False))
