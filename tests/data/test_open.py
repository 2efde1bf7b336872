"""What each way of naming data opens, and what is said about names that open nothing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unlabel.data.arrays import Arrays
from unlabel.data.folder import Folder
from unlabel.data.open import has_test_split, open_source
from unlabel.errors import Fault

from ..conftest import SHARED


@pytest.fixture
def divided(tmp_path) -> Path:
    for k, name in enumerate(("train/cat/1", "train/dog/2", "train/eel/3", "val/dog/4", "val/eel/5")):
        file = tmp_path / "data" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (k, 0, 0)).save(file)
    return tmp_path / "data"


def test_a_folder_divided_into_splits(divided):
    train, test = open_source(divided), open_source(str(divided), split="test")
    assert has_test_split(divided) and has_test_split(str(divided))
    assert train.classes == test.classes == ["cat", "dog", "eel"]
    assert train.labels.tolist() == [0, 1, 2] and test.labels.tolist() == [1, 2]  # numbered as in train
    assert test.image(1)[0, 0, 0] == 4


def test_a_folder_without_splits(divided):
    source = open_source(divided / "train")
    assert isinstance(source, Folder) and len(source) == 3 and not has_test_split(divided / "train")
    with pytest.raises(Fault, match="no test split: it would hold the folders train and test"):
        open_source(divided / "train", split="test")


def test_a_test_split_with_labels_beside_training_pictures_without(divided):
    for name in ("cat/1", "dog/2", "eel/3"):
        (divided / "train" / f"{name}.png").rename(divided / "train" / f"{name[-1]}.png")
    for name in ("cat", "dog", "eel"):
        (divided / "train" / name).rmdir()
    assert open_source(divided).classes is None
    assert open_source(divided, split="test").classes == ["dog", "eel"]


def test_home_is_understood(divided, monkeypatch):
    monkeypatch.setenv("HOME", str(divided))
    assert len(open_source("~/train")) == 3


def test_sources_and_arrays_pass_through():
    source = Arrays(np.zeros((3, 4, 4), np.uint8))
    assert open_source(source) is source
    assert len(open_source(source.images)) == 3
    assert not has_test_split(source) and not has_test_split(source.images)
    with pytest.raises(Fault, match="no test split"):
        open_source(source, split="test")


@pytest.mark.parametrize("suffix", [".npz", ".NPZ"])
def test_array_files(tmp_path, suffix):
    file = tmp_path / f"data{suffix}"
    with open(file, "wb") as stream:
        np.savez(stream, x_train=np.zeros((3, 4, 4), np.uint8), x_test=np.zeros((2, 4, 4), np.uint8))
    assert len(open_source(file)) == 3 and has_test_split(file) and len(open_source(file, split="test")) == 2


def test_shapes_by_name():
    pytest.importorskip("unlabel.data.shapes")
    assert len(open_source("shapes")) == 10_000 and has_test_split("shapes")
    train, test = open_source("shapes:60"), open_source("shapes:60", split="test")
    assert (len(train), len(test)) == (60, 12)
    assert train.fingerprint() != test.fingerprint()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("shape", "no folder shape; did you mean `shapes`"),
        ("shaps:200", "did you mean `shapes`"),
        ("torchvison:CIFAR10", "did you mean `torchvision`"),
        ("torchvision:CIFAR", "no torchvision data set `CIFAR` here; did you mean `CIFAR10`"),
        ("torchvision:Zebra42", "known are CIFAR10"),
        ("torchvision", "needs the name of a data set, such as `torchvision:CIFAR10`"),
        ("hf:", "needs the name"),
        ("shapes:many", "`shapes:many` should end in a number"),
        ("shapes:1", "at least 2"),
        ("nothing.npz", "there is no file nothing.npz"),
        ("/nowhere/at/all", "there is no folder /nowhere/at/all"),
    ],
)
def test_names_that_open_nothing(spec, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Fault, match=words):
        open_source(spec)
    with pytest.raises(Fault, match=words):
        if spec.startswith("shapes:"):
            open_source(spec, split="test")
        else:
            has_test_split(spec)


def test_a_fault_names_what_may_have_been_meant(divided):
    with pytest.raises(Fault, match="did you mean `data`"):
        open_source(divided.parent / "dat")


def test_real_data_as_folders_and_as_one_file(shared_data):
    """The shared data set in both of its forms is the same source."""
    folder = shared_data("tinyimagenet100")
    file = SHARED / "tinyimagenet100.npz"
    unpacked, packed = open_source(folder, split="test"), open_source(file, split="test")
    assert len(unpacked) == len(packed) == 5_000
    assert unpacked.classes == packed.classes and unpacked.classes is not None and len(unpacked.classes) == 100
    assert np.bincount(unpacked.labels).tolist() == np.bincount(packed.labels).tolist() == [50] * 100
    where = {path.rpartition("/")[2]: i for i, path in enumerate(map(packed.path, range(len(packed))))}
    for i in (0, 777, 4999):
        other = where[unpacked.path(i).rpartition("/")[2]]
        assert unpacked.labels[i] == packed.labels[other]
        np.testing.assert_array_equal(unpacked.image(i), packed.image(other))
