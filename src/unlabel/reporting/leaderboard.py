"""Run folders of one comparison to a leaderboard: JSON for programs, Markdown for documents, a page for people."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from unlabel.engine.folder import RunFolder, read_json, write_atomically, write_json
from unlabel.engine.keep import spec_of
from unlabel.reporting.page import policy
from unlabel.reporting.words import finite, short_name, spread


class Column(NamedTuple):
    """title and decimals; path: where in evaluation.json, or in run.json after "cost.", the number is."""

    title: str
    decimals: int
    path: str


COLUMNS = {
    "knn": Column("kNN", 1, "knn.run"),
    "top1": Column("linear top-1", 1, "linear.run.top1"),
    "top5": Column("top-5", 1, "linear.run.top5"),
    "zeroshot": Column("zero-shot", 1, "texts.zeroshot.top1"),
    "images_by_text": Column("images by text, recall@1", 1, "texts.retrieval.text_to_image.at.1"),
    "texts_by_image": Column("texts by image, recall@1", 1, "texts.retrieval.image_to_text.at.1"),
    "fd": Column("FD", 2, "translation.translation.fd"),
    "psnr": Column("PSNR, dB", 1, "translation.translation.psnr"),
    "ssim": Column("SSIM", 2, "translation.translation.ssim"),
    "pointing": Column("pointing game", 1, "objects.pointing.run"),
    "swapped_knn": Column("kNN, swapped backgrounds", 1, "objects.swapped.knn.run.swapped"),
    "swapped_top1": Column("linear, swapped backgrounds", 1, "objects.swapped.linear.run.swapped"),
    "miou": Column("mIoU", 2, "segmentation.run.mIoU"),
    "aacc": Column("aAcc", 1, "segmentation.run.aAcc"),
    "alignment": Column("alignment", 2, "alignment"),
    "uniformity": Column("uniformity", 2, "uniformity"),
    "tolerance": Column("tolerance", 2, "tolerance"),
    "effective_rank": Column("effective rank", 1, "effective_rank"),
    "projection_rank": Column("rank after the projector", 1, "projection.effective_rank"),
    "epochs": Column("epochs", 1, "cost.epochs"),
    "images_per_second": Column("images/s", 0, "cost.images_per_second"),
    "peak_memory_mb": Column("peak MB", 0, "cost.peak_memory_mb"),
    "minutes": Column("minutes", 1, "cost.minutes"),
}
"""In the order of the table. Columns of which no row knows anything are left out."""

_GUESSING = {
    "zeroshot": "texts.zeroshot.chance1",
    "images_by_text": "texts.retrieval.text_to_image.chance.1",
    "texts_by_image": "texts.retrieval.image_to_text.chance.1",
    "pointing": "objects.pointing.chance",
}
_UNTOUCHED = {name: f"translation.identity.{name}" for name in ("fd", "psnr", "ssim")}
_SHAPE = {name: f"untrained.{name}" for name in ("uniformity", "effective_rank")}


@dataclass
class Row:
    """One entry, or one control: the numbers of its seeds by column, how it was trained, and what there is to say."""

    name: str
    control: bool = False
    numbers: dict[str, list[float]] = field(default_factory=dict)
    setup: dict[str, Any] = field(default_factory=dict)
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
        return spread(self.numbers.get(column, []), COLUMNS[column].decimals)


def write_leaderboard(out: Path, runs: dict[str, list[Path]]) -> Path:
    """Write leaderboard.json, .md and .html into `out`, of the run folders (finished or not) of each entry, by seed.

    Controls come first, then the entries by kNN (translations by FD). remarks.json ({entry: sentence}), where there is
    one, is shown too. Returns the page.
    """
    remarks = read_json(path, f"{path} is not readable JSON") if (path := out / "remarks.json").exists() else {}
    entries = [_entry(name, places, remarks.get(name)) for name, places in runs.items()]
    entries.sort(key=lambda row: (-(row.mean("knn") or -1.0), row.mean("fd") or 0.0))
    finished = [RunFolder(place) for places in runs.values() for place in places if _is_finished(place)]
    rows = [*_controls(finished), *entries]
    facts = _facts(finished)
    write_json(out / "leaderboard.json", {**facts, "rows": [asdict(row) for row in rows]})
    write_atomically(out / "leaderboard.md", (markdown(rows) + f"\n\n{facts['note']}\n").encode())
    write_atomically(page := out / "leaderboard.html", _page(rows, facts).encode("utf-8", "replace"))
    return page


def markdown(rows: Sequence[Row]) -> str:
    """The table."""
    columns = _known(rows)
    head = ["", "seeds", *(COLUMNS[column].title for column in columns), "remarks"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        name = f"*{row.name}*" if row.control else row.name
        lines.append([name, _seeds(row), *(row.cell(column) for column in columns), "; ".join(row.remarks)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _known(rows: Sequence[Row]) -> list[str]:
    """The columns that some row has numbers for."""
    return [column for column in COLUMNS if any(row.numbers.get(column) for row in rows)]


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
        row.add(**{column: _at(found, path) for column, (_, _, path) in COLUMNS.items()})
        row.setup = {key: run.get(key) for key in ("network", "backbone", "plan", "hyper", "size", "channels")}
        state = (found.get("verdict") or {}).get("state", "not judged")
        states[state] = states.get(state, 0) + 1
    judged = [state if count == len(places) else f"{state} ({count})" for state, count in states.items()]
    row.remarks[:0] = [", ".join(judged)] if judged else []
    row.remarks += [remark] if remark else []
    return row


def _at(found: dict[str, Any], path: str) -> Any:
    """What is at "a.b.c" of nested dictionaries; None where there is nothing."""
    part: Any = found
    for name in path.split("."):
        part = part.get(name) if isinstance(part, dict) else None
    return part


def _last_words(place: Path) -> str:
    log = place.with_name(f"{place.name}.log")
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return f": {said[-1]}" if said else ""


def _read(place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """run.json with what the kept network is called, and evaluation.json with what the run cost."""
    folder = RunFolder(place)
    run, found = folder.read(), read_json(folder.evaluation, f"{folder.evaluation} is damaged")
    cost = dict(run.get("cost") or {})
    cost["minutes"] = (cost.get("seconds") or 0) / 60
    cost["epochs"] = run["updates"] / run["updates_per_epoch"] if run.get("updates_per_epoch") else None
    if (pixels := folder.path / "segmentation.json").exists():
        found["segmentation"] = read_json(pixels, f"{pixels} is damaged")
    return {**run, "network": _network(folder)}, {**found, "cost": cost}


def _network(folder: RunFolder) -> str:
    """What the kept network is called; "none" where none is kept."""
    if not folder.backbone.exists():
        return "none"
    facts = read_json(folder.backbone, f"{folder.backbone} is damaged")
    return spec_of(facts).title if "timm" in facts else str(facts["name"])


def _controls(finished: list[RunFolder]) -> list[Row]:
    """What entries must beat. It is the same in every run (random weights: of one network), so the first counts."""
    rows: dict[str, Row] = {}
    for folder in finished:
        run, found = _read(folder.path)
        for name, paths in {
            "raw pixels": _instead("pixels"),
            random_weights_of(run["network"]): _instead("random") | _SHAPE,
            "guessing": _GUESSING,
            "colours alone": _of_pixels("colours"),
            "one class everywhere": _of_pixels("constant"),
            "untouched inputs": _UNTOUCHED,
        }.items():
            row = Row(name, control=True)
            row.add(**{column: _at(found, path) for column, path in paths.items()})
            if row.numbers and name not in rows:
                rows[name] = row
    return list(rows.values())


def random_weights_of(network: str) -> str:
    """What the control of runs that kept such a network is called."""
    return f"random weights, {network}"


def _of_pixels(who: str) -> dict[str, str]:
    return {column: f"segmentation.{who}.{score}" for column, score in (("miou", "mIoU"), ("aacc", "aAcc"))}


def _instead(who: str) -> dict[str, str]:
    """Where the numbers of a control are that is evaluated as the run is."""
    return {column: path.replace(".run", f".{who}") for column, (_, _, path) in COLUMNS.items() if ".run" in path}


def _facts(finished: list[RunFolder]) -> dict[str, Any]:
    """What all rows share, in words and as numbers."""
    if not finished:
        return {"note": "No run has finished yet.", "protocol": None, "machine": None, "versions": None}
    run, found = _read(finished[0].path)
    protocol, machine = found.get("protocol") or _at(found, "translation.protocol") or {}, run["machine"]
    length = f"for {run['run']['budget']}" if run["run"]["budget"] else f"{run['updates']:,} updates"
    note = (
        f"Mean ± standard deviation over seeds, accuracies in per cent. Every run trained {length} on "
        f"{short_name(run['run']['data'])}; "
    )
    if "k" in protocol:
        note += (
            f"kNN: k = {protocol['k']}, cosine, {protocol['memory']:,} remembered, {protocol['queries']:,} asked; "
            f"linear: {protocol['linear']['classifier']}. "
        )
    note += f"{machine['processor']}, {machine['cores']} cores; torch {run['versions']['torch']}."
    return {"note": note, "protocol": protocol, "machine": machine, "versions": run["versions"]}


def _page(rows: Sequence[Row], facts: dict[str, Any]) -> str:
    package = files("unlabel.reporting")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(package.joinpath("leaderboard.html.j2").read_text(encoding="utf-8"))
    script = package.joinpath("leaderboard.js").read_text(encoding="utf-8")
    columns = _known(rows)
    best = max((row.mean("knn") or 0.0 for row in rows), default=0.0) or 1.0
    shown = [
        {
            "name": row.name, "control": row.control, "seeds": _seeds(row), "remarks": "; ".join(row.remarks),
            "share": 100 * (row.mean("knn") or 0.0) / best,
            "cells": [(row.cell(column), row.mean(column)) for column in columns],
        }
        for row in rows
    ]  # fmt: skip
    return template.render(
        rows=shown, titles=[COLUMNS[column].title for column in columns], note=facts["note"],
        style=Markup(package.joinpath("page.css").read_text(encoding="utf-8")), script=Markup(script),
        policy=policy([script]),
    )  # fmt: skip
