"""What the benchmarks share: contests in alternating rounds, medians and paired ratios, tables and records.

A machine that others use is noisy, so contestants take turns, and ratios are taken within a round.
"""

import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from unlabel.engine.machine import machine, versions

_WHOLE = Path(__file__).parent / "results"
RESULTS = Path(os.environ.get("BENCH_RESULTS", _WHOLE))
SPEED = Path(__file__).parents[1] / "docs" / "speed.md"
PEERS = (
    "lightly", "albumentations", "kornia", "pytorch-metric-learning", "faiss-cpu", "opencv-python-headless", "litdata",
    "mosaicml-streaming", "webdataset",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One contestant: the median of its rates (items a second), their spread, and the median of its ratios."""

    name: str
    rate: float
    low: float
    high: float
    ratio: float
    rounds: int


def compete(entries: dict[str, Callable[[], int]], *, baseline: str, rounds: int) -> list[Row]:
    """Let every entry work once in each round, after one round that does not count.

    An entry returns how many items it worked through. Ratios are to `baseline`, which must be one of them.
    """
    rates: dict[str, list[float]] = {name: [] for name in entries}
    for turn in range(rounds + 1):
        for name, work in entries.items():
            begun = time.perf_counter()
            items = work()
            if turn:
                rates[name].append(items / (time.perf_counter() - begun))
    return rows(rates, baseline)


def rows(rates: dict[str, list[float]], baseline: str) -> list[Row]:
    """Every contestant's row, from its rates round by round."""
    return [
        Row(
            name, statistics.median(found), min(found), max(found),
            statistics.median(mine / theirs for mine, theirs in zip(found, rates[baseline], strict=True)),
            len(found),
        )
        for name, found in rates.items()
    ]  # fmt: skip


def installed(package: str) -> bool:
    """Whether a peer is there; says how to get it if not."""
    try:
        version(package)
    except PackageNotFoundError:
        print(f"{package} is not installed and does not take part: pip install 'unlabel[bench]'")
        return False
    return True


def record(name: str, title: str, rows: list[Row], *, unit: str, note: str) -> None:
    """Print a contest's table and write it to RESULTS/NAME.json; if that is our own folder, also into docs/speed.md."""
    keep(name, title, table(rows, unit), note=note, rows=[asdict(row) for row in rows])


def keep(name: str, title: str, table: str, *, note: str, **numbers: Any) -> None:
    """The same for any table, in Markdown, with the numbers that it shows."""
    facts = {"title": title, "table": table, "note": note, "machine": machine(), "versions": versions() | _peers()}
    RESULTS.mkdir(exist_ok=True, parents=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(facts | numbers, indent=1) + "\n")
    print(f"\n{title}\n\n{table}\n\n{note}\n", flush=True)
    if RESULTS == _WHOLE:
        write_tables()


def table(rows: list[Row], unit: str) -> str:
    """A contest as Markdown."""
    lines = [f"| {rows[0].rounds} rounds | {unit} | lowest to highest | ratio |", "|---|---|---|---|"]
    for row in rows:
        rate, low, high = (_number(value) for value in (row.rate, row.low, row.high))
        lines.append(f"| {row.name} | {rate} | {low} to {high} | {row.ratio:.2f} |")
    return "\n".join(lines)


def write_tables() -> None:
    """Put every recorded contest into docs/speed.md, behind its mark."""
    begin = "<!-- contests: written by benchmarks/common.py -->"
    head = SPEED.read_text().partition(begin)[0]
    parts = []
    for path in sorted(RESULTS.glob("*.json")):
        facts = json.loads(path.read_text())
        about = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
        where = (
            f"{facts['machine']['processor']}, {facts['machine']['cores']} cores ({facts['machine']['instructions']})"
        )
        parts.append(f"### {facts['title']}\n\n{facts['table']}\n\n{facts['note']}\n\n{where}; {about}.\n")
    SPEED.write_text(f"{head}{begin}\n\n" + "\n".join(parts))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _peers() -> dict[str, str]:
    found = {}
    for package in PEERS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
