"""What `unlabel scan` prints."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from unlabel.api.scanning import Scanned
from unlabel.cli import OUT
from unlabel.console import tell
from unlabel.data.findings import FLAT, HUGE, TINY, Scan
from unlabel.data.remarks import remarks, size_on_disk
from unlabel.engine.advice import Advice

FEW = 20  # lines of a list that are shown unless all are asked for
_NAMED = 4  # paths of a group

_KINDS = {"exact": "the same file", "near": "nearly the same", "run": "nearly the same to the run"}


def show(scanned: Scanned, *, every: bool) -> None:
    """Print a scan: what should be known first, then the facts, then what to train with."""
    found = scanned.found
    pictures = f"{found.readable:,} picture{'' if found.readable == 1 else 's'}"
    tell(OUT, f"{found.root}: {pictures} can be read, {len(found.unreadable):,} cannot, {size_on_disk(found)}")
    for remark in remarks(found):
        tell(OUT, f"{'!' if remark.grave else '-'} {remark.sentence}")
    _lists(found, every)
    if found.ignored:
        OUT.print()
        tell(OUT, f"files that are not pictures: {found.ignored:,}")
    if found.smallest and found.largest:
        ends = dict.fromkeys((found.smallest, found.largest))  # one where they are the same
        tell(OUT, "pixels: " + " to ".join(f"{width} x {height}" for width, height in ends))
    for title, counts in found.histograms().items():
        _histogram(title, counts, every)
    if scanned.advice is not None:
        _advice(scanned.advice)


def _lists(found: Scan, every: bool) -> None:
    for kind, title in _KINDS.items():
        _groups(f"in more than one split, {title}", [leak.paths for leak in found.leaks if leak.kind == kind], every)
    _groups("in more than one class", found.conflicts, every)
    _list("cannot be read", [f"{path}: {reason}" for path, reason in found.unreadable], every)
    _groups("the same file more than once", found.copies(), every)
    _groups("nearly the same picture", found.undivided(found.near), every)
    _groups("nearly the same to the run", found.undivided(found.near_by_run or []), every)
    _list(f"nearly constant: levels vary by less than {FLAT:g}", found.constant, every)
    _list(f"tiny: a side below {TINY} pixels", found.tiny, every)
    _list(f"huge: more than {HUGE // 1_000_000} megapixels", found.huge, every)


def _groups(title: str, groups: Sequence[Sequence[str]], every: bool) -> None:
    lines = []
    for group in groups:
        more = 0 if every else len(group[_NAMED:])
        lines.append(" = ".join(group if every else group[:_NAMED]) + (f" and {more:,} more" if more else ""))
    _list(title, lines, every)


def _list(title: str, lines: Sequence[str], every: bool) -> None:
    if not lines:
        return
    OUT.print()
    tell(OUT, f"{title}: {len(lines):,}")
    for line in lines if every else lines[:FEW]:
        tell(OUT, f"  {line}")
    if len(lines) > FEW and not every:
        tell(OUT, f"  ... and {len(lines) - FEW:,} more (--all lists them)")


def _histogram(title: str, counts: dict[Any, int], every: bool) -> None:
    table = Table(title, "pictures", "", title_justify="left")
    most = max(counts.values())
    rows = list(counts.items())
    for name, count in rows if every else rows[:FEW]:
        table.add_row(Text(str(name)), f"{count:,}", "█" * max(1, round(30 * count / most)) if count else "")
    OUT.print(table)
    if len(rows) > FEW and not every:
        tell(OUT, f"  ... and {len(rows) - FEW:,} more")


def _advice(advice: Advice) -> None:
    table = Table("option", "value", "why", title="to train with", title_justify="left")
    for choice in advice.choices:
        table.add_row(choice.name, Text(choice.value), Text(choice.reason))
    OUT.print(table)
    for sentence in advice.measured:
        tell(OUT, f"timed here: {sentence}")
    for note in advice.notes:
        tell(OUT, f"! {note}")
    OUT.print()
    tell(OUT, advice.command)
