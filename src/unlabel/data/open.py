"""The words by which data is named, on the command line and in Python, and the source that each of them means.

DIR                        a folder of pictures                               folder.py
FILE.npz, FILE.npy         arrays of pictures, or of picture files            arrays.py
FILE.pack                  pictures packed by `unlabel pack`                  pack.py
FILE.csv, .jsonl, .parquet a table of paths, and perhaps captions             tables.py
FILE.tar                   pictures in a tar file, or a folder of them        shards.py
shapes, shapes:20000       drawn shapes whose factors are known               shapes.py
torchvision:NAME[@ROOT]    a data set of torchvision's, kept in ROOT          named.py
hf:NAME[:COLUMN]           a data set of the Hugging Face Hub                 named.py

With captions: text files beside the pictures of a folder, a column of a table, texts in a tar file, sentences on what
the shapes show.
"""

import os
from pathlib import Path
from typing import Literal

import numpy as np
from torch.utils.data import Dataset

from unlabel.data import tables
from unlabel.data.arrays import Arrays, array_has_test, open_array
from unlabel.data.captions import Captioned, beside, without_captions
from unlabel.data.dataset import TorchDataset
from unlabel.data.folder import Folder, check_folder, inner, printable, splits
from unlabel.data.named import HuggingFace, Torchvision, hf_has_test, torchvision_entry
from unlabel.data.pack import SUFFIX, Pack
from unlabel.data.shards import SUFFIX as TAR
from unlabel.data.shards import open_shards, shards_in
from unlabel.data.source import Source
from unlabel.errors import Fault

KINDS = ("shapes", "torchvision", "hf")
SHAPES = 10_000

Spec = str | Path | Source | np.ndarray | Dataset
Split = Literal["train", "test"]

_UNDIVIDED = {
    "pack": "a pack, which has no test split: pack the test pictures into a file of their own",
    "table": "a table, which has no test split: write the rows for testing into a file of their own",
    "tar": "a tar file, which has no test split: put the pictures for testing into a file of their own",
}


def open_source(spec: Spec, *, split: Split = "train", captions: bool = False) -> Source:
    """Open data by its name; sources pass through; a torch data set or an array uint8 [N, H, W(, C)] becomes one.

    split:    "train", which is everything where there are no splits, or "test".
    captions: whether each picture must have a text; those without are refused, as pictures are that cannot be read.

    Raises Fault, with what to do, for data that is not there, has no such split, or no captions at all.
    """
    source = _opened(spec, split, captions)
    if captions and not source.captioned:
        raise without_captions(source.name)
    return source


def _opened(spec: Spec, split: Split, captions: bool) -> Source:
    if isinstance(spec, Source | np.ndarray | Dataset):
        if split == "test":
            raise Fault("an array or a source has no test split: open the test data as a source of its own")
        if isinstance(spec, Dataset):
            return TorchDataset(spec)
        return spec if isinstance(spec, Source) else Arrays(spec)
    kind, rest = _parsed(spec)
    if kind in _UNDIVIDED and split == "test":
        raise Fault(f"{spec} is {_UNDIVIDED[kind]}")
    match kind:
        case "shapes":
            return _shapes(rest, split, captions)
        case "torchvision":
            return Torchvision(_required(kind, rest), split)
        case "hf":
            return HuggingFace(_required(kind, rest), split)
        case "array":
            return open_array(os.path.expanduser(os.fspath(spec)), split)
        case "pack":
            return Pack(os.path.expanduser(os.fspath(spec)))
        case "table":
            return tables.open_table(_file(spec), captions=captions)
        case "tar":
            return open_shards(os.fspath(spec), [_file(spec)], captions=captions)
    divided = splits(check_folder(spec, KINDS))
    if divided is None:
        if split == "test":
            raise Fault(f"{printable(os.fspath(spec))} has no test split: it would hold the folders train and test")
        return _pictures(os.fspath(spec), captions)
    if split == "train":
        return _pictures(divided[0], captions)
    return _pictures(divided[1], captions, classes=_pictures(divided[0], captions=False).classes)


def _pictures(root: str, captions: bool, classes: list[str] | None = None) -> Source:
    """What a folder holds: tar files, or pictures."""
    shards = shards_in(inner(os.path.expanduser(root)))
    if shards:
        return open_shards(root, shards, captions=captions)
    folder = Folder(root, classes=classes)
    return beside(folder) if captions else folder


def has_test_split(spec: Spec) -> bool:
    """Whether `open_source(spec, split="test")` has something to open. Raises Fault as it does."""
    if isinstance(spec, Source | np.ndarray | Dataset):
        return False
    kind, rest = _parsed(spec)
    match kind:
        case "shapes":
            return True
        case "torchvision":
            return torchvision_entry(_required(kind, rest).partition("@")[0]).test is not None
        case "hf":
            return hf_has_test(_required(kind, rest))
        case "array":
            return array_has_test(os.path.expanduser(os.fspath(spec)))
        case "folder":
            return splits(check_folder(spec, KINDS)) is not None
    return False


def _parsed(spec: str | Path) -> tuple[str, str]:
    """The kind of data ("array", "pack", "table", "tar" and "folder" are paths), and what follows the colon."""
    text = os.fspath(spec)
    kind, _, rest = text.partition(":")
    if isinstance(spec, str) and kind in KINDS:
        return kind, rest
    suffixes = {".npz": "array", ".npy": "array", SUFFIX: "pack", TAR: "tar", **dict.fromkeys(tables.SUFFIXES, "table")}
    by_name = suffixes.get(os.path.splitext(text)[1].lower(), "folder")
    return ("folder" if os.path.isdir(text) else by_name), ""


def _file(spec: str | Path) -> str:
    """The path as a string, if it is a file; a pipe would be waited for."""
    file = os.path.expanduser(os.fspath(spec))
    if not os.path.exists(file):
        raise Fault(f"there is no file {printable(file)}")
    if not os.path.isfile(file):
        raise Fault(f"{printable(file)} is a pipe or a device: give a file")
    return file


def _required(kind: str, name: str) -> str:
    if not name:
        example = {"torchvision": "torchvision:CIFAR10", "hf": "hf:cifar10"}[kind]
        raise Fault(f"`{kind}` needs the name of a data set, such as `{example}`")
    return name


def _shapes(count: str, split: Split, captions: bool) -> Source:
    """The test split is a fifth of the training split: pictures are drawn, so that it could be of any size."""
    if count and not (count.isascii() and count.isdigit() and int(count) >= 2):
        raise Fault(f"`shapes:{count}` should end in a number of pictures, at least 2, such as `shapes:20000`")
    # They bring the code that draws, which no other data needs.
    from unlabel.data.sentences import sentences
    from unlabel.data.shapes import Shapes

    train = int(count) if count else SHAPES
    source = Shapes(train if split == "train" else max(2, train // 5), split=split)
    return Captioned(source, sentences(source.factors or {})) if captions else source
