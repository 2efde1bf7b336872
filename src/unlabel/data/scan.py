"""A look at a folder before training on it: what can be read, what cannot and why, and what is odd about the rest."""

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event

import numpy as np

from unlabel.data.ahead import cores
from unlabel.data.facts import Facts, facts_of
from unlabel.data.findings import FLAT, HUGE, TINY, Scan
from unlabel.data.folder import check_folder, classes_of, inner, no_picture, printable, splits, walk
from unlabel.data.perceptual import COPY, near_duplicates, perceptual_hash, small_copy

_SIDES = (16, 32, 64, 128, 256, 512, 1024, 2048)
_ASPECTS = ((1.01, "square"), (1.5, "up to 3:2"), (2.0, "up to 2:1"), (4.0, "up to 4:1"))
_BRIGHT = 10  # bins of the mean grey level
_PART = 8  # files that a thread looks at before it hands over
_TOLD = 0.2  # seconds between two words of progress
_TRIED = 0.8  # seconds for which each number of threads is tried, twice


@dataclass
class _Gathered:
    """What is kept of every picture until all are read: its name, and of the first of each content its look.

    hashes, copies: of as many as there are `firsts`, with room for one of every file.
    """

    hashes: np.ndarray
    copies: np.ndarray
    names: list[str] = field(default_factory=list)
    sides: list[int] = field(default_factory=list)
    contents: dict[bytes, list[str]] = field(default_factory=dict)
    firsts: list[str] = field(default_factory=list)


def scan(
    path: str | os.PathLike[str], *, progress: Callable[[int, int], None] | None = None, threads: int | None = None
) -> Scan:
    """Read every picture of a folder and report; nothing is changed and nothing printed.

    path:     a folder, divided into splits or not.
    progress: called with (pictures done, pictures in all) now and then.
    threads:  how many read at once; None = one, or one for each core, whichever is found to be faster here.

    Raises Fault where there is no such folder or no picture in it.
    """
    root = inner(check_folder(path))
    names, ignored = walk(root)
    if not names:
        raise no_picture(path, ignored)
    report = Scan(printable(os.fspath(path)), printable(root.rstrip("/")), ignored=ignored)
    counts = {name: Counter[int | str]() for name in ("sides", "aspects", "brightness", "formats", "modes", "colours")}
    gathered = _Gathered(np.empty(len(names), np.uint64), np.empty((len(names), COPY), np.uint8))
    done, told = 0, time.monotonic()
    for part, facts in _read(root, names, threads):
        for name, one in zip(part, facts, strict=True):
            _note(report, root, name, one, counts)
        _gather(gathered, root, part, facts)
        done += len(part)
        if progress is not None and (done == len(names) or time.monotonic() - told >= _TOLD):
            told = time.monotonic()
            progress(done, len(names))
    report.readable = len(gathered.names)
    report.duplicates = [group for group in gathered.contents.values() if len(group) > 1]
    count = len(gathered.firsts)
    groups = near_duplicates(gathered.hashes[:count], gathered.copies[:count])
    report.near = [[gathered.firsts[k] for k in group] for group in groups]
    for name, label in (("sides", _side_name), ("aspects", _aspect_name), ("brightness", _brightness_name)):
        setattr(report, name, {label(k): counts[name][k] for k in sorted(counts[name], key=int)})
    for name in ("formats", "modes", "colours"):
        setattr(report, name, dict(counts[name].most_common()))
    _divide(report, root, gathered)
    return report


_Part = tuple[list[str], list[Facts]]


def _read(root: str, names: list[str], threads: int | None) -> Iterator[_Part]:
    """All names with their facts, in order and by parts.

    Small files are read faster by one thread than by several, which then mostly wait for the interpreter; large or far
    ones are not. So without a number of threads both are tried in turns on the first files.
    """
    parts = [names[start : start + _PART] for start in range(0, len(names), _PART)]
    rates = dict.fromkeys((threads,) if threads else sorted({1, cores()}), 0.0)
    done = 0
    for workers in (*rates, *rates) if len(rates) > 1 else ():
        begun, first = time.perf_counter(), done
        with closing(_through(root, parts[done:], workers)) as read:  # a Ctrl-C while it closes must not be lost
            for part in read:
                yield part
                done += 1
                if (spent := time.perf_counter() - begun) >= _TRIED:
                    rates[workers] += (done - first) / spent
                    break
    yield from _through(root, parts[done:], max(rates, key=lambda workers: rates[workers]))


def _through(root: str, parts: list[list[str]], workers: int) -> Generator[_Part]:
    """The parts with their facts, in order; few at a time, so that a million do not queue up in memory."""
    stop = Event()

    def look(part: list[str]) -> list[Facts]:
        return [facts_of(os.path.join(root, name)) for name in part if not stop.is_set()]

    pool = ThreadPoolExecutor(workers, "unlabel-scan")
    try:
        waiting: deque[tuple[list[str], Future[list[Facts]]]] = deque()
        for part in parts:
            waiting.append((part, pool.submit(look, part)))
            if len(waiting) > 2 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        for part, future in waiting:
            yield part, future.result()
    finally:  # also after Ctrl-C: then within the time that one file takes
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _note(report: Scan, root: str, name: str, facts: Facts, counts: dict[str, Counter[int | str]]) -> None:
    """What one file says, into the report."""
    file = os.path.join(root, name)
    shown = printable(file)
    report.bytes += facts.size
    if shown != file:
        report.names[shown] = file
    if facts.reason is not None:
        report.unreadable.append((shown, facts.reason))
        report.truncated += [shown] if facts.cut else []
        return
    area = facts.width * facts.height
    report.tiny += [shown] if min(facts.width, facts.height) < TINY else []
    report.huge += [shown] if area > HUGE else []
    report.constant += [shown] if facts.flat else []
    if report.smallest is None or area < report.smallest[0] * report.smallest[1]:
        report.smallest = facts.width, facts.height
    if report.largest is None or area > report.largest[0] * report.largest[1]:
        report.largest = facts.width, facts.height
    counts["sides"][sum(min(facts.width, facts.height) >= edge for edge in _SIDES)] += 1
    ratio = max(facts.width, facts.height) / min(facts.width, facts.height)
    counts["aspects"][sum(ratio > edge for edge, _ in _ASPECTS)] += 1
    counts["brightness"][min(_BRIGHT - 1, int(facts.mean * _BRIGHT / 255))] += 1
    counts["formats"][facts.format] += 1
    counts["modes"][facts.mode] += 1
    counts["colours"]["colour" if facts.colour else "grey"] += 1


def _gather(gathered: _Gathered, root: str, names: list[str], facts: list[Facts]) -> None:
    """What is compared when all are read."""
    looks = []
    for name, one in zip(names, facts, strict=True):
        if one.reason is not None:
            continue
        gathered.names.append(name)
        gathered.sides.append(min(one.width, one.height))
        shown = printable(os.path.join(root, name))
        same = gathered.contents.setdefault(one.content, [])
        same.append(shown)
        if len(same) == 1 and one.spread >= FLAT:
            gathered.firsts.append(shown)
            looks.append(one)
    if looks:
        small, end = np.stack([one.small for one in looks]), len(gathered.firsts)
        gathered.hashes[end - len(looks) : end] = perceptual_hash(small)
        gathered.copies[end - len(looks) : end] = small_copy(small, np.stack([one.tones for one in looks]))


def _divide(report: Scan, root: str, gathered: _Gathered) -> None:
    """Pictures in each split and class, and those that are in several of them."""
    divided, names, sides = splits(root), gathered.names, np.array(gathered.sides)
    if divided is not None:
        report.train = printable(os.path.basename(divided[0]))
        report.splits = dict(sorted(Counter(printable(name.partition("/")[0]) for name in names).items()))
        inside = np.array([name.startswith(f"{os.path.basename(divided[0])}/") for name in names], bool)
        names = [name.partition("/")[2] for name, chosen in zip(names, inside, strict=True) if chosen]
        sides = sides[inside]
    report.shorter_side = float(np.median(sides)) if len(sides) else None
    labels, classes = classes_of(names)
    if classes is not None:
        counts = Counter(labels.tolist())
        report.classes = {name: counts[k] for k, name in enumerate(classes)}
        report.conflicts = [same for same in report.duplicates if len(set(map(report.class_of, same))) > 1]
    report.leaks = [*report.leaks_of("exact", report.duplicates), *report.leaks_of("near", report.near)]


def _side_name(k: int | str) -> str:
    k = int(k)
    if k == 0:
        return f"below {_SIDES[0]}"
    return f"{_SIDES[k - 1]} to {_SIDES[k] - 1}" if k < len(_SIDES) else f"{_SIDES[-1]} and more"


def _aspect_name(k: int | str) -> str:
    return _ASPECTS[int(k)][1] if int(k) < len(_ASPECTS) else "longer"


def _brightness_name(k: int | str) -> str:
    """Levels whose tenth of 0 to 255 is k: bins of 25.5."""
    low, high = 255 * int(k) / _BRIGHT, 255 * (int(k) + 1) / _BRIGHT
    return f"{low:g} to {high:g}"
