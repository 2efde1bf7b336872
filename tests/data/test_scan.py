"""A scan tells what a folder holds and changes nothing."""

import io
import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unlabel.data.facts import Facts
from unlabel.data.findings import Leak, Scan
from unlabel.data.scan import _read, scan
from unlabel.errors import Fault


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    for k, (name, size, mode) in enumerate(
        [
            ("cat/a.jpg", (64, 48), "RGB"), ("cat/b.png", (30, 30), "L"), ("dog/c.png", (200, 20), "RGBA"),
            ("dog/d.png", (8, 300), "P"), ("dog/e.bmp", (1100, 2100), "RGB"),
        ]
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(k).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).convert(mode).save(root / name)
    (root / "cat/same.png").write_bytes((root / "cat/b.png").read_bytes())
    (root / "dog/empty.jpg").write_bytes(b"")
    (root / "dog/text.gif").write_bytes(b"hello")
    (root / "notes.txt").write_bytes(b"hello")
    (root / ".hidden.jpg").write_bytes(b"hello")
    return root


def test_everything_a_scan_counts(photos):
    seen = []
    found = scan(photos, progress=lambda done, total: seen.append((done, total)))
    assert (found.readable, found.ignored, found.splits) == (6, 1, None)
    assert found.unreadable == [
        (f"{photos}/dog/empty.jpg", "the file is empty"),
        (f"{photos}/dog/text.gif", "not a picture, or too damaged to tell"),
    ]
    assert found.tiny == [f"{photos}/dog/d.png"] and found.huge == []
    assert found.duplicates == [[f"{photos}/cat/b.png", f"{photos}/cat/same.png"]]
    assert (found.smallest, found.largest) == ((30, 30), (1100, 2100))
    assert found.sides == {"below 16": 1, "16 to 31": 3, "32 to 63": 1, "1024 to 2047": 1}
    assert found.aspects == {"square": 2, "up to 3:2": 1, "up to 2:1": 1, "longer": 2}
    assert found.formats == {"PNG": 4, "JPEG": 1, "BMP": 1}
    assert found.modes == {"L": 2, "RGB": 2, "RGBA": 1, "P": 1}
    assert found.classes == {"cat": 3, "dog": 3}
    files = [os.path.join(folder, name) for folder, _, names in os.walk(photos) for name in names]
    assert found.bytes == sum(map(os.path.getsize, files)) - 10  # without the notes and the hidden file
    assert seen == [(8, 8)]
    assert found.colours == {"colour": 4, "grey": 2}
    assert (found.shorter_side, found.training) == (30.0, 6)
    assert found.balance == ("cat", "dog", 1.0)
    assert found.truncated == found.constant == found.near == found.leaks == found.conflicts == []
    json.dumps(asdict(found))


def cloud(seed: int, size: tuple[int, int] = (80, 60)) -> Image.Image:
    """Another picture for every seed, with much at low frequencies."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def save(picture: Image.Image, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return str(path)


def test_files_that_end_too_early_are_told_from_others(tmp_path):
    buffer = io.BytesIO()
    cloud(0).save(buffer, "JPEG")
    (tmp_path / "half.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    (tmp_path / "text.jpg").write_bytes(b"hello")
    found = scan(tmp_path)
    assert [path for path, _ in found.unreadable] == [f"{tmp_path}/half.jpg", f"{tmp_path}/text.jpg"]
    assert found.truncated == [f"{tmp_path}/half.jpg"]


def test_nearly_constant_pictures_are_named_and_are_nobodys_duplicates(tmp_path):
    """A standard deviation of 2.9 counts as none, of 3.1 does not."""
    for name, deviation in (("less", 2.9), ("more", 3.1)):
        pixels = np.full((64, 64), 100, np.float64)
        pixels[:, ::2] += deviation
        pixels[:, 1::2] -= deviation
        for level in (0, 60):  # rounded as a dither rounds: the mean deviation stays
            dithered = np.floor(pixels + level + np.random.default_rng(0).random((64, 64)))
            save(Image.fromarray(dithered.astype(np.uint8)), tmp_path / f"{name}{level}.png")
    for level in (0, 128, 255):
        save(Image.new("L", (64, 64), level), tmp_path / f"flat{level}.png")
    found = scan(tmp_path)
    flats = [f"{tmp_path}/flat{level}.png" for level in (0, 128, 255)]
    assert found.constant == [*flats, f"{tmp_path}/less0.png", f"{tmp_path}/less60.png"]
    assert found.near == [[f"{tmp_path}/more0.png", f"{tmp_path}/more60.png"]]


def test_brightness_has_ten_bins(tmp_path):
    for level in (0, 25, 26, 100, 254, 255):
        save(Image.new("L", (20, 20), level), tmp_path / f"{level}.png")
    assert scan(tmp_path).brightness == {"0 to 25.5": 2, "25.5 to 51": 1, "76.5 to 102": 1, "229.5 to 255": 2}


def test_near_duplicates_leave_out_exact_ones_but_for_the_first(tmp_path):
    a = save(cloud(0), tmp_path / "a.png")
    b = save(cloud(0, (200, 150)), tmp_path / "b.png")
    save(cloud(1), tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes(Path(a).read_bytes())
    found = scan(tmp_path)
    assert found.duplicates == [[a, f"{tmp_path}/d.png"]]
    assert found.near == [[a, b]]


def test_what_is_in_two_splits_is_a_leak_and_in_two_classes_a_conflict(tmp_path):
    train, test = tmp_path / "train", tmp_path / "test"
    for k in range(4):
        save(cloud(k), train / "cat" / f"{k}.png")
    for k in range(4, 6):
        save(cloud(k), train / "dog" / f"{k}.png")
    save(cloud(9), test / "cat" / "9.png")
    same = save(cloud(0), test / "cat" / "same.png")
    near = save(cloud(1, (160, 120)), test / "cat" / "near.png")
    copy = save(cloud(4), train / "cat" / "copy.png")
    large = save(cloud(4, (160, 120)), test / "dog" / "large.png")
    found = scan(tmp_path)
    assert found.leaks == [
        Leak("exact", [same, f"{train}/cat/0.png"]),
        Leak("near", [near, f"{train}/cat/1.png"]),
        Leak("near", [large, copy, f"{train}/dog/4.png"]),  # the copy of a copy counts
    ]
    assert (found.leaked("exact"), found.leaked("near"), found.leaked("run")) == (1, 2, 0)
    assert found.conflicts == [[copy, f"{train}/dog/4.png"]]
    assert (found.train, found.training, found.classes) == ("train", 7, {"cat": 5, "dog": 2})
    assert found.balance == ("dog", "cat", 2.5)


def test_without_splits_nothing_leaks(tmp_path):
    save(cloud(0), tmp_path / "one" / "a.png")
    save(cloud(0), tmp_path / "two" / "a.png")
    found = scan(tmp_path)
    assert found.leaks == [] and len(found.conflicts) == 1


def test_an_empty_training_split(tmp_path):
    save(cloud(0), tmp_path / "test" / "a.png")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "bad.png").write_bytes(b"")
    found = scan(tmp_path)
    assert (found.training, found.shorter_side, found.classes, found.balance) == (0, None, None, None)


def test_balance_needs_pictures_in_every_class():
    assert Scan("x", classes={"a": 1, "b": 20}).balance == ("a", "b", 20.0)
    assert Scan("x", classes={"a": 0, "b": 20}).balance is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs names that are not UTF-8")
def test_names_that_are_not_text_can_still_be_opened(tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    save(cloud(0), tmp_path / "x.png")
    os.rename(os.fsencode(tmp_path) + b"/x.png", name)
    found = scan(tmp_path)
    ((shown, file),) = found.names.items()
    assert shown == f"{tmp_path}/caf\\xe9.png" and os.fsencode(file) == name
    assert "names" not in found.as_dict()
    json.dumps(found.as_dict())


def test_odd_things_in_a_folder_stop_nothing(tmp_path):
    good = save(cloud(0), tmp_path / "folder.jpg" / "inside.png")  # a folder called like a picture
    os.symlink(tmp_path, tmp_path / "folder.jpg" / "up")
    os.symlink("loop.png", tmp_path / "loop.png")
    os.symlink("nowhere.png", tmp_path / "dangling.png")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "new\nline [red]'\".png").write_bytes(b"x")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
    found = scan(tmp_path)
    assert found.readable == 1 and found.smallest == (80, 60)
    assert len(found.unreadable) == 4 + hasattr(os, "mkfifo") and good not in dict(found.unreadable)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_listed(tmp_path):
    save(cloud(0), tmp_path / "a.png")
    Path(save(cloud(1), tmp_path / "b.png")).chmod(0)
    assert scan(tmp_path).unreadable == [(f"{tmp_path}/b.png", "no permission to read it")]


def test_interrupted_it_ends_and_leaves_no_thread(tmp_path):
    for k in range(2_000):
        (tmp_path / f"{k}.jpg").write_bytes(b"x")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        scan(tmp_path, progress=interrupt)
    assert threading.active_count() == before


def test_huge_pictures_are_named(photos, monkeypatch):
    monkeypatch.setattr("unlabel.data.scan.HUGE", 2_000_000)
    assert scan(photos).huge == [f"{photos}/dog/e.bmp"]


def test_the_same_whatever_the_threads(photos):
    assert scan(photos, threads=1) == scan(photos, threads=4)


def test_splits_are_counted_and_classes_are_those_of_training(photos):
    (photos / "notes.txt").unlink()
    data = photos.parent / "data"
    data.mkdir()
    photos.rename(data / "train")
    (data / "test" / "cat").mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(data / "test" / "cat" / "z.png")
    found = scan(data)
    assert found.splits == {"test": 1, "train": 6}
    assert found.classes == {"cat": 3, "dog": 3}


def test_progress_is_told_now_and_then(tmp_path, monkeypatch):
    for k in range(300):
        (tmp_path / f"{k}.jpg").write_bytes(b"")
    for told, most in ((0.0, 38), (1e6, 1)):  # at every part, and at the end alone
        monkeypatch.setattr("unlabel.data.scan._TOLD", told)
        seen = []
        assert len(scan(tmp_path, progress=lambda done, total: seen.append((done, total))).unreadable) == 300  # noqa: B023
        assert seen == sorted(seen) and len(seen) == most and seen[-1] == (300, 300)


@pytest.mark.parametrize("tried", [0.0, 1e-3, 1e6])
def test_every_file_is_told_once_in_order_while_threads_are_tried(tmp_path, monkeypatch, tried):
    """Whether each number of threads is tried on one part, on some, or on all there are."""
    monkeypatch.setattr("unlabel.data.scan._TRIED", tried)
    monkeypatch.setattr("unlabel.data.scan.cores", lambda: 3)
    for k in range(301):
        (tmp_path / f"{k:03d}.jpg").write_bytes(b"x")
    assert [path for path, _ in scan(tmp_path).unreadable] == [f"{tmp_path}/{k:03d}.jpg" for k in range(301)]


def test_the_faster_number_of_threads_goes_on(tmp_path, monkeypatch):
    """A clock by which a part takes a thread 1 s, and each of four 0.5 s or 2 s."""
    for takes, best in ((0.5, 4), (2.0, 1)):
        now, chosen = [0.0], []

        def through(root, parts, workers, takes=takes, now=now, chosen=chosen):
            chosen.append(workers)
            for part in parts:
                now[0] += 1.0 if workers == 1 else takes
                yield part, [Facts(0, "empty") for _ in part]

        monkeypatch.setattr("unlabel.data.scan._through", through)
        monkeypatch.setattr("unlabel.data.scan.cores", lambda: 4)
        monkeypatch.setattr("unlabel.data.scan.time.perf_counter", lambda now=now: now[0])
        names = [str(k) for k in range(200)]
        assert [name for part, _ in _read(str(tmp_path), names, None) for name in part] == names
        assert chosen == [1, 4, 1, 4, best]


def test_hostile_folder(shared_data):
    root = shared_data("hostile")
    found = scan(root)
    expected = json.loads((root / "expected.json").read_text())
    bad = {f"{root}/{entry['file']}" for entry in expected if entry["expect"] == "error"}
    good = {f"{root}/{entry['file']}" for entry in expected if entry["expect"] == "load"}
    refused = {path for path, _ in found.unreadable}
    assert bad <= refused and not good & refused
    assert found.readable + len(found.unreadable) == 95
    assert found.largest == (6000, 6000) and found.smallest == (1, 1)
    short = {path for path in refused if "truncated" in path}
    assert short and short <= set(found.truncated)
    assert not {path for path in found.truncated if "text" in path or "zero" in path or "zip" in path or "crc" in path}
    assert any("constant_black" in path for path in found.constant)
    assert any(sum("orientation_" in path for path in group) == 8 for group in found.near)
    assert {"CMYK", "LAB", "I;16", "F", "I", "1", "P", "LA"} <= set(found.modes)


def test_nothing_to_scan(tmp_path):
    (tmp_path / "notes.txt").write_bytes(b"x")
    with pytest.raises(Fault, match=r"no picture in .* \(1 other file was ignored"):
        scan(tmp_path)
    with pytest.raises(Fault, match="no folder"):
        scan(tmp_path / "nothing")
