"""Public data sets by name, without the public network: tiny sets in the formats that the libraries read."""

import gzip
import io
import struct
import sys
import urllib.error

import numpy as np
import pytest
import torchvision
from PIL import Image

from unlabel.data import named
from unlabel.data.named import TORCHVISION, HuggingFace, Torchvision
from unlabel.data.open import has_test_split, open_source
from unlabel.data.source import Unreadable
from unlabel.errors import Fault

DIGITS = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)


def write_mnist(root, digits: np.ndarray, labels: list[int]) -> None:
    """The files of MNIST (IDX: magic number, sizes, bytes), a few pictures of them."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", len(digits)), ("t10k", 2)):
        images = struct.pack(">IIII", 2051, count, 28, 28) + digits[:count].tobytes()
        targets = struct.pack(">II", 2049, count) + bytes(labels[:count])
        for kind, content in (("images-idx3", images), ("labels-idx1", targets)):
            (raw / f"{part}-{kind}-ubyte").write_bytes(content)
            with gzip.open(raw / f"{part}-{kind}-ubyte.gz", "wb") as stream:
                stream.write(content)


def test_torchvision_by_name_and_root(tmp_path):
    write_mnist(tmp_path, DIGITS, [3, 1, 4, 1, 5])
    spec = f"torchvision:MNIST@{tmp_path}"
    train, test = open_source(spec), open_source(spec, split="test")
    assert (len(train), len(test)) == (5, 2) and has_test_split(spec)
    assert train.labels.tolist() == [3, 1, 4, 1, 5] and train.classes == test.classes and len(train.classes) == 10
    np.testing.assert_array_equal(train.image(2), np.stack([DIGITS[2]] * 3))
    assert train.path(2) == "torchvision:MNIST/train/2"
    assert train.fingerprint() != test.fingerprint()


def test_the_default_place_is_a_cache_in_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_mnist(tmp_path / ".cache" / "unlabel", DIGITS, [0] * 5)
    assert len(open_source("torchvision:MNIST")) == 5


def test_a_broken_file_of_a_torchvision_data_set_is_skipped(tmp_path):
    root = tmp_path / "dtd" / "dtd"
    for k in range(3):
        file = root / "images" / "banded" / f"{k}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (k, 0, 0)).save(file, "PNG")
    file.write_bytes(b"not a picture")
    (root / "labels").mkdir()
    (root / "labels" / "train1.txt").write_text("banded/0.jpg\nbanded/1.jpg\nbanded/2.jpg\n")
    source = Torchvision(f"DTD@{tmp_path}")
    assert source.image(1)[0, 0, 0] == 1 and source.classes == ["banded"] and source.labels.tolist() == [0, 0, 0]
    with pytest.raises(Unreadable):
        source.image(2)
    assert list(source.skipped) == [2]


@pytest.mark.parametrize(
    "error",
    [urllib.error.URLError("no route to host"), RuntimeError("File not found or corrupted."), ImportError("scipy")],
)
def test_a_failing_download_is_one_clear_fault(tmp_path, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", fail)
    with pytest.raises(Fault, match=r"could not fetch CIFAR10 into .*; download it elsewhere and give") as caught:
        Torchvision(f"CIFAR10@{tmp_path}")
    assert "\n" not in str(caught.value)


def test_no_test_split():
    assert not has_test_split("torchvision:EuroSAT")
    with pytest.raises(Fault, match="EuroSAT has no test split"):
        Torchvision("EuroSAT", "test")


def test_every_known_name_is_a_data_set_of_torchvision():
    for name in TORCHVISION:
        assert issubclass(getattr(torchvision.datasets, name), torchvision.datasets.VisionDataset)


def png(value: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (5, 4), (value, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder in the form of a repository on the Hub: one file for each split."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    features = datasets.Features(
        {
            "note": datasets.Value("string"),
            "picture": datasets.Image(),
            "kind": datasets.ClassLabel(names=["cat", "dog"]),
        }
    )
    for split, contents in (("train", [png(1), b"broken", None, png(4)]), ("validation", [png(5)])):
        cells = [None if content is None else {"bytes": content, "path": None} for content in contents]
        rows = {"note": ["x"] * len(cells), "picture": cells, "kind": [k % 2 for k in range(len(cells))]}
        (tmp_path / "set").mkdir(exist_ok=True)
        datasets.Dataset.from_dict(rows, features=features).to_parquet(
            tmp_path / "set" / f"{split}-00000-of-00001.parquet"
        )
    return str(tmp_path / "set")


def test_hugging_face_by_name(hub):
    train, test = open_source(f"hf:{hub}"), open_source(f"hf:{hub}:picture", split="test")
    assert (len(train), len(test)) == (4, 1) and has_test_split(f"hf:{hub}")
    assert train.classes == ["cat", "dog"] and train.labels.tolist() == [0, 1, 0, 1]
    assert train.image(3)[0, 0, 0] == 4 and test.image(0).shape == (3, 4, 5)
    for i, reason in ((1, "not a picture"), (2, "no picture in this row")):
        with pytest.raises(Unreadable, match=reason):
            train.image(i)
    assert sorted(train.skipped) == [1, 2]
    assert train.fingerprint() != test.fingerprint() and train.path(3) == f"hf:{hub}/train/3"
    with pytest.raises(Fault, match="no column of pictures `note`; its columns are `note`, `picture`, `kind`"):
        HuggingFace(f"{hub}:note")


def test_hugging_face_faults(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    with pytest.raises(Fault, match=r"hf:.*nothing could not be fetched: ") as caught:
        HuggingFace(str(tmp_path / "nothing"))
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "datasets", None)
    for call in (lambda: HuggingFace("mnist"), lambda: named.hf_has_test("mnist")):
        with pytest.raises(Fault, match=r"pip install 'unlabel\[hf\]'"):
            call()
