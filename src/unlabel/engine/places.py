"""Where results are to be written: looked at before the work that would be lost; nothing is made."""

import os
from pathlib import Path

from unlabel.errors import Fault

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def check_folder(path: str | Path) -> None:
    """Fault where no files can be written to a folder of this name, which need not be there yet."""
    _check(Path(path), Path(path))


def check_file(path: str | Path, what: str = "", suffixes: tuple[str, ...] = ()) -> None:
    """Fault where no file of this name can be written; the folders above it need not be there yet.

    suffixes  of names that suit `what` is written; any, where none is given
    """
    if suffixes and Path(path).suffix.lower() not in suffixes:
        ends = ("one of " if len(suffixes) > 1 else "") + ", ".join(suffixes)
        raise Fault(f"{path} is to be {what}: give it a name that ends in {ends}")
    if Path(path).is_dir():
        raise _unwritable(path, "it is a folder")
    _check(Path(path), Path(path).parent)


def check_picture(path: str | Path) -> None:
    """Fault where no picture can be written to a file of this name, or its suffix is none of a picture."""
    check_file(path, "a picture", PICTURES)


def check_other(path: str | Path, data: str | Path) -> None:
    """Fault where a file of this name is what it is to be made from."""
    given = os.path.expanduser(data)
    if os.path.exists(path) and os.path.exists(given) and os.path.samefile(path, given):
        raise _unwritable(path, "it is what was given to be read")


def _check(path: Path, folder: Path) -> None:
    """Fault about `path` where `folder` is none that can be written to or made."""
    standing = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not standing.is_dir():
        raise _unwritable(path, "it is a file" if standing == path else f"{standing} is no folder")
    if not os.access(standing, os.W_OK | os.X_OK):
        raise _unwritable(path, f"{standing} may not be written to")


def _unwritable(path: str | Path, why: str) -> Fault:
    return Fault(f"{path} cannot be written: {why}; choose another place")
