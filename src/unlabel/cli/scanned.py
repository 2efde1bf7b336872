"""What `unlabel scan` prints."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from unlabel.cli import OUT
from unlabel.data.scan import HUGE, TINY, Scan

FEW = 20  # lines of a list that are shown unless all are asked for


def show(found: Scan, *, every: bool) -> None:
    """Print a scan: what can be read, what is odd, and how sizes, kinds and classes are spread."""
    size = f"{found.bytes / 1e6:,.1f} MB"
    say(f"{found.root}: {found.readable:,} pictures can be read, {len(found.unreadable):,} cannot, {size}")
    if found.ignored:
        say(f"{found.ignored:,} other files are not pictures")
    if found.smallest and found.largest:
        say(f"from {found.smallest[0]} x {found.smallest[1]} to {found.largest[0]} x {found.largest[1]} pixels")
    _list("cannot be read", [f"{path}: {reason}" for path, reason in found.unreadable], every)
    _list(f"tiny: a side below {TINY} pixels", found.tiny, every)
    _list(f"huge: more than {HUGE // 1_000_000} megapixels", found.huge, every)
    _list("the same file more than once", [" = ".join(group) for group in found.duplicates], every)
    for title, counts in (
        ("shorter side", found.sides), ("shape", found.aspects), ("format", found.formats), ("channels", found.modes),
        ("split", found.splits), ("class", found.classes),
    ):  # fmt: skip
        if counts:
            _histogram(title, dict(counts), every)


def say(text: str) -> None:
    """One line; names of files are not markup."""
    OUT.print(text, highlight=False, markup=False)


def _list(title: str, lines: Sequence[str], every: bool) -> None:
    if not lines:
        return
    say(f"\n{title}: {len(lines):,}")
    for line in lines if every else lines[:FEW]:
        say(f"  {line}")
    if len(lines) > FEW and not every:
        say(f"  ... and {len(lines) - FEW:,} more (--all lists them)")


def _histogram(title: str, counts: dict[Any, int], every: bool) -> None:
    table = Table(title, "pictures", "", title_justify="left")
    most = max(counts.values())
    rows = list(counts.items())
    for name, count in rows if every else rows[:FEW]:
        table.add_row(str(name), f"{count:,}", "█" * max(1, round(30 * count / most)) if count else "")
    OUT.print(table)
    if len(rows) > FEW and not every:
        say(f"  ... and {len(rows) - FEW:,} more")
