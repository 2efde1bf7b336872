"""A folder of pictures, flat or nested, as a source.

- A picture is a file whose suffix is one of `decode.SUFFIXES`, in capitals or not. Other files are ignored.
- Clutter is ignored silently: hidden files and folders (`.DS_Store`, `._x.jpg`, `.ipynb_checkpoints`), and folders
  that systems make for themselves (`__MACOSX`, `@eaDir`, `lost+found`, ...).
- Links to files are followed. Links to folders are followed once all real folders are listed, and no folder is listed
  twice, so that loops end.
- Class labels: when every picture lies in a folder and there are at least two of them, the outermost folder is the
  class. Otherwise there are no classes. A folder that holds a single folder and no picture is passed through first.
- Splits: a folder that holds `train` and one of `test`, `val`, `valid`, `validation`, and no other folder and no
  picture, has a test split. Classes are then numbered as in `train`.
"""

import os
from collections.abc import Iterable, Sequence

import numpy as np
from torch import Tensor

from unlabel.data.decode import SUFFIXES, decode_file, look_at_file
from unlabel.data.source import Look, Source, digest
from unlabel.errors import Fault, nearest

TEST_NAMES = ("test", "val", "valid", "validation")
_CLUTTER = frozenset(
    ("__macosx", "__pycache__", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information")
)


def no_picture(root: str | os.PathLike[str], ignored: int) -> Fault:
    """What is wrong with a folder of `ignored` files none of which is a picture."""
    others = {0: "", 1: " (1 other file was ignored)"}.get(ignored, f" ({ignored:,} other files were ignored)")
    kinds = ".jpg, .png, .webp, .gif, .bmp, .tiff"
    return Fault(f"there is no picture in {printable(os.fspath(root))}: it needs files such as {kinds}{others}")


class Folder(Source):
    """The pictures under `root` in the order of their names.

    root:    a folder.
    classes: the numbering of classes to use, such as that of the training split; pictures of other classes are -1.

    Raises Fault where there is no such folder or no picture in it.
    """

    def __init__(self, root: str | os.PathLike[str], *, classes: Sequence[str] | None = None) -> None:
        folder = check_folder(root)
        named = classes is not None and not set(classes).isdisjoint(_contents(folder)[0])
        self.root = folder if named else inner(folder)  # a single class folder must not be passed through
        self.names, ignored = walk(self.root)
        if not self.names:
            raise no_picture(root, ignored)
        labels, found = classes_of(self.names, classes)
        super().__init__(printable(os.fspath(root)), labels, found)

    def __len__(self) -> int:
        return len(self.names)

    def image(self, i: int) -> Tensor:
        """Picture i, decoded from its file; see `Source.image`."""
        with self.noting(i):
            return decode_file(self.file(i), self.path(i)).pixels

    def look(self, i: int) -> Look:
        """Picture i, its header read; see `Source.look`."""
        return self.watched(i, lambda: look_at_file(self.file(i), self.path(i)))

    def file(self, i: int) -> str:
        """The name of the file of picture i as the file system has it, which may not be printable."""
        return os.path.join(self.root, self.names[i])

    def path(self, i: int) -> str:
        """The printable path of picture i; bytes that are not UTF-8 appear as \\xNN."""
        return printable(self.file(i))

    def fingerprint(self) -> str:
        """Covers the names and sizes of all files, and not their contents or dates."""
        return digest(part for i, name in enumerate(self.names) for part in (name, str(_size(self.file(i)))))


def printable(name: str) -> str:
    """A file name as text that can be printed and stored as UTF-8; exact unless its bytes are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def check_folder(path: str | os.PathLike[str], words: Iterable[str] = ()) -> str:
    """The path as a string, if it is a folder; Fault with what to do where it is not.

    words: other names of data that might have been meant.
    """
    folder = os.path.expanduser(os.fspath(path))
    shown = printable(folder)
    if os.path.isdir(folder):
        return folder
    if os.path.lexists(folder):
        if not os.path.exists(folder):
            raise Fault(f"{shown} is a link to something that is not there")
        if folder.lower().endswith((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")):
            raise Fault(f"{shown} is an archive: unpack it and give the folder")
        raise Fault(f"{shown} is a file where a folder of pictures is expected: give the folder that it is in")
    parent, name = os.path.split(os.path.abspath(folder))
    raise Fault(f"there is no folder {shown}{nearest(name.partition(':')[0], [*_contents(parent)[0], *words])}")


def walk(root: str) -> tuple[list[str], int]:
    """Names of all pictures under `root`, sorted, and the number of other files.

    Names are relative to `root`, with "/" between folders. Whatever is no folder and is named like a picture is in
    the list, readable or not. So is a folder that may not be listed, with "/" at its end: it is then reported as a
    picture that cannot be read.
    """
    pictures: list[str] = []
    ignored = 0
    folders, links = [""], list[str]()
    seen: set[tuple[int, int]] = set()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            status = os.stat(os.path.join(root, folder))
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(os.path.join(root, folder)) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if not folder:
                raise Fault(f"the folder {printable(root)} cannot be listed: {error.strerror}") from None
            pictures.append(folder)
            continue
        for entry in entries:
            if is_clutter(entry.name):
                continue
            if _is_folder(entry):
                (links if entry.is_symlink() else folders).append(f"{folder}{entry.name}/")
            elif is_picture(entry.name):
                pictures.append(folder + entry.name)
            else:
                ignored += 1
    return sorted(pictures), ignored


def classes_of(names: Iterable[str], known: Sequence[str] | None = None) -> tuple[np.ndarray, list[str] | None]:
    """Labels [n] int64 and class names, from relative names with "/": the outermost folder is the class.

    Without `known`, there are classes only if no name is outside a folder and there are at least two folders; labels
    are -1 and the class names None otherwise. With `known`, a folder that is not among them gives -1.
    """
    folders = [printable(top) if slash else None for top, slash, _ in (name.partition("/") for name in names)]
    if known is None:
        found = {folder for folder in folders if folder is not None}
        if None in folders or len(found) < 2:
            return np.full(len(folders), -1, np.int64), None
        known = sorted(found)
    number = {name: k for k, name in enumerate(known)}
    return np.array([-1 if folder is None else number.get(folder, -1) for folder in folders], np.int64), list(known)


def inner(root: str) -> str:
    """The first folder, going in from `root`, that holds more than a single folder (as unpacked archives often do)."""
    for _ in range(16):  # a link back to the folder itself would go on for ever
        folders, pictures = _contents(root)
        if pictures or len(folders) != 1:
            break
        root = os.path.join(root, folders[0])
    return root


def splits(root: str) -> tuple[str, str] | None:
    """The folders of the training and of the test split, or None if `root` is not divided so.

    With several test folders, the first whose class folders are like those of `train` is taken.
    """
    root = inner(root)
    folders, pictures = _contents(root)
    chosen = None if pictures else split_names(folders)
    if chosen is None:
        return None
    train, *tests = (os.path.join(root, name) for name in chosen)
    classes = set(_contents(train)[0])
    return train, next((test for test in tests if classes & set(_contents(test)[0])), tests[0])


def split_names(folders: Iterable[str]) -> list[str] | None:
    """The name of the training folder and then those for testing, if `folders` are these and no others."""
    by_name = {folder.lower(): folder for folder in folders}
    tests = [by_name[name] for name in TEST_NAMES if name in by_name]
    if "train" not in by_name or not tests or len(tests) + 1 != len(by_name):
        return None
    return [by_name["train"], *tests]


def _contents(folder: str) -> tuple[list[str], bool]:
    """Names of the folders in a folder, sorted, and whether it holds pictures itself; clutter apart."""
    folders, pictures = [], False
    try:
        with os.scandir(folder) as listing:
            for entry in listing:
                if is_clutter(entry.name):
                    continue
                if _is_folder(entry):
                    folders.append(entry.name)
                else:
                    pictures = pictures or is_picture(entry.name)
    except OSError:  # `walk` reports it
        return [], False
    return sorted(folders), pictures


def is_clutter(name: str) -> bool:
    """Whether a file or folder of this name is passed over silently."""
    return name.startswith(".") or name.lower() in _CLUTTER


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # `is_dir` asks the file system only about links; a link in a circle is an error for it and False for `isdir`.
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir(follow_symlinks=False)


def is_picture(name: str) -> bool:
    """Whether a file of this name is taken for a picture."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size
    except OSError:
        return -1
