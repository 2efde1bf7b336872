"""Writes what the records beside this file show: README.md has a row for each method, docs/evidence.md all studies.

python benchmarks/evidence/tables.py
"""

import json
import statistics
from pathlib import Path
from typing import Any

import kept
from studies import STUDIES, Claim

from unlabel import catalogue, methods
from unlabel.engine.run import seconds
from unlabel.reporting.controls import random_weights_of
from unlabel.reporting.leaderboard import below
from unlabel.reporting.leaderboard import markdown as leaderboard
from unlabel.reporting.rows import COLUMNS, Row, known_columns
from unlabel.reporting.stated import stated
from unlabel.reporting.words import counted, spread

HERE = Path(__file__).parent
README, DOCS = HERE.parents[1] / "README.md", HERE.parents[1] / "docs" / "evidence.md"
STAGES = HERE / "stages.json"
MARK, END = "<!-- {}: written by benchmarks/evidence/tables.py -->", "<!-- /{} -->"
SHORT = ("joint-embedding", "five-minutes", "texts", "grounding", "pretext", "masked")
"""Studies whose entries stand in the README, a row for each method."""


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def rows_of(record: dict[str, Any]) -> dict[str, Row]:
    """Entries and controls of a record by name."""
    return {row["name"]: Row(**row) for row in record["rows"]}


def control_of(rows: dict[str, Row], entry: str, name: str) -> Row | None:
    """The control that an entry is to beat, of those that are called so: that of its own network, images, protocol."""
    own = rows[entry].setup.get("controls", {})  # which older records do not have
    if name == "random weights" and name not in own:
        name = random_weights_of(rows[entry].setup["network"])
    return rows.get(own.get(name, name))


def representation(records: dict[str, dict[str, Any]]) -> str:
    """Accuracy of frozen features beside the controls, a row for each method and one for the pixels of its images."""
    head = ["method", "training", "seeds", "network", "kNN", "linear", "random weights: kNN", "linear"]
    found, pixels = [], {}
    above = {"knn": 0, "top1": 0}
    for name in SHORT:
        rows = rows_of(records[name]) if name in records else {}
        for entry, row in rows.items():
            if row.control or entry not in methods.available() or not row.mean("knn"):
                continue
            random, raw = (control_of(rows, entry, name) or Row("") for name in ("random weights", "raw pixels"))
            epochs, budget = row.mean("epochs"), records[name]["options"]["budget"]
            length = f"{budget} on {counted(records[name]['machine']['cores'], 'core', 'cores')}"
            length += "" if epochs is None else f" ({epochs:.1f} epochs)"
            data = "" if "cifar10" in records[name]["options"]["data"] else f" on {records[name]['options']['data']}"
            network = row.setup["network"]
            cells = [part.cell(column) for part in (row, random) for column in above]
            begin = [catalogue.entry(entry).title + data, length, str(len(row.numbers["knn"])), network]
            found.append((row.mean("knn"), [*begin, *cells]))
            if raw.mean("knn"):
                cells = [f"*raw pixels{data}*", "", "", "", *(raw.cell(column) for column in above), "", ""]
                pixels[data] = (raw.mean("knn"), cells)
                for column in above:
                    above[column] += (row.mean(column) or 0.0) > (raw.mean(column) or 0.0)
    shown = [cells for _, cells in sorted([*found, *pixels.values()], key=lambda one: -(one[0] or 0.0))]
    rows = counted(len(found), "row", "rows")
    said = f"Of {rows}, {above['knn']} are above raw pixels by kNN and {above['top1']} by the linear classifier."
    return f"{markdown(head, shown)}\n\n{said}"


def short(records: dict[str, dict[str, Any]]) -> str:
    """What the README shows: a row for each method, and image translation, which is judged by other numbers."""
    parts = [representation(records)]
    if "translation" in records:
        found = records["translation"]
        parts.append(f"{leaderboard(list(rows_of(found).values()))}\n\n{translated(found)}")
    return "\n\n".join(parts)


def translated(record: dict[str, Any]) -> str:
    """What the study of image translation trained, and where: its folders are called by what they hold."""
    seeds = max(len(values) for row in rows_of(record).values() for values in row.numbers.values())
    minutes = seconds(record["options"]["budget"]) / 60
    return (
        f"Image translation: {counted(seeds, 'seed', 'seeds')} (mean ± standard deviation), {minutes:g} minutes each, "
        "from label maps to photographs of CMP facades; "
        f"{counted(record['machine']['cores'], 'core', 'cores')}; torch {record['versions']['torch']}."
    )


def verdict_on(claim: Claim, rows: dict[str, Row]) -> list[str]:
    """A claim as cells: what is claimed, the difference that was seen, and whether it holds."""
    title = COLUMNS[claim.column].title
    more = "less" if claim.less else "more"
    margin = f", by {claim.by:g}" if claim.by > 0 else f", or within {-claim.by:g}" if claim.by < 0 else ""
    text = f"`{claim.better}` has {more} {title} than {_named(claim.than)}{margin}"
    better = rows.get(claim.better)
    than = control_of(rows, claim.better, claim.than) if better else None
    a, b = (row.numbers.get(claim.column, []) if row else [] for row in (better, than))
    if not a or not b:
        return [text, "–", "not measured"]
    sign = -1 if claim.less else 1
    seen = statistics.mean(a) - statistics.mean(b)
    decimals = COLUMNS[claim.column].decimals
    words = f"{spread(a, decimals)} against {spread(b, decimals)}"
    return [text, words, _holds(sign * seen >= claim.by)]


def _holds(true: bool) -> str:
    return "holds" if true else "**does not hold**"


def _named(row: str) -> str:
    return f"`{row}`" if row.split()[0] in methods.available() else row


def protocols(name: str, record: dict[str, Any]) -> list[str]:
    """How the numbers of a study were measured.

    An older record does not say it: then its kept runs do, else the protocol that it has, of one of its runs.
    """
    if "protocols" in record:
        return list(record["protocols"])
    told = [(run["name"].rpartition("-")[0], run["evaluation.json"]) for run in kept.read(name)]
    alone = {"version": "recorded before there were versions", **record["protocol"]}
    told = told or [("", {"protocol": alone, "translation": {"protocol": alone}})]
    return stated(told, [COLUMNS[column] for column in known_columns(rows_of(record).values())])


def study(name: str, record: dict[str, Any]) -> str:
    """A study's section: question, table, claims, command."""
    rows = rows_of(record)
    claims = markdown(["claim", "measured", ""], [verdict_on(claim, rows) for claim in STUDIES[name].claims])
    table = leaderboard(list(rows.values()))
    note = translated(record) if name == "translation" else record["note"]
    said = below({"note": note, "protocols": protocols(name, record)})
    return "\n\n".join([f"## {name}", STUDIES[name].question, table, *said, claims]) + "\n"


def stages(record: dict[str, Any]) -> str:
    """The section on SimCLR v2's stages."""

    def top1(stage: str, who: str) -> list[float]:
        return [seed[stage][who]["top1"] for seed in record["seeds"].values()]

    rows = [
        [what, str(len(record["seeds"])), spread(top1(*of))]
        for what, of in (
            ("fine-tuned from the first layer of the head", ("finetune", "run")),
            ("the same from random weights", ("finetune", "scratch")),
            ("student of the fine-tuned network, all images, no further labels", ("distil", "run")),
            ("the student's network from random weights with those labels", ("distil", "scratch")),
        )
    ]
    tuned, scratch, student = (
        statistics.mean(top1(*of)) for of in (("finetune", "run"), ("finetune", "scratch"), ("distil", "run"))
    )
    claims = [
        ["fine-tuned is better than from random weights", f"{tuned - scratch:+.1f}", _holds(tuned > scratch)],
        [
            "the student is as good as its teacher, or within 0.5",
            f"{student - tuned:+.1f}",
            _holds(student >= tuned - 0.5),
        ],
    ]
    options = "; ".join(
        f"{name}: {' '.join(f'{k}={v}' for k, v in of.items())}" for name, of in record["options"].items()
    )
    return (
        "## stages\n\nDo a tenth of the labels suffice after pre-training (SimCLR v2)?\n\n"
        f"{markdown(['CIFAR-10, a tenth of the labels', 'seeds', 'top-1'], rows)}\n\n{options}. "
        "`benchmarks/evidence/stages.py` repeats it.\n\n"
        f"{markdown(['claim', 'measured', ''], claims)}\n"
    )


def evidence(records: dict[str, dict[str, Any]]) -> str:
    """The whole of docs/evidence.md."""
    begin = (
        "# Evidence\n\nWritten by `benchmarks/evidence/tables.py` from the records beside it. Every study trains its "
        "entries alike, with as many seeds as are said, and compares them under one protocol. Controls are in italics. "
        "These are minutes on a core or two, not the hundreds of epochs of the papers: they show that a system learns "
        "and what it gains at this length, not where it ends.\n\nTo repeat a study:\n\n"
        "    .venv/bin/python benchmarks/evidence/run.py --cifar10 DIR --facades DIR --only NAME\n"
    )
    sections = [study(name, records[name]) for name in STUDIES if name in records]
    if STAGES.exists():
        sections.append(stages(json.loads(STAGES.read_text())))
    return "\n".join([begin, *sections])


def listed() -> str:
    """All methods, from their files."""
    head = ["name", "method", "family", "year", "paper"]
    return markdown(head, [
        [f"`{entry.name}`", entry.title, entry.family, str(entry.year),
         f"[{entry.paper}]({entry.address})" if entry.paper else "none"]
        for entry in catalogue.entries()
    ])  # fmt: skip


def put(text: str, name: str, content: str) -> str:
    """The text with `content` between the marks called `name`."""
    begin, end = MARK.format(name), END.format(name)
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}"


def write_tables() -> None:
    """Write both files anew."""
    records = {name: json.loads(path.read_text()) for name in STUDIES if (path := HERE / f"{name}.json").exists()}
    README.write_text(put(put(README.read_text(), "methods", listed()), "evidence", short(records)))
    DOCS.write_text(evidence(records))


if __name__ == "__main__":
    write_tables()
