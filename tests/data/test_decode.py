"""Every kind of picture file becomes uint8 [3, H, W]; whatever is none is refused with a reason."""

import io
import json
import logging
import os
import struct
import sys
import threading
import warnings
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from PIL import Image

from unlabel.data.decode import (
    MAX_PIXELS,
    SUFFIXES,
    Decoded,
    decode,
    decode_file,
    look_at_file,
    pixels,
    quiet,
    to_eight_bits,
)
from unlabel.data.source import Unreadable


@pytest.fixture(scope="module")
def hostile(shared_data):
    return shared_data("hostile")


@pytest.fixture(scope="module")
def corpora(shared_data):
    return shared_data("image_corpora")


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def stored(picture: Image.Image, kind: str, **options) -> io.BytesIO:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    stream.seek(0)
    return stream


def array(decoded: Decoded) -> np.ndarray:
    return decoded.pixels.permute(1, 2, 0).numpy()


def gradient(height: int = 6, width: int = 9) -> np.ndarray:
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


# Whole collections


def test_hostile_files_meet_every_expectation(hostile):
    wrong = []
    for entry in json.loads((hostile / "expected.json").read_text()):
        file = os.fsencode(hostile / entry["file"])
        if entry["expect"].startswith("skip") or not os.path.exists(file):
            continue  # what is skipped is the business of the folder that lists it
        try:
            image = decode_file(os.fsdecode(file), entry["file"]).pixels
            got = "load"
            assert image.dtype == torch.uint8 and image.shape[0] == 3
        except Unreadable as unreadable:
            got = "error"
            assert unreadable.reason and unreadable.path == entry["file"]
        if got not in entry["expect"]:
            wrong.append((entry["file"], entry["expect"], got))
    assert wrong == []


def test_odd_things_in_the_file_system_are_refused_or_read_and_never_hang(hostile):
    got = {}
    for name in ("dangling.jpg", "self.jpg", "link.jpg", "folder.jpg", "empty_class", "loop/up"):
        try:
            got[name] = tuple(decode_file(str(hostile / "odd" / name), name).pixels.shape)
        except Unreadable as unreadable:
            got[name] = unreadable.reason
    assert got["link.jpg"] == (3, 72, 96)
    assert got["dangling.jpg"] == "a link to a file that is not there"
    assert "symbolic link" in got["self.jpg"]
    assert all("folder" in got[name] for name in ("folder.jpg", "empty_class", "loop/up"))


def test_exif_orientations_all_turn_to_the_same_picture(hostile, corpora):
    upright = decode_file(str(hostile / "ok/exif/orientation_1.jpg"), "").pixels.float()
    for k in range(2, 9):
        turned = decode_file(str(hostile / f"ok/exif/orientation_{k}.jpg"), "").pixels.float()
        assert turned.shape == upright.shape
        assert (turned - upright).abs().mean() < 3.0, k  # compressed after turning, so not equal
    for kind in ("jpg", "webp"):
        first = decode_file(str(corpora / f"pillow/hopper_orientation_2.{kind}"), "").pixels.float()
        for k in range(3, 9):
            other = decode_file(str(corpora / f"pillow/hopper_orientation_{k}.{kind}"), "").pixels.float()
            assert other.shape == first.shape and (other - first).abs().mean() < 6.0, (kind, k)
    scans = [decode_file(str(corpora / f"pillow/g4_orientation_{k}.tif"), "").pixels for k in range(1, 9)]
    for scan in scans:  # text in black and white, of which some pixels at edges differ; the wrong way up, a tenth does
        assert (scan != scans[0]).float().mean() < 0.003
        assert (scan != scans[0].flip(1)).float().mean() > 0.03 < (scan != scans[0].flip(2)).float().mean()


def test_the_test_images_of_png_and_pillow(corpora):
    """PngSuite's broken files are refused, all others load; of Pillow's, those that Pillow itself cannot decode."""
    refused = set()
    for file in sorted(corpora.rglob("*")):
        if file.suffix in SUFFIXES:
            try:
                assert decode_file(str(file), file.name).pixels.dtype == torch.uint8
            except Unreadable as unreadable:
                refused.add(file.name)
                assert unreadable.reason
    broken = {file.name for file in (corpora / "pngsuite").glob("x*.png")}
    assert broken - refused == {"xcsn0g01.png"}  # a wrong checksum beside pixels that are right
    assert refused - broken <= {
        "00r0_gray_l.jp2", "00r1_graya_la.jp2", "balloon_eciRGBv2_aware.jp2", "hopper_webp.tif", "l2rgb_read.bmp",
        "libtiff_segfault.tif", "negative_size.ppm", "seek_too_large.tif", "unbound_variable.jp2",
    }  # fmt: skip


def test_lab_is_converted_by_colour_management(corpora):
    red = decode_file(str(corpora / "pillow/lab-red.tif"), "").pixels[:, 5, 5].tolist()
    green = decode_file(str(corpora / "pillow/lab-green.tif"), "").pixels[:, 5, 5].tolist()
    white = decode_file(str(corpora / "pillow/lab.tif"), "").pixels[:, 5, 5].tolist()
    assert red[0] > 240 and red[1] < 20
    assert green[0] < 20 and green[1] > 140
    assert min(white) > 250


def test_sixteen_bit_files_are_not_clipped_to_white(hostile, corpora):
    grey = decode_file(str(hostile / "ok/modes/grey16.png"), "").pixels
    assert 100 < grey.float().mean() < 160 and grey.float().std() > 20
    whole = decode_file(str(corpora / "pillow/16bit.cropped.tif"), "").pixels
    for name in ("16bit.MM.cropped.tif", "16bit.deflate.tif", "16bit.r.tif"):  # other byte orders and compressions
        assert torch.equal(decode_file(str(corpora / "pillow" / name), "").pixels, whole)


# Single rules


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("PPM", {})]
)
def test_lossless_files_give_the_very_pixels(kind, options):
    decoded = decode(stored(Image.fromarray(gradient()), kind, **options), "x")
    np.testing.assert_array_equal(array(decoded), gradient())
    assert (decoded.format, decoded.mode) == (kind, "RGB")


def test_animations_give_the_first_frame():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        decoded = decode(stored(frames[0], kind, save_all=True, append_images=frames[1:]), "x")
        r, g, b = decoded.pixels[:, 4, 4].tolist()
        assert r > 240 and g < 16 and b < 16, kind


def test_transparency_is_blended_over_white():
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[..., 0] = 200
    rgba[:, 0, 3], rgba[:, 1, 3], rgba[:, 2, 3] = 0, 51, 255  # clear, a fifth, opaque
    blended = array(decode(stored(Image.fromarray(rgba), "PNG"), "x"))
    assert blended[0].tolist() == [[255, 255, 255], [244, 204, 204], [200, 0, 0]]
    grey = np.array([[[100, 0], [100, 255]]], np.uint8)
    assert array(decode(stored(Image.fromarray(grey), "PNG"), "x"))[0, :, 0].tolist() == [255, 100]


def test_a_transparent_palette_entry_and_a_colour_key_are_white():
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    assert array(decode(stored(palette, "PNG", transparency=bytes([0, 255])), "x"))[0].tolist() == [
        [255] * 3,
        [40, 50, 60],
    ]
    assert array(decode(stored(palette, "GIF", transparency=1), "x"))[0].tolist() == [[10, 20, 30], [255] * 3]
    key = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert array(decode(stored(key, "PNG", transparency=(1, 2, 3)), "x"))[0].tolist() == [[255] * 3, [4, 5, 6]]
    grey = Image.fromarray(np.array([[7, 8]], np.uint8))
    assert array(decode(stored(grey, "PNG", transparency=7), "x"))[0, :, 0].tolist() == [255, 8]


def test_cmyk_grey_and_one_bit():
    ink = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    r, g, b = decode(stored(ink, "TIFF"), "x").pixels[:, 0, 0].tolist()
    assert (r, g, b) == (255, 0, 0)
    r, g, b = decode(stored(ink, "JPEG", quality=95), "x").pixels[:, 0, 0].tolist()  # inverted, as Adobe writes it
    assert r > 245 and g < 10 and b < 10
    grey = np.array([[3, 250]], np.uint8)
    np.testing.assert_array_equal(array(decode(stored(Image.fromarray(grey), "PNG"), "x")), np.stack([grey] * 3, -1))
    bits = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    assert array(decode(stored(bits, "PNG"), "x"))[0, :, 0].tolist() == [0, 255]


def test_premultiplied_grey_has_its_way_to_colour():
    grey = Image.fromarray(np.array([[[100, 255], [0, 0]]], np.uint8), "LA").convert("La")
    assert pixels(grey)[:, 0].tolist() == [[100, 255]] * 3


def test_broken_exif_beside_sound_pixels_is_ignored():
    stream = stored(Image.fromarray(gradient()), "PNG", exif=b"Exif\0\0" + b"\xff" * 40)
    np.testing.assert_array_equal(array(decode(stream, "x")), gradient())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 200, 255]], np.uint16), [0, 200, 255]),  # 8 bits in 16
        (np.array([[0, 512, 1023]], np.uint16), [0, 128, 255]),  # 10
        (np.array([[0, 2048, 4095]], np.uint16), [0, 128, 255]),  # 12
        (np.array([[0, 8192, 16383]], np.uint16), [0, 128, 255]),  # 14
        (np.array([[0, 32768, 65535]], np.uint16), [0, 128, 255]),  # 16
        (np.array([[0, 32768, 65535]], ">u2"), [0, 128, 255]),
        (np.array([[0, 32768, 65535]], np.int32), [0, 128, 255]),
        (np.array([[-100, 0, 100]], np.int32), [0, 128, 255]),
        (np.array([[1000, 2000, 101000]], np.int32), [0, 3, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.25, 0.5, 0.75]], np.float32), [64, 128, 191]),  # inside [0, 1]: not stretched
        (np.array([[-1.0, 0.0, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[100.0, 150.0, 200.0]], np.float32), [0, 128, 255]),
        (np.array([[np.nan, 0.0, 1.0, np.inf, -np.inf]], np.float32), [0, 0, 255, 255, 0]),
        (np.array([[5.0, 5.0]], np.float32), [128, 128]),
        (np.array([[-7, -7]], np.int32), [128, 128]),
    ],
)
def test_grey_of_any_depth_to_eight_bits(values, expected):
    assert to_eight_bits(values)[0].tolist() == expected


@given(hnp.arrays(np.uint16, (4, 5)))
@settings(max_examples=50, deadline=None)
def test_deep_grey_keeps_the_order_of_its_values_and_uses_a_quarter_of_the_range(values):
    eight = to_eight_bits(values)
    order = np.argsort(values, axis=None)
    assert (np.diff(eight.ravel()[order].astype(int)) >= 0).all()
    if values.max() >= 64:
        assert eight.max() >= 64


def test_no_finite_pixel_is_unreadable():
    nothing = Image.fromarray(np.full((2, 2), np.nan, np.float32))
    with pytest.raises(Unreadable, match="no pixel is a finite number"):
        decode(stored(nothing, "TIFF"), "x")


# What is refused


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"<?xml version='1.0'?>\n<svg xmlns='x'/>", "SVG"),
        (b"\0" * 300, "zero bytes"),
        (b"hello", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),  # no interpreter is ever started
    ],
)
def test_reasons(content, reason):
    with pytest.raises(Unreadable, match=reason) as caught:
        decode(io.BytesIO(content), "some/name.jpg")
    assert caught.value.path == "some/name.jpg"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_half_a_picture_is_no_picture(kind):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    content = stored(Image.fromarray(noise), kind).getvalue()
    decode(io.BytesIO(content), "x")
    with pytest.raises(Unreadable):
        decode(io.BytesIO(content[: len(content) // 2]), "x")


def test_too_many_pixels_are_refused_before_they_are_decoded():
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def png(side: int) -> io.BytesIO:
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
        return io.BytesIO(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"\x78\x9c"))

    with pytest.raises(Unreadable, match="178,956,970 pixels"):
        decode(png(int(MAX_PIXELS**0.5) + 1), "x")
    with pytest.raises(
        Unreadable, match="cut short"
    ):  # where Pillow would only warn; what is wrong is that none follow
        decode(png(9_500), "x")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(Unreadable, match="pipe"):
        decode_file(str(tmp_path / "pipe.jpg"), "pipe.jpg")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"x")
    (tmp_path / "x.jpg").chmod(0)
    with pytest.raises(Unreadable, match="permission"):
        decode_file(str(tmp_path / "x.jpg"), "x.jpg")


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs a file that fails while it is read")
@pytest.mark.parametrize("read", [decode_file, look_at_file])
def test_a_file_that_fails_while_it_is_read(tmp_path, read):
    (tmp_path / "x.jpg").symlink_to("/proc/self/mem")  # nothing is mapped at address 0
    with pytest.raises(Unreadable, match="Input/output error"):
        read(str(tmp_path / "x.jpg"), "x.jpg")


def test_files_do_not_stay_open(tmp_path):
    Image.fromarray(gradient()).save(tmp_path / "good.gif")
    (tmp_path / "bad.jpg").write_bytes(b"x")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(20):
        decode_file(str(tmp_path / "good.gif"), "")
        for name in ("bad.jpg", "", "nothing.jpg"):
            with pytest.raises(Unreadable):
                decode_file(str(tmp_path / name), "")
    if before:
        assert len(os.listdir("/proc/self/fd")) == before


def test_our_own_mistakes_are_not_called_damage(monkeypatch):
    def mistaken(picture):
        raise KeyError("a bug")

    monkeypatch.setattr("unlabel.data.decode._pixels", mistaken)
    with pytest.raises(KeyError):
        decode(stored(Image.fromarray(gradient()), "PNG"), "x")


# Warnings


def test_pillow_is_quiet_and_others_are_not():
    def warn_as(module: str) -> None:
        warnings.warn_explicit("odd EXIF", UserWarning, "file.py", 1, module=module)

    filters = list(warnings.filters)
    with quiet():
        warn_as("PIL.TiffImagePlugin")
        with pytest.raises(UserWarning):
            warn_as("somewhere.else")
    with pytest.raises(UserWarning):
        warn_as("PIL.TiffImagePlugin")
    assert list(warnings.filters) == filters


def test_quiet_ends_with_the_last_of_overlapping_threads():
    filters = list(warnings.filters)
    first_in, second_out = threading.Event(), threading.Event()

    def outer():
        with quiet():
            first_in.set()
            second_out.wait(5)

    thread = threading.Thread(target=outer)
    thread.start()
    first_in.wait(5)
    with quiet():
        pass
    assert list(warnings.filters) != filters  # the other thread still decodes
    second_out.set()
    thread.join()
    assert list(warnings.filters) == filters


def test_what_pillow_logs_is_not_printed():
    """Without any handler, Python prints errors that libraries log to stderr."""
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("PIL").handlers)
