"""Folders as people have them: flat, nested, linked, cluttered, oddly named."""

import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

from unlabel.data.folder import Folder, classes_of, printable, splits, walk
from unlabel.data.source import Unreadable
from unlabel.errors import Fault

NOT_UTF8 = b"caf\xe9_\xff.jpg"


def fill(root, *names: str) -> None:
    for k, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix.lower() in (".jpg", ".png", ".jpeg"):
            Image.new("RGB", (4, 3), (k, 2 * k, 0)).save(file, "PNG")
        else:
            file.write_bytes(b"x")


def names(root) -> list[str]:
    return walk(str(root))[0]


@pytest.fixture(scope="module")
def hostile(shared_data):
    return shared_data("hostile")


def test_hostile_folder_lists_what_loads_and_skips_the_clutter(hostile):
    folder = Folder(hostile)
    got = {}
    for i in range(len(folder)):
        try:
            folder.image(i)
            got[folder.names[i]] = "load"
        except Unreadable as unreadable:
            assert folder.skipped[i].reason == unreadable.reason
            got[folder.names[i]] = "error"
    wrong = [
        (entry["file"], entry["expect"], got.get(entry["file"], "skip"))
        for entry in json.loads((hostile / "expected.json").read_text())
        if got.get(entry["file"], "skip") not in entry["expect"]
        # Links to nothing are named like pictures: they are counted as unreadable, not passed over.
        and entry["file"] not in ("odd/dangling.jpg", "odd/self.jpg")
    ]
    assert wrong == []
    assert got["odd/dangling.jpg"] == got["odd/self.jpg"] == "error"
    assert got[f"odd/{os.fsdecode(NOT_UTF8)}"] == "load"
    assert len(folder.skipped) == list(got.values()).count("error")
    assert folder.classes == ["bad", "odd", "ok"]
    json.dumps([folder.path(i) for i in range(len(folder))]).encode("utf-8")
    for i in range(len(folder)):
        folder.path(i).encode("utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems refuse such names")
def test_names_that_are_not_utf8_are_read_and_shown_with_escapes(tmp_path):
    fill(tmp_path, "a.jpg")
    os.rename(tmp_path / "a.jpg", os.path.join(os.fsencode(tmp_path), NOT_UTF8))
    fill(tmp_path, "日本語.jpg")
    folder = Folder(tmp_path)
    assert folder.path(1) == f"{tmp_path}/日本語.jpg"
    assert folder.path(0) == f"{tmp_path}/caf\\xe9_\\xff.jpg"
    assert folder.image(0).shape == (3, 3, 4)
    assert len(folder.fingerprint()) == 64


def test_class_folders_number_the_classes_by_name(tmp_path):
    fill(tmp_path, "dog/2.jpg", "cat/deep/er/1.png", "cat/0.JPG", "empty/readme.txt")
    folder = Folder(tmp_path)
    assert folder.names == ["cat/0.JPG", "cat/deep/er/1.png", "dog/2.jpg"]
    assert folder.classes == ["cat", "dog"] and folder.labels.tolist() == [0, 0, 1]
    assert folder.labels.dtype == np.int64
    assert folder.image(1)[:, 0, 0].tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    "files",
    [
        ("1.jpg", "2.jpg"),  # flat
        ("cat/1.jpg", "dog/2.jpg", "3.jpg"),  # mixed
        ("cat/1.jpg", "cat/2.jpg"),  # one class
        ("cat/1.jpg", "dog/readme.txt"),  # one class with pictures
    ],
)
def test_no_classes(tmp_path, files):
    fill(tmp_path, *files)
    folder = Folder(tmp_path)
    assert folder.classes is None and set(folder.labels) == {-1}


def test_a_single_folder_is_passed_through(tmp_path):
    """As archives often unpack: archive/archive/CLASS."""
    fill(tmp_path, "archive/data/cat/1.jpg", "archive/data/dog/2.jpg", "archive/readme.txt", "__MACOSX/x.jpg")
    folder = Folder(tmp_path)
    assert folder.classes == ["cat", "dog"]
    assert folder.path(0) == f"{tmp_path}/archive/data/cat/1.jpg"
    assert folder.name == str(tmp_path)


def test_classes_can_be_numbered_as_elsewhere(tmp_path):
    fill(tmp_path, "dog/1.jpg", "wolf/2.jpg", "3.jpg")
    folder = Folder(tmp_path, classes=["ape", "cat", "dog"])
    assert folder.names == ["3.jpg", "dog/1.jpg", "wolf/2.jpg"]
    assert folder.labels.tolist() == [-1, 2, -1] and folder.classes == ["ape", "cat", "dog"]


def test_a_single_class_folder_is_not_passed_through_when_it_is_a_known_class(tmp_path):
    fill(tmp_path, "dog/1.jpg")
    assert Folder(tmp_path, classes=["cat", "dog"]).labels.tolist() == [1]


def test_clutter_is_ignored_and_other_files_are_counted(tmp_path):
    fill(
        tmp_path, "a.jpg", ".hidden.jpg", "._a.jpg", ".ipynb_checkpoints/a.jpg", "@eaDir/a.jpg", "__MACOSX/a.jpg",
        "Thumbs.db", "labels.txt", "sub/.cache/a.jpg", "jpg", "noextension",
    )  # fmt: skip
    assert walk(str(tmp_path)) == (["a.jpg"], 4)


def test_links_to_files_and_folders_are_followed_and_loops_end(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    fill(root, "cat/1.jpg")
    fill(elsewhere, "dog/2.jpg", "3.jpg")
    os.symlink(elsewhere / "3.jpg", root / "cat" / "link.jpg")
    os.symlink(elsewhere / "dog", root / "dog")
    os.symlink("..", root / "cat" / "up")
    os.symlink(root / "cat", elsewhere / "dog" / "back")
    os.symlink("self", root / "self")
    assert names(root) == ["cat/1.jpg", "cat/link.jpg", "dog/2.jpg"]
    assert Folder(root).classes == ["cat", "dog"]


def test_no_folder_is_listed_twice_and_real_ones_come_first(tmp_path):
    fill(tmp_path, "b/1.jpg")
    os.symlink("b", tmp_path / "a")
    assert names(tmp_path) == ["b/1.jpg"]


def test_many_folders_linked_to_each_other_end_soon(tmp_path):
    for k in range(12):
        fill(tmp_path, f"{k}/{k}.jpg")
        for other in range(12):
            os.symlink(f"../{other}", tmp_path / str(k) / f"to{other}")
    assert len(names(tmp_path)) == 12


def test_a_folder_may_be_named_like_a_picture(tmp_path):
    fill(tmp_path, "x.jpg/1.jpg")
    assert names(tmp_path) == ["x.jpg/1.jpg"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_one_unreadable_picture(tmp_path):
    fill(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "b.jpg")
    folder = Folder(tmp_path)
    with pytest.raises(Unreadable, match="pipe"):
        folder.image(1)
    assert list(folder.skipped) == [1] and folder.skipped[1].path.endswith("b.jpg")


def test_a_folder_that_cannot_be_listed_is_reported_as_a_picture(tmp_path, monkeypatch):
    fill(tmp_path, "cat/1.jpg", "dog/2.jpg", "secret/3.jpg")
    scandir = os.scandir

    def denied(path):
        if os.path.basename(os.fspath(path).rstrip("/")) == "secret":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    folder = Folder(tmp_path)
    assert folder.names == ["cat/1.jpg", "dog/2.jpg", "secret/"]
    with pytest.raises(Unreadable):
        folder.image(2)
    denied_root = tmp_path / "secret"
    with pytest.raises(Fault, match="cannot be listed: Permission denied"):
        walk(str(denied_root))


def test_faults_say_what_to_do(tmp_path):
    fill(tmp_path, "photos/a.jpg", "empty/labels.txt")
    (tmp_path / "data.zip").write_bytes(b"PK")
    os.symlink("gone", tmp_path / "link")
    for path, words in (
        ("photo", "there is no folder .*photo; did you mean `photos`"),
        ("photos/a.jpg", "is a file where a folder of pictures is expected: give the folder"),
        ("data.zip", "is an archive: unpack it"),
        ("link", "link to something that is not there"),
        ("empty", r"no picture in .*empty: .*\.jpg.*1 other file"),
    ):
        with pytest.raises(Fault, match=words):
            Folder(tmp_path / path)


def test_fingerprint_covers_names_and_sizes_and_not_dates(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for root in (one, two):
        fill(root, "a.jpg", "b.jpg")
    os.utime(two / "a.jpg", (0, 0))
    assert Folder(one).fingerprint() == Folder(two).fingerprint()
    with open(two / "a.jpg", "ab") as file:
        file.write(b"more")
    assert Folder(one).fingerprint() != Folder(two).fingerprint()
    os.rename(two / "b.jpg", two / "c.jpg")
    assert len({Folder(one).fingerprint(), Folder(two).fingerprint()}) == 2


@pytest.mark.parametrize("test", ["test", "val", "valid", "validation", "Test"])
def test_train_and_a_test_folder_are_splits(tmp_path, test):
    fill(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", f"{test}/dog/3.jpg", ".DS_Store", "classes.txt", "__MACOSX/x")
    assert splits(str(tmp_path)) == (f"{tmp_path}/train", f"{tmp_path}/{test}")


@pytest.mark.parametrize(
    "files",
    [
        ("train/cat/1.jpg", "test/cat/1.jpg", "other/1.jpg"),
        ("train/cat/1.jpg", "test/cat/1.jpg", "1.jpg"),
        ("train/cat/1.jpg", "train/dog/2.jpg"),
        ("test/cat/1.jpg", "val/cat/1.jpg"),
        ("trainA/1.jpg", "testA/1.jpg"),
    ],
)
def test_what_is_no_split(tmp_path, files):
    fill(tmp_path, *files)
    assert splits(str(tmp_path)) is None


def test_of_two_test_folders_the_one_with_the_classes_of_train_is_taken(tmp_path):
    fill(tmp_path, "train/cat/1.jpg", "val/cat/1.jpg", "test/1.jpg")  # as ImageNet has it
    assert splits(str(tmp_path)) == (f"{tmp_path}/train", f"{tmp_path}/val")
    fill(tmp_path, "test/cat/1.jpg")
    assert splits(str(tmp_path)) == (f"{tmp_path}/train", f"{tmp_path}/test")


def test_a_hundred_thousand_names_are_classified_quickly():
    many = [f"{k % 100:03d}/{k}.jpg" for k in range(100_000)]
    labels, classes = classes_of(many)
    assert classes is not None and len(classes) == 100
    np.testing.assert_array_equal(labels, np.arange(100_000) % 100)


def test_printable_is_exact_for_utf8():
    for name in ("plain.jpg", "日本語.jpg", "e\u0301.jpg", "back\\slash.jpg"):
        assert printable(name) == name
    assert printable("caf\udce9.jpg") == "caf\\xe9.jpg"
