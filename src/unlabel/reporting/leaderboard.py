"""Run folders of one comparison to a leaderboard: JSON for programs, Markdown for documents, a page for people."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from unlabel.engine.folder import RunFolder, read_json, write_atomically, write_json
from unlabel.reporting.page import policy
from unlabel.reporting.words import finite, short_name, spread

COLUMNS = {
    "knn": ("kNN", 1),
    "top1": ("linear top-1", 1),
    "top5": ("top-5", 1),
    "alignment": ("alignment", 2),
    "uniformity": ("uniformity", 2),
    "effective_rank": ("effective rank", 1),
    "images_per_second": ("images/s", 0),
    "peak_memory_mb": ("peak MB", 0),
    "minutes": ("minutes", 1),
}
"""Key -> title and decimals."""


@dataclass
class Row:
    """One entry, or one control: the numbers of its seeds by column, and what there is to say of it."""

    name: str
    control: bool = False
    numbers: dict[str, list[float]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, **numbers: Any) -> None:
        """One more seed's numbers; those that are not known are left out."""
        for column, value in numbers.items():
            if (known := finite(value)) is not None:
                self.numbers.setdefault(column, []).append(known)

    def mean(self, column: str) -> float | None:
        """Over seeds; None where nothing is known."""
        return statistics.mean(self.numbers[column]) if self.numbers.get(column) else None

    def cell(self, column: str) -> str:
        """Mean ± standard deviation over seeds."""
        return spread(self.numbers.get(column, []), COLUMNS[column][1])


def write_leaderboard(out: Path, runs: dict[str, list[Path]]) -> Path:
    """Write leaderboard.json, .md and .html into `out`, of the run folders (finished or not) of each entry, by seed.

    Controls come first, then the entries by kNN. remarks.json ({entry: sentence}), where there is one, is shown too.
    Returns the page.
    """
    remarks = read_json(path, f"{path} is not readable JSON") if (path := out / "remarks.json").exists() else {}
    entries = [_entry(name, places, remarks.get(name)) for name, places in runs.items()]
    entries.sort(key=lambda row: -(row.mean("knn") or -1.0))
    finished = [RunFolder(place) for places in runs.values() for place in places if _is_finished(place)]
    rows = [*_controls(finished), *entries]
    facts = _facts(finished)
    write_json(out / "leaderboard.json", {**facts, "rows": [asdict(row) for row in rows]})
    write_atomically(out / "leaderboard.md", (markdown(rows) + f"\n\n{facts['note']}\n").encode())
    write_atomically(page := out / "leaderboard.html", _page(rows, facts).encode("utf-8", "replace"))
    return page


def markdown(rows: Sequence[Row]) -> str:
    """The table."""
    head = ["", "seeds", *(title for title, _ in COLUMNS.values()), "remarks"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        name = f"*{row.name}*" if row.control else row.name
        lines.append([name, _seeds(row), *(row.cell(column) for column in COLUMNS), "; ".join(row.remarks)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _seeds(row: Row) -> str:
    return "" if row.control else str(max(map(len, row.numbers.values()), default=0))


def _is_finished(place: Path) -> bool:
    run = RunFolder(place)
    return run.run_json.exists() and bool(run.read().get("finished")) and run.evaluation.exists()


def _entry(name: str, places: list[Path], remark: str | None) -> Row:
    row = Row(name)
    states: dict[str, int] = {}
    for place in places:
        if not _is_finished(place):
            row.remarks.append(f"{place.name} did not finish{_last_words(place)}")
            continue
        run, found = _read(place)
        linear, cost = (found.get("linear") or {}).get("run") or {}, run.get("cost") or {}
        row.add(
            knn=(found.get("knn") or {}).get("run"), top1=linear.get("top1"), top5=linear.get("top5"),
            alignment=found.get("alignment"), uniformity=found.get("uniformity"),
            effective_rank=found.get("effective_rank"), images_per_second=cost.get("images_per_second"),
            peak_memory_mb=cost.get("peak_memory_mb"), minutes=(cost.get("seconds") or 0) / 60,
        )  # fmt: skip
        state = (found.get("verdict") or {}).get("state", "not judged")
        states[state] = states.get(state, 0) + 1
    judged = [state if count == len(places) else f"{state} ({count})" for state, count in states.items()]
    row.remarks[:0] = [", ".join(judged)] if judged else []
    row.remarks += [remark] if remark else []
    return row


def _last_words(place: Path) -> str:
    log = place.with_name(f"{place.name}.log")
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return f": {said[-1]}" if said else ""


def _read(place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    run = RunFolder(place)
    return run.read(), read_json(run.evaluation, f"{run.evaluation} is damaged")


def _controls(finished: list[RunFolder]) -> list[Row]:
    """Raw pixels, and random weights of each backbone: the same in every run of it, so the first counts."""
    rows: dict[str, Row] = {}
    for folder in finished:
        run, found = _read(folder.path)
        backbone = (run.get("backbone") or {}).get("name")
        for who, name in (("pixels", "raw pixels"), ("random", f"random weights, {backbone}")):
            linear = (found.get("linear") or {}).get(who) or {}
            if name not in rows and linear:
                rows[name] = Row(name, control=True)
                rows[name].add(knn=found["knn"].get(who), top1=linear.get("top1"), top5=linear.get("top5"))
    return list(rows.values())


def _facts(finished: list[RunFolder]) -> dict[str, Any]:
    """What all rows share, in words and as numbers."""
    if not finished:
        return {"note": "No run has finished yet.", "protocol": None, "machine": None, "versions": None}
    run, found = _read(finished[0].path)
    protocol, machine = found["protocol"], run["machine"]
    length = f"for {run['run']['budget']}" if run["run"]["budget"] else f"{run['updates']:,} updates"
    note = (
        f"Mean ± standard deviation over seeds, accuracies in per cent. Every run trained {length} on "
        f"{short_name(run['run']['data'])}; kNN: k = {protocol['k']}, cosine, {protocol['memory']:,} remembered, "
        f"{protocol['queries']:,} asked; linear: {protocol['linear']['classifier']}. "
        f"{machine['processor']}, {machine['cores']} cores; torch {run['versions']['torch']}."
    )
    return {"note": note, "protocol": protocol, "machine": machine, "versions": run["versions"]}


def _page(rows: Sequence[Row], facts: dict[str, Any]) -> str:
    package = files("unlabel.reporting")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(package.joinpath("leaderboard.html.j2").read_text(encoding="utf-8"))
    script = package.joinpath("leaderboard.js").read_text(encoding="utf-8")
    best = max((row.mean("knn") or 0.0 for row in rows), default=0.0) or 1.0
    shown = [
        {
            "name": row.name, "control": row.control, "seeds": _seeds(row), "remarks": "; ".join(row.remarks),
            "share": 100 * (row.mean("knn") or 0.0) / best,
            "cells": [(row.cell(column), row.mean(column)) for column in COLUMNS],
        }
        for row in rows
    ]  # fmt: skip
    return template.render(
        rows=shown, titles=[title for title, _ in COLUMNS.values()], note=facts["note"],
        style=Markup(package.joinpath("page.css").read_text(encoding="utf-8")), script=Markup(script),
        policy=policy([script]),
    )  # fmt: skip
