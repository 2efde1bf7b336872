"""Public data sets by name: `torchvision:CIFAR10` and `hf:NAME`, downloaded on first use by those libraries."""

import http.client
import io
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from unlabel.data.decode import decode, decode_file, pixels
from unlabel.data.folder import TEST_NAMES
from unlabel.data.pillow import DECODING, quiet
from unlabel.data.source import Source, Unreadable, digest
from unlabel.errors import Fault, nearest

CACHE = Path("~/.cache/unlabel")


@dataclass(frozen=True)
class _Entry:
    """How one of torchvision's classes is asked for its splits, and where it keeps its labels."""

    train: dict[str, Any]
    test: dict[str, Any] | None
    labels: str = "targets"


_FLAG = ({"train": True}, {"train": False})
_SPLIT = ({"split": "train"}, {"split": "test"})
_TRAINVAL = ({"split": "trainval"}, {"split": "test"})
TORCHVISION = {
    **{name: _Entry(*_FLAG) for name in ("CIFAR10", "CIFAR100", "FashionMNIST", "KMNIST", "MNIST", "USPS")},
    "SVHN": _Entry(*_SPLIT, labels="labels"),
    "STL10": _Entry({"split": "train+unlabeled"}, {"split": "test"}, labels="labels"),
    **{name: _Entry(*_SPLIT, labels="_labels") for name in ("DTD", "Flowers102", "Food101")},
    **{name: _Entry(*_TRAINVAL, labels="_labels") for name in ("FGVCAircraft", "OxfordIIITPet")},
    "Country211": _Entry(*_SPLIT),
    "EuroSAT": _Entry({}, None),
}

_FETCHING = (
    OSError,
    RuntimeError,
    ImportError,
    EOFError,
    http.client.HTTPException,
    zipfile.BadZipFile,
    tarfile.TarError,
)


class Torchvision(Source):
    """One of torchvision's data sets.

    spec: NAME or NAME@ROOT; NAME is one of TORCHVISION, ROOT where it is kept (default: CACHE).

    Raises Fault for an unknown name, a split that does not exist, and when the download fails.
    """

    def __init__(self, spec: str, split: str = "train") -> None:
        name, _, root = spec.partition("@")
        entry = torchvision_entry(name)
        options = entry.test if split == "test" else entry.train
        if options is None:
            raise Fault(f"torchvision:{name} has no {split} split")
        folder = Path(root or CACHE).expanduser()
        from torchvision import datasets

        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.dataset = getattr(datasets, name)(str(folder), download=True, **options)
        except _FETCHING as error:
            raise Fault(
                f"torchvision could not fetch {name} into {folder}: {_brief(error)}; "
                f"download it elsewhere and give `torchvision:{name}@FOLDER`"
            ) from error
        labels = np.asarray(getattr(self.dataset, entry.labels), np.int64)
        classes = getattr(self.dataset, "classes", None)
        if classes is None:
            classes = [str(k) for k in range(int(labels.max()) + 1)]
        super().__init__(f"torchvision:{name}", labels, [str(each) for each in classes])
        self.split = split

    def __len__(self) -> int:
        return len(self.dataset)

    def image(self, i: int) -> Tensor:
        """Picture i; see `Source.image`."""
        try:
            with quiet():
                return pixels(self.dataset[i][0])
        except DECODING as error:
            raise self.refuse(i, _brief(error)) from None

    def path(self, i: int) -> str:
        """The name of the data set, the split, and the number of the picture."""
        return f"{self.name}/{self.split}/{i}"

    def fingerprint(self) -> str:
        """Covers name, split and labels: torchvision checks the files themselves."""
        return digest([self.name, self.split, self.labels.tobytes()])


def torchvision_entry(name: str) -> _Entry:
    """What is known of one of torchvision's data sets; Fault where it is none that can be used here."""
    if name not in TORCHVISION:
        hint = nearest(name, TORCHVISION) or f"; known are {', '.join(sorted(TORCHVISION))}"
        raise Fault(f"there is no torchvision data set `{name}` here{hint}")
    return TORCHVISION[name]


class HuggingFace(Source):
    """A data set of the Hugging Face Hub, or a local folder that its `datasets` library reads.

    spec: NAME or NAME:COLUMN; without COLUMN the first column of pictures is taken.

    Labels come from the first column of class labels, if there is one. Raises Fault when the library is not installed,
    when the data set cannot be fetched, and when it has no such split or column.
    """

    def __init__(self, spec: str, split: str = "train") -> None:
        name, _, column = spec.partition(":")
        datasets = _library()
        chosen = _hf_split(name, split)
        if chosen is None:
            raise Fault(f"hf:{name} has no {split} split")
        dataset = _fetched(name, lambda: datasets.load_dataset(name, split=chosen))
        features = dataset.features
        self.column = column or next((key for key, kind in features.items() if isinstance(kind, datasets.Image)), "")
        if not isinstance(features.get(self.column), datasets.Image):
            held = ", ".join(f"`{key}`" for key in features)
            raise Fault(f"hf:{name} has no column of pictures `{column or 'image'}`; its columns are {held}")
        self.dataset = dataset.cast_column(self.column, datasets.Image(decode=False))
        classes = None
        labels = np.full(len(dataset), -1, np.int64)
        for key, kind in features.items():
            if isinstance(kind, datasets.ClassLabel):
                classes = list(kind.names)
                labels = np.array([-1 if label is None else label for label in dataset[key]], np.int64)
                break
        super().__init__(f"hf:{name}", labels, classes)
        self.split = chosen

    def __len__(self) -> int:
        return len(self.dataset)

    def image(self, i: int) -> Tensor:
        """Picture i; see `Source.image`."""
        cell = self.dataset[i][self.column]
        with self.noting(i):
            if cell is None:
                raise Unreadable(self.path(i), "there is no picture in this row")
            if cell["bytes"] is None:
                return decode_file(cell["path"], self.path(i)).pixels
            return decode(io.BytesIO(cell["bytes"]), self.path(i)).pixels

    def path(self, i: int) -> str:
        """The name of the data set, the split, and the number of the row."""
        return f"{self.name}/{self.split}/{i}"

    def fingerprint(self) -> str:
        """Covers name, split, number of rows and labels."""
        return digest([self.name, self.split, str(len(self)), self.labels.tobytes()])


def hf_has_test(spec: str) -> bool:
    """Whether a data set of the Hub has a test (or validation) split."""
    return _hf_split(spec.partition(":")[0], "test") is not None


def _hf_split(name: str, split: str) -> str | None:
    datasets = _library()
    held = _fetched(name, lambda: datasets.get_dataset_split_names(name))
    wanted = TEST_NAMES if split == "test" else (split,)
    return next((word for word in wanted if word in held), None)


def _library() -> Any:
    try:
        import datasets
    except ImportError:
        raise Fault("data by `hf:NAME` needs the library `datasets`: pip install 'unlabel[hf]'") from None
    return datasets


def _fetched(name: str, call: Any) -> Any:
    try:
        return call()
    except Exception as error:  # the library passes on whatever its HTTP client of the day raises
        raise Fault(f"the data set hf:{name} could not be fetched: {_brief(error)}") from error


def _brief(error: BaseException) -> str:
    """An error's message on one line, or its type where it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]} ..."
