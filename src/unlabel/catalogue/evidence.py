"""What was measured of a method: its rows in the records of studies, beside the controls it must beat."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlabel.catalogue.source import ROOT
from unlabel.reporting.controls import random_weights_of
from unlabel.reporting.rows import COLUMNS, Row

RECORDS = ROOT.parent / "benchmarks" / "evidence"
"""Where the records are in the project's own tree; a package that was installed without it has none."""

_LEFT_OUT = ("images_per_second", "peak_memory_mb")  # of the machine more than of the method


@dataclass(frozen=True)
class Measured:
    """One study's rows about a method.

    head, rows: of the table, controls first; note: data, minutes, machine; protocols: a line for each kind of number
    """

    study: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str
    protocols: tuple[str, ...]


def measured(method: str, records: Path = RECORDS) -> tuple[Measured, ...]:
    """Of each study that a method (or the method with options of its own) took part in, in the order of their names."""
    found = []
    for path in sorted(records.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(record, dict) and "study" in record and "rows" in record:
            found += _of_study(method, record)
    return tuple(found)


def _of_study(method: str, record: dict[str, Any]) -> list[Measured]:
    rows = [Row(**row) for row in record["rows"]]
    own = [row for row in rows if not row.control and row.name.split()[0] == method]
    if not own:
        return []
    controls = [row for row in rows if row.control and any(_is_of(row.name, entry) for entry in own)]
    return [Measured(record["study"], *_table([*controls, *own]), record["note"], tuple(record.get("protocols", ())))]


def _is_of(control: str, entry: Row) -> bool:
    """Whether an entry is to beat this control; older records say it of random weights alone, by their network."""
    if "controls" in entry.setup:
        return control in entry.setup["controls"].values()
    return not control.startswith(random_weights_of("")) or control == random_weights_of(entry.setup.get("network", ""))


def _table(rows: Sequence[Row]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    columns = [name for name in COLUMNS if name not in _LEFT_OUT and any(row.numbers.get(name) for row in rows)]
    cells = tuple(
        (row.name, "control" if row.control else str(_seeds(row)), *(row.cell(name) for name in columns))
        for row in rows
    )
    return ("", "seeds", *(COLUMNS[name].title for name in columns)), cells


def _seeds(row: Row) -> int:
    return max(map(len, row.numbers.values()), default=0)
