"""Tar files of pictures and texts, as webdataset and img2dataset write them."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unlabel.data import open_source
from unlabel.data.open import has_test_split
from unlabel.data.source import Unreadable
from unlabel.errors import Fault


def png(value: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (5, 4), (value, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def shard(file: Path, members: dict[str, bytes]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file


MEMBERS = {
    "./000.png": png(1), "./000.txt": b"one dog\na dog\n", "./000.json": b'{"caption": "not asked", "url": ""}',
    "001.json": json.dumps({"captions": ["a cat", "two cats"]}).encode(), "001.png": png(2),
    "002.png": png(3),
    "003.png": b"no picture", "003.txt": b"text",
    "004.png": png(4), "004.json": b"{", "005.png": png(5), "005.txt": b"\xff",
    "._000.png": b"clutter", "__MACOSX/7.png": b"clutter", "006.cls": b"3", "007.json": b"[" * 60_000, "007.png": png(7),
}  # fmt: skip


def test_a_shard_is_pictures_with_their_texts(tmp_path):
    file = shard(tmp_path / "s.tar", MEMBERS)
    source = open_source(file, captions=True)
    assert len(source) == 7 and source.captioned and source.classes is None and not has_test_split(file)
    assert source.captions(0) == ("one dog", "a dog") and source.captions(1) == ("a cat", "two cats")
    assert [int(source.image(i)[0, 0, 0]) for i in (0, 1)] == [1, 2]
    assert source.look(1).size == (4, 5) and source.path(1) == f"{file}/001.png"
    for i, words in (
        (2, "it has no caption"),
        (3, "not a picture"),
        (4, "not JSON"),
        (5, "not UTF-8"),
        (6, "not JSON"),
    ):
        with pytest.raises(Unreadable, match=words):
            source.image(i)
        assert i in source.skipped
    assert open_source(file).image(2)[0, 0, 0] == 3


def test_large_jpegs_are_looked_at_before_they_are_decoded(tmp_path):
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).resize((1000, 800)).save(stream, "JPEG")
    source = open_source(shard(tmp_path / "s.tar", {"a.jpg": stream.getvalue()}))
    look = source.look(0)
    assert look.size == (800, 1000) and look.pixels((100, 100)).shape == (3, 100, 125)
    assert source.image(0).shape == (3, 800, 1000)


def test_a_folder_of_shards_is_one_source(tmp_path):
    for number in (1, 0):
        shard(tmp_path / f"{number}.tar", {"a.png": png(10 + number), "a.txt": str(number).encode()})
    (tmp_path / "0_stats.json").write_text("{}")
    source = open_source(tmp_path, captions=True)
    assert [source.captions(i) for i in range(2)] == [("0",), ("1",)]  # equal names in two shards are two pictures
    assert [int(source.image(i)[0, 0, 0]) for i in range(2)] == [10, 11]
    assert source.fingerprint() != open_source(tmp_path / "0.tar", captions=True).fingerprint()


def test_folders_of_shards_for_training_and_testing(tmp_path):
    for split in ("train", "val"):
        shard(tmp_path / split / "0.tar", {"a.png": png(1), "a.txt": split.encode()})
    assert has_test_split(tmp_path)
    for split, name in (("train", "train"), ("test", "val")):
        assert open_source(tmp_path, split=split, captions=True).captions(0) == (name,)


def test_folders_in_a_shard_are_classes(tmp_path):
    source = open_source(shard(tmp_path / "s.tar", {"cat/1.png": png(1), "dog/1.png": png(2)}))
    assert source.classes == ["cat", "dog"] and source.labels.tolist() == [0, 1]


def test_a_tar_file_beside_pictures_is_passed_over(tmp_path):
    shard(tmp_path / "s.tar", {"a.png": png(1)})
    Image.new("RGB", (3, 3)).save(tmp_path / "b.png")
    assert len(open_source(tmp_path)) == 1 and open_source(tmp_path).image(0).shape == (3, 3, 3)


def test_broken_shards_say_so(tmp_path):
    whole = shard(tmp_path / "whole.tar", {"a.png": png(1), "b.png": png(2)}).read_bytes()
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole[:1600])
    text = tmp_path / "text.tar"
    text.write_text("hello")
    for file in (cut, text):
        with pytest.raises(Fault, match="is no plain tar file, or cut short or damaged"):
            open_source(file)
    with pytest.raises(Fault, match="there is no picture in"):
        open_source(shard(tmp_path / "none.tar", {"a.txt": b"x"}))
    with pytest.raises(Fault, match="there is no file"):
        open_source(tmp_path / "gone.tar")
    with pytest.raises(Fault, match="has no test split"):
        open_source(tmp_path / "whole.tar", split="test")


def test_a_shard_that_goes_away_is_pictures_that_cannot_be_read(tmp_path):
    file = shard(tmp_path / "s.tar", {"a.png": png(1)})
    source = open_source(file)
    file.unlink()
    with pytest.raises(Unreadable, match="No such file"):
        source.image(0)
