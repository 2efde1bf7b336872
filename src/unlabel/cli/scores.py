"""An evaluation on a terminal: this run beside its controls."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from unlabel.evaluation.kinds import line
from unlabel.reporting import charts, facts
from unlabel.reporting.charts import CONTROLS
from unlabel.reporting.further import Section, further
from unlabel.reporting.scores import factors
from unlabel.reporting.words import number


def tables(evaluation: Mapping[str, Any]) -> list[Table | str]:
    """What there is to print of evaluation.json, one after the other; whatever it lacks is left out."""
    found = dict(evaluation)
    if found.get("classification"):
        return [
            *(
                f"{who}: " + ", ".join(f"{top} {value:.1f} %" for top, value in scores.items())
                for who, scores in found["classification"].items()
            ),
            *([line(found["protocol"])] if "protocol" in found else []),
        ]
    if found.get("translation"):
        return _translation(found)
    said: list[Table | str] = []
    if (first := _accuracy(found)).row_count:
        said += [first, line(found["protocol"])]
    said += [part for section in further(found) for part in shown(section)]
    said += [_table(chart.table, _lowered(chart.table.caption)) for chart in factors(found) if chart.table is not None]
    said += _stated(found, "factors") if found.get("factors") else []
    return [*said, *_shape(found), *(found.get("remarks") or [])]


def shown(section: Section) -> list[Table | str]:
    """A section of the page: its tables, then the protocol."""
    made: list[Table | str] = [_table(t, f"{_lowered(section.title)}: {_lowered(t.caption)}") for t in section.tables]
    return [*made, *([line(section.stated)] if section.stated else [])]


def _stated(found: dict[str, Any], kind: str) -> list[Table | str]:
    """The protocol of numbers that have no place of their own for it; older evaluations say none."""
    stated = facts.protocols(found).get(kind)
    return [line(stated)] if stated else []


def _table(table: charts.Table, title: str) -> Table:
    """A table of the report."""
    made = Table(title, *table.head[1:])
    for row in table.rows:
        made.add_row(*row)
    return made


def _lowered(caption: str) -> str:
    return caption[:1].lower() + caption[1:]


def _translation(found: dict[str, Any]) -> list[Table | str]:
    """Translated images beside untouched ones, and the single numbers."""
    of = found["translation"]
    numbers = facts.translated(found)
    single = [f"{name.replace('_', ' ')}: {number(value)}" for name, value in of.items() if not isinstance(value, dict)]
    stated = [line(of["protocol"])] if of.get("protocol") else []
    return [*([_table(numbers, "image translation")] if numbers else []), *single, *stated]


def _shape(found: dict[str, Any]) -> list[Table | str]:
    """Ranks, alignment and the like of the embeddings, beside those of random weights."""
    of_random = {title: text for title, text, _ in facts.shape_numbers(found.get("untrained") or {})}
    table = Table("shape of the embeddings", CONTROLS["run"], CONTROLS["random"])
    for title, text, _ in facts.shape_numbers(found):
        table.add_row(title, text, of_random.get(title, "–"))
    if not table.row_count:
        return []
    lidar = [f"LiDAR: {part}" for part in _stated(found, "lidar")]
    return [table, *_stated(found, "shape"), *lidar]


def _accuracy(evaluation: Mapping[str, Any]) -> Table:
    """kNN and linear probe."""
    table = Table("accuracy, %", *CONTROLS.values())
    if knn := evaluation.get("knn"):
        _row(table, "kNN top-1", [knn.get(who) for who in CONTROLS])
    if linear := evaluation.get("linear"):
        for top in ("top1", "top5"):
            _row(table, f"linear {top}", [(linear.get(who) or {}).get(top) for who in CONTROLS])
    return table


def _row(table: Table, title: str, values: list[float | None]) -> None:
    table.add_row(title, *("–" if value is None else f"{round(value, 1) + 0.0:.1f}" for value in values))
