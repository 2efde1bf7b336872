"""Where the salient objects of pictures are, as files."""

from collections.abc import Callable
from pathlib import Path

from unlabel.data.open import has_test_split, open_source
from unlabel.data.saliency import check_masks, write_masks
from unlabel.data.source import Unreadable
from unlabel.engine.places import check_folder


def saliency(
    data: str | Path, *, out: str | Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[int, list[Unreadable]]:
    """Look for the object of every picture of `data` and write masks to the folder `out`, which mirrors the data.

    data      a folder, or any other data by its name (both of its splits)
    progress  is told how many of how many pictures of a split are done

    Returns how many masks were written, and the pictures that were left out. Masks are rough: they come from colours
    and edges alone. Raises Fault where `out` is no folder that can be written to or lies in the data, where a mask
    would replace a picture or another mask, or OpenCV is missing.
    """
    check_folder(out)
    sources = [open_source(data)]
    if has_test_split(data):
        sources.append(open_source(data, split="test"))
    check_masks(sources, out, str(data))
    written, skipped = 0, []
    for source in sources:
        count, left_out = write_masks(source, out, str(data), progress)
        written += count
        skipped += left_out
    return written, skipped
