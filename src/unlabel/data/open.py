"""The words by which data is named, on the command line and in Python, and the source that each of them means.

DIR                        a folder of pictures                               folder.py
FILE.npz, FILE.npy         arrays of pictures, or of picture files            arrays.py
FILE.pack                  pictures packed by `unlabel pack`                  pack.py
shapes, shapes:20000       drawn shapes whose factors are known               shapes.py
torchvision:NAME[@ROOT]    a data set of torchvision's, kept in ROOT          named.py
hf:NAME[:COLUMN]           a data set of the Hugging Face Hub                 named.py
"""

import os
from pathlib import Path
from typing import Literal

import numpy as np
from torch.utils.data import Dataset

from unlabel.data.arrays import Arrays, array_has_test, open_array
from unlabel.data.dataset import TorchDataset
from unlabel.data.folder import Folder, check_folder, printable, splits
from unlabel.data.named import HuggingFace, Torchvision, hf_has_test, torchvision_entry
from unlabel.data.pack import SUFFIX, Pack
from unlabel.data.source import Source
from unlabel.errors import Fault

KINDS = ("shapes", "torchvision", "hf")
SHAPES = 10_000

Spec = str | Path | Source | np.ndarray | Dataset
Split = Literal["train", "test"]


def open_source(spec: Spec, *, split: Split = "train") -> Source:
    """Open data by its name; sources pass through; a torch data set or an array uint8 [N, H, W(, C)] becomes one.

    split: "train", which is everything where there are no splits, or "test".

    Raises Fault, with what to do, for data that is not there or has no such split.
    """
    if isinstance(spec, Source | np.ndarray | Dataset):
        if split == "test":
            raise Fault("an array or a source has no test split: open the test data as a source of its own")
        if isinstance(spec, Dataset):
            return TorchDataset(spec)
        return spec if isinstance(spec, Source) else Arrays(spec)
    kind, rest = _parsed(spec)
    if kind == "shapes":
        return _shapes(rest, split)
    if kind == "torchvision":
        return Torchvision(_required(kind, rest), split)
    if kind == "hf":
        return HuggingFace(_required(kind, rest), split)
    if kind == "array":
        return open_array(os.path.expanduser(os.fspath(spec)), split)
    if kind == "pack":
        if split == "test":
            raise Fault(f"{spec} is a pack, which has no test split: pack the test pictures into a file of their own")
        return Pack(os.path.expanduser(os.fspath(spec)))
    divided = splits(check_folder(spec, KINDS))
    if divided is None:
        if split == "test":
            raise Fault(f"{printable(os.fspath(spec))} has no test split: it would hold the folders train and test")
        return Folder(spec)
    train = Folder(divided[0])
    return train if split == "train" else Folder(divided[1], classes=train.classes)


def has_test_split(spec: Spec) -> bool:
    """Whether `open_source(spec, split="test")` has something to open. Raises Fault as it does."""
    if isinstance(spec, Source | np.ndarray | Dataset):
        return False
    kind, rest = _parsed(spec)
    if kind == "shapes":
        return True
    if kind == "torchvision":
        return torchvision_entry(_required(kind, rest).partition("@")[0]).test is not None
    if kind == "hf":
        return hf_has_test(_required(kind, rest))
    if kind == "pack":
        return False
    if kind == "array":
        return array_has_test(os.path.expanduser(os.fspath(spec)))
    return splits(check_folder(spec, KINDS)) is not None


def _parsed(spec: str | Path) -> tuple[str, str]:
    """The kind of data ("array", "pack" and "folder" are paths), and what follows the colon."""
    text = os.fspath(spec)
    kind, _, rest = text.partition(":")
    if isinstance(spec, str) and kind in KINDS:
        return kind, rest
    if text.lower().endswith((".npz", ".npy")) and not os.path.isdir(text):
        return "array", ""
    if text.lower().endswith(SUFFIX) and not os.path.isdir(text):
        return "pack", ""
    return "folder", ""


def _required(kind: str, name: str) -> str:
    if not name:
        example = {"torchvision": "torchvision:CIFAR10", "hf": "hf:cifar10"}[kind]
        raise Fault(f"`{kind}` needs the name of a data set, such as `{example}`")
    return name


def _shapes(count: str, split: Split) -> Source:
    """The test split is a fifth of the training split: pictures are drawn, so that it could be of any size."""
    if count and not (count.isascii() and count.isdigit() and int(count) >= 2):
        raise Fault(f"`shapes:{count}` should end in a number of pictures, at least 2, such as `shapes:20000`")
    from unlabel.data.shapes import Shapes  # it brings the code that draws, which no other data needs

    train = int(count) if count else SHAPES
    return Shapes(train if split == "train" else max(2, train // 5), split=split)
