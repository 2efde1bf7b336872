"""Plain JPEGs through the turbo decoder: Pillow's pixels, smaller where that is enough, and never a guess."""

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image
from torch import Tensor

from unlabel.data import jpeg
from unlabel.data.decode import decode, look_at_file
from unlabel.data.folder import Folder
from unlabel.data.jpeg import plain_jpeg
from unlabel.data.loader import ViewLoader
from unlabel.data.source import Cached, Unreadable
from unlabel.views import Recipe, View, boxes, named

PHOTO = Image.fromarray(load_sample_image("china.jpg"))  # 640 x 427


def encoded(picture: Image.Image = PHOTO, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", **{"quality": 90, **options})
    return stream.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(exif=exif)


def app(*segments: bytes, number: int = 1) -> bytes:
    """The photograph with application segments of these contents behind its first marker."""
    data, marker = encoded(), bytes([0xFF, 0xE0 + number])
    return data[:2] + b"".join(marker + struct.pack(">H", len(s) + 2) + s for s in segments) + data[2:]


def exif(*entries: tuple[int, int, int, int], order: str = "<", place: int = 8) -> bytes:
    """An EXIF segment whose first directory has these (tag, type, count, short)."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", place)
    rows = b"".join(struct.pack(order + "HHIHH", *entry, 0) for entry in entries)
    return b"Exif\0\0" + head + struct.pack(order + "H", len(entries)) + rows + bytes(4)


def xmp(text: str) -> bytes:
    return b"http://ns.adobe.com/xap/1.0/\0" + f"<x:xmpmeta><rdf:Description {text}</x:xmpmeta>".encode()


def as_pillow_turns_it(data: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options", [{}, {"quality": 30}, {"subsampling": 0}, {"progressive": True}, {"optimize": True}]
)
def test_pixels_are_pillows_to_the_bit(mode: str, options: dict) -> None:
    data = encoded(PHOTO.convert(mode), **options)
    plain = plain_jpeg(data)
    want = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert plain is not None and plain.size == (427, 640) and plain.mode == mode
    assert np.array_equal(plain.pixels().permute(1, 2, 0).numpy(), want)


def test_what_is_not_plain_is_left_to_pillow() -> None:
    assert plain_jpeg(turned(1)) is not None
    png = io.BytesIO()
    PHOTO.save(png, "PNG")
    for data in (
        turned(6),
        encoded(PHOTO.convert("CMYK")),
        png.getvalue(),
        b"",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff" + b"x" * 99,
    ):
        assert plain_jpeg(data) is None
    assert decode(io.BytesIO(turned(6)), "p").pixels.shape == (3, 640, 427)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_are_pillows(orientation: int) -> None:
    entry = (0x0112, 3, 1, orientation)
    for data in (
        turned(orientation),
        app(exif((0x0103, 3, 1, 6), entry, order="<")),
        app(exif((0x0103, 3, 1, 6), entry, order=">")),
        app(xmp(f'tiff:Orientation="{orientation}"/>')),
        app(xmp(f"><tiff:Orientation>{orientation}</tiff:Orientation>")),
        app(exif((0x0103, 3, 1, 6)), xmp(f'tiff:Orientation="{orientation}"/>')),
        app(exif((0x0112, 3, 1, 1)), xmp(f'tiff:Orientation="{orientation}"/>')),
        app(exif(entry), xmp('tiff:Orientation="1"/>')),
        app(xmp('tiff:Orientation="1"/>'), exif(entry)),
    ):
        got = decode(io.BytesIO(data), "p").pixels.permute(1, 2, 0).numpy()
        assert np.array_equal(got, as_pillow_turns_it(data))


def test_exif_far_from_the_start_counts() -> None:
    profile = [b"ICC_PROFILE\0" + bytes([k, 2]) + bytes(60_000) for k in (1, 2)]
    data = app(*profile, number=2)
    place = 2 + 2 * (60_014 + 4)
    data = data[:place] + app(exif((0x0112, 3, 1, 6)))[2:]
    assert plain_jpeg(data) is None and decode(io.BytesIO(data), "p").pixels.shape == (3, 640, 427)


SIX, ONE = (0x0112, 3, 1, 6), (0x0112, 3, 1, 1)


@pytest.mark.parametrize(
    "segments",
    [
        [exif(ONE, SIX)],  # said twice
        [exif(SIX, ONE)],
        [exif((0x0112, 4, 1, 6))],  # of other types
        [exif((0x0112, 1, 1, 6))],
        [exif((0x0112, 3, 2, 6))],  # two values
        [exif((0x0112, 3, 0, 6), SIX)],
        [exif((0x0112, 99, 1, 1), SIX)],
        [exif((0x010E, 2, 5000, 3), SIX)],  # text far beyond the end
        [exif(SIX, place=9)],
        [exif(SIX, place=4000)],
        [exif(SIX)[:-8]],
        [exif(SIX, (0x0128, 3, 1, 2))[:-8]],  # cut off behind it
        [exif(SIX)[:10]],
        [b"Exif\0\0"],
        [b"Exif\0\0" + exif(SIX)],  # its name twice
        [b"Exif\0\0XX*\0" + exif(SIX)[10:]],
        [exif(ONE), exif(SIX)],
        [exif()[:14], exif(SIX)[14:]],
        [b"", exif(SIX)],
        [exif(ONE, place=4000), xmp('tiff:Orientation="6"/>')],
    ],
)
def test_odd_exif_is_what_pillow_takes_it_for(segments: list[bytes]) -> None:
    data = app(*segments)
    got = decode(io.BytesIO(data), "p").pixels.permute(1, 2, 0).numpy()
    try:
        want = as_pillow_turns_it(data)
    except (SyntaxError, OSError, struct.error):
        want = np.asarray(Image.open(io.BytesIO(data)))
    assert np.array_equal(got, want)


def test_pillow_is_not_asked_about_what_is_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    clear = (
        encoded(),
        turned(1),
        app(exif()),
        app(exif(ONE, order=">"), xmp('tiff:Orientation="1"/>')),
        app(xmp("/>")),
    )
    odd = turned(2)
    monkeypatch.setattr(jpeg.Image, "open", lambda *_, **__: pytest.fail("asked"))
    assert all(plain_jpeg(data) is not None for data in clear)
    with pytest.raises(pytest.fail.Exception, match="asked"):
        plain_jpeg(odd)


def test_a_cut_off_picture_is_refused_as_before() -> None:
    data = encoded()[:20_000]
    assert plain_jpeg(data).pixels() is None
    with pytest.raises(Unreadable, match="cut short"):
        decode(io.BytesIO(data), "p")


@pytest.mark.parametrize(("least", "size"), [((200, 300), (214, 320)), ((214, 321), (427, 640)), ((50, 30), (54, 80))])
def test_a_picture_comes_as_small_as_is_enough(least: tuple[int, int], size: tuple[int, int]) -> None:
    small = plain_jpeg(encoded()).pixels(least)
    assert small.shape[1:] == size
    pillow = Image.open(io.BytesIO(encoded()))
    pillow.draft("RGB", (size[1] - 1, size[0] - 1))  # the same scaling in Pillow's way, which rounds down
    assert np.array_equal(small.permute(1, 2, 0).numpy(), np.asarray(pillow))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Eight JPEGs of 1,280 x 854 and a small one."""
    folder = tmp_path_factory.mktemp("photographs")
    large = PHOTO.resize((1280, 854))
    for i in range(8):
        (folder / f"{i}.jpg").write_bytes(encoded(large.rotate(20 * i)))
    (folder / "9.jpg").write_bytes(encoded(PHOTO.resize((90, 60))))
    return str(folder)


def batches(source, recipe: Recipe, count: int = 2) -> list:
    return list(ViewLoader([source], recipe, 4, seed=3, stop=count, threads=0))


class Whole(Folder):
    """The same pictures, never decoded smaller."""

    def look(self, i: int):
        return super(Folder, self).look(i)


def test_views_of_pictures_decoded_smaller_are_the_same_views(photographs: str) -> None:
    recipe = Recipe(
        views=(View(size=32, scale=(0.3, 1.0), jitter=(0.4, 0.4, 0.4, 0.1)), View(size=24, scale=(0.5, 1.0)))
    )
    smaller = 0
    for small, whole in zip(batches(Folder(photographs), recipe), batches(Whole(photographs), recipe), strict=True):
        assert torch.equal(small.index, whole.index)
        for view, x, y, mine, theirs in zip(
            recipe.views, small.views, whole.views, small.records, whole.records, strict=True
        ):
            pixel = 1 / np.minimum(mine["source_height"], mine["source_width"])
            assert (np.abs(boxes(mine) - boxes(theirs)).max(axis=1) <= pixel).all()
            assert (x - y).abs().mean() * 0.225 * 255 < 6
            smaller += int((mine["source_width"] < theirs["source_width"]).sum())
            assert (mine["source_height"] * 1.01 >= view.size * mine["source_height"] / mine["height"]).all()
    assert smaller > 8


def test_keeping_small_pictures_changes_nothing(photographs: str) -> None:
    """What is kept depends on what was asked for before; pixels must not, or a resumed run would differ."""
    cached = Cached(Folder(photographs), 1 << 30)
    for i in range(9):
        cached.image(i)
    assert set(cached._images) == {8}
    for a, b in zip(batches(cached, named("mae", 32)), batches(Folder(photographs), named("mae", 32)), strict=True):
        assert torch.equal(a.views[0], b.views[0])


def test_damage_behind_a_sound_header_is_noted_and_its_place_taken(photographs: str, tmp_path) -> None:
    for name in os.listdir(photographs):
        data = Path(photographs, name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2] if name == "3.jpg" else data)
    source = Folder(tmp_path)
    assert look_at_file(source.file(3), "3.jpg").size == (854, 1280)  # the header alone does not tell
    seen = [int(i) for batch in batches(source, named("simclr", 32), 4) for i in batch.index]
    assert 3 not in seen and list(source.skipped) == [3] and "cut short" in source.skipped[3].reason
    again = Folder(tmp_path)
    assert seen == [int(i) for batch in batches(again, named("simclr", 32), 4) for i in batch.index]


def test_a_users_transform_gets_the_whole_picture(photographs: str) -> None:
    sizes = []

    def transform(image: Image.Image) -> Tensor:
        sizes.append(image.size)
        return torch.zeros(3, 8, 8)

    batches(Folder(photographs), Recipe(views=(View(size=8, transform=transform), View(size=8))), 1)
    assert {(1280, 854), (90, 60)} >= set(sizes) and (1280, 854) in sizes
