"""An evaluation on a terminal: this run beside its controls."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from unlabel.evaluation.kinds import line
from unlabel.reporting import charts, facts
from unlabel.reporting.charts import CONTROLS
from unlabel.reporting.further import further
from unlabel.reporting.scores import factors
from unlabel.reporting.words import number

_TEXTS = ("zeroshot", "captions")


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
    beside = found.get("protocols") or {}
    said += [f"{name}: {line(beside[name])}" for name in ("swapped", "pointing") if name in beside]
    for name in ("retrieval", "clustering"):
        if found.get(name):
            said += [_beside_chance(name, found[name]), line(found[name]["protocol"])]
    if found.get("robustness"):
        said += [_robustness(found["robustness"]), line(found["robustness"]["protocol"])]
    said += [_shown(chart.table) for chart in factors(found) if chart.table is not None]
    said += _stated(found, "factors") if found.get("factors") else []
    for section in further(found):
        if section.id in _TEXTS:
            said += [_shown(table, f"{section.title.lower()}, %") for table in section.tables]
            said += _stated(found, section.id)
    return [*said, *_shape(found), *(found.get("remarks") or [])]


def _stated(found: dict[str, Any], kind: str) -> list[Table | str]:
    """The protocol of numbers that have no place of their own for it; older evaluations say none."""
    stated = facts.protocols(found).get(kind)
    return [line(stated)] if stated else []


def _shown(table: charts.Table, title: str = "") -> Table:
    """A table of the report."""
    made = Table(title or table.caption[:1].lower() + table.caption[1:], *table.head[1:])
    for row in table.rows:
        made.add_row(*row)
    return made


def _translation(found: dict[str, Any]) -> list[Table | str]:
    """Translated images beside untouched ones, and the single numbers."""
    of = found["translation"]
    numbers = facts.translated(found)
    single = [f"{name.replace('_', ' ')}: {number(value)}" for name, value in of.items() if not isinstance(value, dict)]
    stated = [line(of["protocol"])] if of.get("protocol") else []
    return [*([_shown(numbers, "image translation")] if numbers else []), *single, *stated]


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
    """kNN, linear probe, and what is known of objects."""
    table = Table("accuracy, %", *CONTROLS.values())
    if knn := evaluation.get("knn"):
        _row(table, "kNN top-1", [knn.get(who) for who in CONTROLS])
    if linear := evaluation.get("linear"):
        for top in ("top1", "top5"):
            _row(table, f"linear {top}", [(linear.get(who) or {}).get(top) for who in CONTROLS])
    objects = evaluation.get("objects") or {}
    for probe, scores in (objects.get("swapped") or {}).items():
        if probe in ("knn", "linear"):
            _row(table, f"{probe}, backgrounds swapped", [(scores.get(who) or {}).get("swapped") for who in CONTROLS])
    if objects.get("pointing"):
        _row(table, "looks at the object", [objects["pointing"].get(who) for who in CONTROLS])
    return table


def _beside_chance(name: str, found: Mapping[str, Any]) -> Table:
    """Retrieval or clustering, with what guessing would score."""
    table = Table(f"{name}, %", *CONTROLS.values(), "guessing")
    for measure in found["run"]:
        _row(table, measure, [(found.get(who) or {}).get(measure) for who in (*CONTROLS, "chance")])
    return table


def _robustness(found: Mapping[str, Any]) -> Table:
    """Both probes on clean and corrupted images; each corruption by the linear probe."""
    table = Table("corrupted images, %", *CONTROLS.values())
    for probe, words in (("linear", "linear"), ("knn", "kNN")):
        for kind in ("clean", "corrupted", "further"):
            _row(table, f"{words}, {kind}", [(found[probe].get(who) or {}).get(kind) for who in CONTROLS])
    for name in found["protocol"]["corruptions"]:
        by_who = [(found["linear"].get(who) or {}).get("corruptions", {}).get(name, {}) for who in CONTROLS]
        _row(table, f"linear, {name.replace('_', ' ')}", [scores.get("mean") for scores in by_who])
    return table


def _row(table: Table, title: str, values: list[float | None]) -> None:
    table.add_row(title, *("–" if value is None else f"{round(value, 1) + 0.0:.1f}" for value in values))
