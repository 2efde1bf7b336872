"""Files that end too early are told apart from files that are damaged."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from unlabel.data.decode import CUT_SHORT, decode
from unlabel.data.source import Unreadable
from unlabel.data.truncated import cut_short

KINDS = {
    "JPEG": {}, "JPEG progressive": {"progressive": True}, "PNG": {}, "GIF": {}, "WEBP": {}, "BMP": {}, "TIFF": {},
    "TIFF lzw": {"compression": "tiff_lzw"}, "PPM": {}, "JPEG2000": {},
}  # fmt: skip


def stored(kind: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind.split()[0], **KINDS[kind])
    return buffer.getvalue()


def refusal(content: bytes) -> str | None:
    try:
        decode(io.BytesIO(content), "x")
    except Unreadable as unreadable:
        return unreadable.reason
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_wherever_it_is_cut(kind):
    content = stored(kind)
    assert refusal(content) is None
    for share in (0.3, 0.5, 0.7, 0.9):
        assert refusal(content[: int(len(content) * share)]).startswith(CUT_SHORT), share


@pytest.mark.parametrize("kind", ["JPEG", "JPEG progressive", "PNG", "GIF"])
def test_damage_in_the_middle_is_no_cut(kind):
    content, draw, refused = stored(kind), np.random.default_rng(1), 0
    for _ in range(20):
        at = int(draw.integers(len(content) // 3, 2 * len(content) // 3))
        damaged = content[:at] + draw.bytes(20) + content[at + 20 :]
        reason = refusal(damaged)
        refused += reason is not None
        assert reason is None or not reason.startswith(CUT_SHORT)
    assert refused


def test_the_last_marker_of_a_thumbnail_inside_is_not_the_end():
    inside = b"\xff\xd8\xff\xd9"
    exif = b"\xff\xe1" + struct.pack(">H", 2 + len(inside)) + inside
    picture = stored("JPEG")
    content = picture[:2] + exif + picture[2:]
    assert refusal(content) is None
    assert refusal(content[: len(content) // 2]).startswith(CUT_SHORT)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", None), (b"hello", None), (b"\xff\xd8\xff", True), (b"\xff\xd8\xff\xe0\x00\x10JF", True),
        (b"\xff\xd8\xff\xff\xff\xd9", True), (b"\xff\xd8\xff" + bytes(100), False), (b"\x89PNG\r\n\x1a\n", True),
        (b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\x00IEND\xae\x42\x60\x82", False),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), False), (b"GIF89a", True), (b"GIF89a;\0\0", False), (b"BM", None),
        (b"BM\xff\xff\xff\x7f", True), (b"II*\0", True), (b"MM\0*\0\0\0\x08\0\0", None), (b"II*\0\xff\xff\xff\xff", True),
    ],
)  # fmt: skip
def test_what_little_says(content, expected):
    assert cut_short(io.BytesIO(content)) is expected


def test_any_bytes_behind_any_beginning_get_an_answer():
    draw = np.random.default_rng(2)
    for start in (
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF",
        b"BM",
        b"II*\0",
        b"MM\0*",
        b"\xff\x4f\xff\x51",
    ):
        for _ in range(60):
            assert cut_short(io.BytesIO(start + draw.bytes(int(draw.integers(0, 60))))) in (True, False, None)


def test_a_tiff_whose_strips_lie_behind_its_end():
    content = stored("TIFF")
    assert not cut_short(io.BytesIO(content))
    directory = struct.unpack_from("<I", content, 4)[0]
    for entry in range(struct.unpack_from("<H", content, directory)[0]):
        place = directory + 2 + 12 * entry
        if struct.unpack_from("<H", content, place)[0] == 273:  # where the only strip begins
            behind = content[: place + 8] + struct.pack("<I", len(content)) + content[place + 12 :]
    assert cut_short(io.BytesIO(behind))
