"""A scan tells what a folder holds and changes nothing."""

import json
import os
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

from unlabel.data.scan import scan
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
    json.dumps(asdict(found))


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


def test_progress_is_told_now_and_then(tmp_path):
    for k in range(300):
        (tmp_path / f"{k}.jpg").write_bytes(b"")
    seen = []
    assert len(scan(tmp_path, progress=lambda done, total: seen.append((done, total))).unreadable) == 300
    assert seen == [(256, 300), (300, 300)]


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
    assert {"CMYK", "LAB", "I;16", "F", "I", "1", "P", "LA"} <= set(found.modes)


def test_nothing_to_scan(tmp_path):
    (tmp_path / "notes.txt").write_bytes(b"x")
    with pytest.raises(Fault, match=r"no picture in .* \(1 other file"):
        scan(tmp_path)
    with pytest.raises(Fault, match="no folder"):
        scan(tmp_path / "nothing")
