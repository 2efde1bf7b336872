"""A look at a folder before training on it: what can be read, what cannot and why, and what is odd about the rest."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from unlabel.data.ahead import cores
from unlabel.data.decode import decode_file
from unlabel.data.folder import check_folder, classes_of, inner, printable, splits, walk
from unlabel.data.source import Unreadable
from unlabel.errors import Fault

TINY = 16  # pixels: a shorter side below this leaves nothing to crop
HUGE = 50_000_000  # pixels: decoding one takes a second
_SIDES = (16, 32, 64, 128, 256, 512, 1024, 2048)
_ASPECTS = ((1.01, "square"), (1.5, "up to 3:2"), (2.0, "up to 2:1"), (4.0, "up to 4:1"))
_CHUNK = 256


@dataclass
class Scan:
    """What a folder holds. Paths are printable; counts are of readable pictures unless they say otherwise.

    root:       the folder.
    readable:   number of pictures that decode.
    unreadable: (path, reason) of those that do not.
    ignored:    number of files that are not named like pictures (clutter apart).
    bytes:      size of all pictures on disk, readable or not.
    tiny, huge: paths of pictures with a shorter side below TINY, or more than HUGE pixels.
    duplicates: groups of paths whose files are the same byte for byte.
    smallest, largest: (width, height) of the pictures with the fewest and the most pixels.
    sides:      histogram of shorter sides in pixels.
    aspects:    histogram of longer side to shorter side.
    formats, modes: histograms of file formats ("JPEG") and channel modes ("RGB", "L", "CMYK", "I;16", ...).
    splits:     number of pictures in each split, or None where there are none.
    classes:    number of pictures in each class of the training split (or of the whole), or None without classes.
    """

    root: str
    readable: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    ignored: int = 0
    bytes: int = 0
    tiny: list[str] = field(default_factory=list)
    huge: list[str] = field(default_factory=list)
    duplicates: list[list[str]] = field(default_factory=list)
    smallest: tuple[int, int] | None = None
    largest: tuple[int, int] | None = None
    sides: dict[str, int] = field(default_factory=dict)
    aspects: dict[str, int] = field(default_factory=dict)
    formats: dict[str, int] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] | None = None
    classes: dict[str, int] | None = None


class _Facts(NamedTuple):
    """Of one file: its size on disk, and either why it cannot be read or what it is."""

    size: int
    reason: str | None = None
    width: int = 0
    height: int = 0
    format: str = ""
    mode: str = ""
    content: bytes = b""


def scan(
    path: str | os.PathLike[str], *, progress: Callable[[int, int], None] | None = None, threads: int | None = None
) -> Scan:
    """Read every picture of a folder and report; nothing is changed and nothing printed.

    path:     a folder, divided into splits or not.
    progress: called with (pictures done, pictures in all) now and then.
    threads:  how many read at once; None = one for each core.

    Raises Fault where there is no such folder or no picture in it.
    """
    root = inner(check_folder(path))
    names, ignored = walk(root)
    if not names:
        raise Fault(f"there is no picture in {printable(os.fspath(path))} ({ignored} other files were ignored)")
    report = Scan(printable(os.fspath(path)), ignored=ignored)
    good: list[str] = []
    contents: dict[bytes, list[str]] = {}
    sides, aspects = Counter[int](), Counter[int]()
    formats, modes = Counter[str](), Counter[str]()
    for done, (name, facts) in enumerate(_read(root, names, threads), start=1):
        shown = printable(os.path.join(root, name))
        report.bytes += facts.size
        if facts.reason is not None:
            report.unreadable.append((shown, facts.reason))
        else:
            good.append(name)
            contents.setdefault(facts.content, []).append(shown)
            sides[_side(facts)] += 1
            aspects[_aspect(facts)] += 1
            formats[facts.format] += 1
            modes[facts.mode] += 1
            _extremes(report, shown, facts)
        if progress is not None and (done % _CHUNK == 0 or done == len(names)):
            progress(done, len(names))
    report.readable = len(good)
    report.duplicates = [group for group in contents.values() if len(group) > 1]
    report.sides = {_side_name(k): sides[k] for k in sorted(sides)}
    report.aspects = {_aspect_name(k): aspects[k] for k in sorted(aspects)}
    report.formats, report.modes = dict(formats.most_common()), dict(modes.most_common())
    _balance(report, root, good)
    return report


def _read(root: str, names: list[str], threads: int | None) -> Iterator[tuple[str, _Facts]]:
    """Every name with its facts, in order; a chunk at a time, so that a million files do not queue up in memory."""
    with ThreadPoolExecutor(threads or cores(), "unlabel-scan") as pool:
        for start in range(0, len(names), _CHUNK):
            chunk = names[start : start + _CHUNK]
            yield from zip(chunk, pool.map(lambda name: _facts(os.path.join(root, name)), chunk), strict=True)


def _facts(file: str) -> _Facts:
    size = _size(file)
    try:
        decoded = decode_file(file, printable(file))  # first, since it refuses pipes and devices
        with open(file, "rb") as stream:
            content = hashlib.file_digest(stream, "sha256").digest()
    except Unreadable as unreadable:
        return _Facts(size, unreadable.reason)
    except OSError as error:  # gone or changed since it was decoded a moment ago
        return _Facts(size, error.strerror or str(error))
    _, height, width = decoded.pixels.shape
    return _Facts(size, None, width, height, decoded.format, decoded.mode, content)


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size
    except OSError:
        return 0


def _extremes(report: Scan, shown: str, facts: _Facts) -> None:
    area = facts.width * facts.height
    if min(facts.width, facts.height) < TINY:
        report.tiny.append(shown)
    if area > HUGE:
        report.huge.append(shown)
    if report.smallest is None or area < report.smallest[0] * report.smallest[1]:
        report.smallest = facts.width, facts.height
    if report.largest is None or area > report.largest[0] * report.largest[1]:
        report.largest = facts.width, facts.height


def _balance(report: Scan, root: str, good: list[str]) -> None:
    """Pictures in each split and class."""
    divided = splits(root)
    if divided is not None:
        train = os.path.basename(divided[0])
        report.splits = dict(sorted(Counter(printable(name.partition("/")[0]) for name in good).items()))
        good = [name.partition("/")[2] for name in good if name.startswith(f"{train}/")]
    labels, classes = classes_of(good)
    if classes is not None:
        counts = Counter(labels.tolist())
        report.classes = {name: counts[k] for k, name in enumerate(classes)}


def _side(facts: _Facts) -> int:
    return sum(min(facts.width, facts.height) >= edge for edge in _SIDES)


def _side_name(k: int) -> str:
    if k == 0:
        return f"below {_SIDES[0]}"
    return f"{_SIDES[k - 1]} to {_SIDES[k] - 1}" if k < len(_SIDES) else f"{_SIDES[-1]} and more"


def _aspect(facts: _Facts) -> int:
    ratio = max(facts.width, facts.height) / min(facts.width, facts.height)
    return sum(ratio > edge for edge, _ in _ASPECTS)


def _aspect_name(k: int) -> str:
    return _ASPECTS[k][1] if k < len(_ASPECTS) else "longer"
