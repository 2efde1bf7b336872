"""Run folders of one comparison to a leaderboard: JSON for programs, Markdown for documents, a page for people."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from unlabel.engine.folder import RunFolder, read_json, write_atomically, write_json
from unlabel.errors import Fault
from unlabel.reporting.alike import alike
from unlabel.reporting.apart import what_differs
from unlabel.reporting.controls import KINDS, conditions, controls, key_of, kinds_of
from unlabel.reporting.page import policy
from unlabel.reporting.rows import COLUMNS, Row, at, known_columns, numbers_at, read_numbers
from unlabel.reporting.stated import stated
from unlabel.reporting.words import counted, short_name

Read = tuple[dict[str, Any], dict[str, Any]]
"""run.json and evaluation.json of a finished run, as `read_numbers` returns them."""


def write_leaderboard(out: Path, runs: dict[str, list[Path]]) -> Path:
    """Write leaderboard.json, .md and .html into `out`, of the run folders (finished or not) of each entry, by seed.

    Controls come first, then the entries by kNN (translations by FD). remarks.json ({entry: sentence}), where there is
    one, is shown too. Seeds of an entry that were measured otherwise than most are named and not averaged with them.
    Returns the page.
    """
    remarks = remarks_in(out)
    finished = {place: read_numbers(place) for places in runs.values() for place in places if _is_finished(place)}
    finished, left_out = _alike(finished)
    beaten, own = controls(list(finished.values()))
    names = dict(zip(finished, own, strict=True))
    entries = [_entry(name, places, remarks.get(name), finished, names) for name, places in runs.items()]
    entries.sort(key=lambda row: (-(row.mean("knn") or -1.0), _or_last(row.mean("fd"))))
    rows = [*beaten, *entries]
    facts = _facts(list(finished.values()))
    facts["note"] = " ".join([facts["note"], *(note[0].upper() + note[1:] for note in left_out)])
    told = [(name, finished[place][1]) for name, places in runs.items() for place in places if place in finished]
    facts["protocols"] = stated(told, [COLUMNS[column] for column in known_columns(rows)])
    write_json(out / "leaderboard.json", {**facts, "rows": [asdict(row) for row in rows]})
    write_atomically(
        out / "leaderboard.md", ("\n\n".join([markdown(rows), *below(facts)]) + "\n").encode("utf-8", "replace")
    )
    write_atomically(page := out / "leaderboard.html", _page(rows, facts).encode("utf-8", "replace"))
    return page


def remarks_in(out: Path) -> dict[str, str]:
    """What the user says of entries, in remarks.json; Fault where that is no object of sentences."""
    path = out / "remarks.json"
    if not path.exists():
        return {}
    wanted = f'{path} is not readable: write {{"entry": "sentence", ...}} as JSON'
    found = read_json(path, wanted)
    if not all(isinstance(sentence, str) for sentence in found.values()):
        raise Fault(wanted)
    return found


def _or_last(number: float | None) -> float:
    return float("inf") if number is None else number


def markdown(rows: Sequence[Row]) -> str:
    """The table."""
    columns = known_columns(rows)
    head = ["", "seeds", *(COLUMNS[column].title for column in columns), "remarks"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        name = f"*{row.name}*" if row.control else row.name
        lines.append([name, _seeds(row), *(row.cell(column) for column in columns), "; ".join(row.remarks)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def below(facts: Mapping[str, Any]) -> list[str]:
    """What stands below the table in Markdown: the note, and the protocols as a list."""
    return [facts["note"], *filter(None, ["\n".join(f"- {text}" for text in facts["protocols"])])]


def _seeds(row: Row) -> str:
    return "" if row.control else str(max(map(len, row.numbers.values()), default=0))


def _is_finished(place: Path) -> bool:
    run = RunFolder(place)
    return run.run_json.exists() and run.finished and run.evaluation.exists()


def _alike(finished: dict[Path, Read]) -> tuple[dict[Path, Read], list[str]]:
    """The same without parts that runs on the same images measured by another protocol, and what was left out."""
    groups: dict[Any, list[Path]] = {}
    for place, (run, found) in finished.items():
        groups.setdefault(key_of(conditions(run, found)), []).append(place)
    made, said = dict(finished), []
    for places in groups.values():
        kept, notes = alike([finished[place][1] for place in places], [place.name for place in places])
        made |= {place: (finished[place][0], found) for place, found in zip(places, kept, strict=True)}
        said += notes
    return made, said


def _entry(
    name: str, places: list[Path], remark: str | None, finished: dict[Path, Read], names: dict[Path, dict[str, str]]
) -> Row:
    row = Row(name)
    states: dict[str, int] = {}
    usual = _usual([finished[place] for place in places if place in finished])
    for place in places:
        if place not in finished:
            row.remarks.append(f"{place.name} {_lacks(place)}")
            continue
        run, found = finished[place]
        if _measured(run, found) != usual:
            row.remarks.append(f"{place.name} was measured on other images or otherwise, and is left out")
            continue
        row.add(**numbers_at(found, COLUMNS))
        row.setup = {key: run.get(key) for key in ("network", "backbone", "plan", "hyper", "size", "channels")}
        row.setup["controls"] = names[place]  # which of the controls are those of this entry
        state = (found.get("verdict") or {}).get("state", "not judged")
        states[state] = states.get(state, 0) + 1
    judged = [state if count == len(places) else f"{state} ({count})" for state, count in states.items()]
    row.remarks[:0] = [", ".join(judged)] if judged else []
    row.remarks += [remark] if remark else []
    return row


def _measured(run: dict[str, Any], found: dict[str, Any]) -> Any:
    """On what and how, as something that can be compared."""
    kinds = kinds_of(found)
    return kinds[:1], key_of(conditions(run, found, kinds[0])) if kinds else None


def _usual(finished: list[Read]) -> Any:
    """On what and how most were measured; of several that are as frequent, the first."""
    measured = [_measured(*one) for one in finished]
    return max(measured, key=measured.count, default=None)


def _lacks(place: Path) -> str:
    """What a run lacks that has no numbers."""
    run = RunFolder(place)
    if run.run_json.exists() and run.finished:
        return f"was not evaluated: `unlabel evaluate {place}` does it"
    said = last_words(place)
    return "did not finish" + (f": {said}" if said else "")


def log_of(place: Path) -> Path:
    """The file beside a run's folder that has all it said."""
    return place.with_name(f"{place.name}.log")


def last_words(place: Path) -> str:
    """The last line that a run said; "" where there is none."""
    log = log_of(place)
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return said[-1] if said else ""


def _facts(finished: list[Read]) -> dict[str, Any]:
    """What all rows share, in words and as numbers."""
    if not finished:
        return {"note": "No run has finished yet.", "protocol": None, "machine": None, "versions": None}
    run = finished[0][0]
    protocols = [_protocol(found) for _, found in finished]
    note = (
        "Mean ± standard deviation over seeds, accuracies in per cent. Every run trained "
        f"{_either(_length(r) for r, _ in finished)} on {_either(short_name(r['run']['data']) for r, _ in finished)}; "
    )
    if asked := [protocol for protocol in protocols if "k" in protocol]:
        note += (
            f"kNN: k = {_either(p['k'] for p in asked)}, cosine, {_either(map('{memory:,}'.format_map, asked))} "
            f"remembered, {_either(map('{queries:,}'.format_map, asked))} asked; "
            f"linear: {_either(p['linear']['classifier'] for p in asked)}. "
        )
    machines = (f"{r['machine']['processor']}, {counted(r['machine']['cores'], 'core', 'cores')}" for r, _ in finished)
    note += f"{_either(machines)}; torch {_either(r['versions']['torch'] for r, _ in finished)}."
    own = {"machine": run["machine"], "versions": run["versions"]}
    return {"note": note + _mixed(finished), "protocol": protocols[0], **own}


def _length(run: dict[str, Any]) -> str:
    """How long it was to train, in words."""
    most = "at most " if run["run"].get("stop_when_done") else ""
    return f"for {most}{run['run']['budget']}" if run["run"]["budget"] else f"{most}{run['updates']:,} updates"


def _protocol(found: dict[str, Any]) -> dict[str, Any]:
    return found.get("protocol") or at(found, "translation.protocol") or {}


def _either(values: Iterable[Any]) -> str:
    """ "a", "a or b": each once."""
    return " or ".join(str(value) for value in dict.fromkeys(values))


def _mixed(finished: list[Read]) -> str:
    """A sentence where not all entries were measured on the same; else nothing."""
    for kind in KINDS:
        of_kind = [conditions(run, found, kind) for run, found in finished if kind in kinds_of(found)]
        if len({key_of(settings) for settings in of_kind}) > 1:
            return (
                f" Entries were not all measured on the same ({what_differs(of_kind)} differ): each is to be compared "
                "with the controls of its own, and with entries that have the same controls."
            )
    return ""


def _page(rows: Sequence[Row], facts: dict[str, Any]) -> str:
    package = files("unlabel.reporting")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(package.joinpath("leaderboard.html.j2").read_text(encoding="utf-8"))
    script = package.joinpath("leaderboard.js").read_text(encoding="utf-8")
    columns = known_columns(rows)
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
        protocols=facts["protocols"],
        style=Markup(package.joinpath("page.css").read_text(encoding="utf-8")), script=Markup(script),
        policy=policy([script]),
    )  # fmt: skip
