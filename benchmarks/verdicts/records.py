"""What is kept of a run: enough to judge it again, by other rules, without training."""

import json
import math
from pathlib import Path
from typing import Any

from entries import Entry

from unlabel.engine.folder import RunFolder, read_json

RECORDS = Path(__file__).parent / "records"
SHAPE = (
    "images", "dimensions", "dimensions_99", "std", "mean_cosine", "effective_rank", "participation_ratio", "alignment",
    "uniformity", "neighbour_stability", "teacher_distance", "codes_used",
    "assignment_entropy_share", "knn",
)  # fmt: skip
DIGITS = 6


def _short(value: Any) -> Any:
    """Numbers with six digits, and nothing that JSON cannot say."""
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def record(entry: Entry, place: Path) -> dict[str, Any]:
    """The journal, the evaluation and the options of a run."""
    folder = RunFolder(place)
    stored, lines = folder.read(), list(folder.readings())
    names = {*SHAPE, *(f"projection_{name}" for name in SHAPE)}
    losses = [[line["update"], _short(line["loss"])] for line in lines if "loss" in line]
    readings = [
        [line["update"], _short({name: value for name, value in line["monitor"].items() if name in names})]
        for line in lines
        if "monitor" in line
    ]
    return {
        "name": entry.name, "made": entry.made, "method": entry.method, "data": entry.data, "of": entry.of,
        "options": entry.options, "updates": stored["updates"], "warmup": stored["plan"]["warmup"],
        "collapse_values": stored["collapse_values"], "stopped": stored.get("stopped"), "cost": stored["cost"],
        "losses": losses, "readings": readings, "evaluation": _evaluation(folder),
    }  # fmt: skip


def _evaluation(folder: RunFolder) -> dict[str, Any] | None:
    if not folder.evaluation.exists():
        return None
    found = read_json(folder.evaluation, f"{folder.evaluation} is damaged")
    kept: dict[str, Any] = {name: found.get(name) for name in ("knn", "linear", "non_finite")}
    kept |= {name: found.get(name) for name in SHAPE if name in found and name != "knn"}
    for name in ("untrained", "projection"):
        kept[name] = {key: value for key, value in (found.get(name) or {}).items() if key in SHAPE} or None
    short: dict[str, Any] = _short({**kept, "protocol": {"queries": found["protocol"]["queries"]}})
    return short


def load() -> dict[str, dict[str, Any]]:
    """All records by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))}


def history(found: dict[str, Any], *, labels: bool) -> list[dict[str, Any]]:
    """The lines of a run's journal, in order; without labels as they would be had there been none."""
    lines: list[tuple[int, int, dict[str, Any]]] = [
        (update, 0, {"update": update, "loss": math.nan if loss is None else loss}) for update, loss in found["losses"]
    ]
    for update, reading in found["readings"]:
        kept = {name: value for name, value in reading.items() if labels or name != "knn"}
        lines.append((update, 1, {"update": update, "monitor": kept}))
    return [line for *_, line in sorted(lines, key=lambda one: one[:2])]
