"""An evaluation on a terminal: this run beside its controls."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from unlabel.evaluation.kinds import line

CONTROLS = {"run": "this run", "random": "random weights", "pixels": "raw pixels"}


def tables(evaluation: Mapping[str, Any]) -> list[Table | str]:
    """What there is to print of evaluation.json, one after the other; whatever it lacks is left out."""
    if evaluation.get("classification"):
        return [
            *(
                f"{who}: " + ", ".join(f"{top} {value:.1f} %" for top, value in scores.items())
                for who, scores in evaluation["classification"].items()
            ),
            *([line(evaluation["protocol"])] if "protocol" in evaluation else []),
        ]
    first = _accuracy(evaluation)
    if not first.row_count:
        found = evaluation.get("translation") or {}
        return [f"{name}: {value}" for name, value in found.items() if not isinstance(value, dict)]
    said: list[Table | str] = [first, line(evaluation["protocol"])]
    beside = evaluation.get("protocols") or {}
    said += [f"{name}: {line(beside[name])}" for name in ("swapped", "pointing") if name in beside]
    for name in ("retrieval", "clustering"):
        if evaluation.get(name):
            said += [_beside_chance(name, evaluation[name]), line(evaluation[name]["protocol"])]
    if evaluation.get("robustness"):
        said += [_robustness(evaluation["robustness"]), line(evaluation["robustness"]["protocol"])]
    return [*said, *(evaluation.get("remarks") or [])]


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
