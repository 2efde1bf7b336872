"""The facts of one file are those of its pixels."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from unlabel.data.decode import decode, glance
from unlabel.data.facts import facts_of
from unlabel.data.source import Unreadable


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def smooth(height: int, width: int) -> Image.Image:
    return Image.fromarray(noise(6, 8)).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (31, 200), (300, 280)])
def test_grey_levels_are_pillows(tmp_path, size):
    picture = Image.fromarray(noise(*size))
    picture.save(tmp_path / "a.png")
    found, grey = facts_of(str(tmp_path / "a.png")), np.asarray(picture.convert("L"))
    assert (found.height, found.width, found.mode, found.format) == (*size, "RGB", "PNG")
    assert found.mean == pytest.approx(grey.mean()) and found.spread == pytest.approx(grey.std())
    assert found.small.shape == (32, 32)
    assert (found.small == np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.BOX))).all()
    assert (found.tones == np.asarray(picture.resize((8, 8), Image.Resampling.BOX))).all()
    assert found.reason is None and found.colour and found.size == os.path.getsize(tmp_path / "a.png")


def test_a_large_jpeg_is_decoded_small_and_its_facts_stay(tmp_path):
    picture = smooth(1500, 2000)
    picture.save(tmp_path / "a.jpg", quality=90)
    picture.resize((400, 300), Image.Resampling.BOX).save(tmp_path / "b.png")
    with open(tmp_path / "a.jpg", "rb") as stream:
        decoded, size = glance(stream, "a", 256)
    assert size == (1500, 2000) and decoded.pixels.shape == (3, 375, 500)
    large, small = facts_of(str(tmp_path / "a.jpg")), facts_of(str(tmp_path / "b.png"))
    assert (large.height, large.width) == (1500, 2000)
    assert large.mean == pytest.approx(small.mean, abs=0.5) and large.spread == pytest.approx(small.spread, abs=0.5)
    assert np.abs(large.small.astype(int) - small.small).max() <= 2


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_is_grey_however_it_is_stored(tmp_path, mode):
    smooth(40, 40).convert("L").convert(mode).save(tmp_path / "a.jpg")
    assert not facts_of(str(tmp_path / "a.jpg")).colour


def test_a_single_pixel_makes_a_colour(tmp_path):
    pixels = np.full((50, 50, 3), 90, np.uint8)
    pixels[49, 49, 2] = 91
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert facts_of(str(tmp_path / "a.png")).colour


def test_what_is_decoded_small_is_refused_as_what_is_decoded_whole():
    """Damage anywhere in a JPEG is seen at an eighth of its size too."""
    buffer, draw, refused = io.BytesIO(), np.random.default_rng(0), 0
    smooth(1100, 1100).save(buffer, "JPEG", quality=60)
    content = buffer.getvalue()
    for _ in range(60):
        at = int(draw.integers(0, len(content)))
        damaged = content[:at] + draw.bytes(int(draw.integers(1, 30))) + content[at + int(draw.integers(0, 30)) :]
        reasons = []
        for look in (lambda s: decode(s, "x"), lambda s: glance(s, "x", 64)):
            try:
                look(io.BytesIO(damaged))
                reasons.append(None)
            except Unreadable as unreadable:
                reasons.append(unreadable.reason)
        refused += reasons[0] is not None
        assert reasons[0] == reasons[1]
    assert refused


def test_what_is_no_picture_has_a_reason(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    buffer = io.BytesIO()
    smooth(60, 60).save(buffer, "JPEG")
    (tmp_path / "short.jpg").write_bytes(buffer.getvalue()[:500])
    (tmp_path / "text.jpg").write_bytes(b"hello")
    os.symlink("self.jpg", tmp_path / "self.jpg")
    os.symlink("/proc/self/mem", tmp_path / "failing.jpg")  # where there is one, reading it fails
    for name, cut in (
        ("folder.jpg", False),
        ("short.jpg", True),
        ("text.jpg", False),
        ("self.jpg", False),
        ("failing.jpg", False),
        ("none.jpg", False),
    ):
        found = facts_of(str(tmp_path / name))
        assert found.reason and found.cut == cut, name


def test_colours_of_one_lightness_are_not_constant(tmp_path):
    """Red and blue of the same grey level; each alone is constant, and so is what hardly varies."""
    pixels = np.full((20, 20, 3), (100, 0, 0), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "red.png")
    pixels[:10] = (0, 43, 41)
    Image.fromarray(pixels).save(tmp_path / "both.png")
    red, both = (facts_of(str(tmp_path / name)) for name in ("red.png", "both.png"))
    assert red.flat and red.spread == 0 and both.spread < 1 and not both.flat
