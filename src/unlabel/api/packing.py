"""Pictures into one file that is read many times."""

from collections.abc import Callable
from pathlib import Path

from unlabel.data.open import open_source
from unlabel.data.pack import SUFFIX, Pack, Packed, write_pack
from unlabel.engine.places import check_file
from unlabel.errors import Fault, writing

LARGEST = 4096


def pack(
    data: str | Path,
    *,
    out: str | Path,
    size: int = 256,
    quality: int | None = 90,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Packed:
    """Write the pictures of `data`, shrunk to a shorter side of `size` pixels, into the pack `out`.

    data      a folder, or any other data by its name (its training split)
    out       FILE.pack; where it was begun with the same options it is gone on with
    quality   of the JPEGs in it, 1 to 100; None: pixels as they are, read fastest and much larger
    progress  is told how many of how many pictures are done

    Returns what was packed and left out. Raises Fault for wrong options, or where `out` is something else already or
    cannot be written, as on a full disk: what is packed by then is kept.
    """
    if not str(out).lower().endswith(SUFFIX):
        raise Fault(f"a pack has a name that ends in {SUFFIX}, such as {Path(out).with_suffix(SUFFIX)}, not {out}")
    if not 8 <= size <= LARGEST:
        raise Fault(f"the size of packed pictures must be between 8 and {LARGEST} pixels, not {size}")
    if quality is not None and not 1 <= quality <= 100:
        raise Fault(f"the quality of a JPEG is between 1 and 100, or raw, not {quality}")
    check_file(out)
    source = open_source(data)
    with writing(out):
        return write_pack(source, out, size=size, quality=quality, progress=progress)


def verify_pack(file: str | Path, *, progress: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Check every picture of a pack; returns how many there are. Raises Fault where it is cut off or altered."""
    found = Pack(file)
    found.verify(progress)
    return len(found)
