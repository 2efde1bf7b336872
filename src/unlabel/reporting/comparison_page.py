"""A comparison as one HTML page: tables, then charts, then what differs and where the runs are."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from unlabel.engine.folder import RunFolder, write_atomically
from unlabel.reporting.apart import differing
from unlabel.reporting.charts import Chart
from unlabel.reporting.comparison import Comparison, Section, heading
from unlabel.reporting.comparison_charts import charts, colour, mark
from unlabel.reporting.page import payload, policy, template, text_of
from unlabel.reporting.rows import Row
from unlabel.reporting.topics import topics

_IMAGES = ("images", "data")
"""What runs were trained on, where that tells what was measured: the protocols below the tables say the rest."""


@dataclass(frozen=True)
class Board:
    """A table whose first rows may be controls.

    titles: of its columns; rows: (name, whether it is a control, seeds, cells, state)
    A cell is what is written and the number to sort by (None: none). words: whether it has a column for the state.
    protocols: of its numbers, one line each.
    """

    caption: str
    titles: list[str]
    rows: list[tuple[str, bool, str, list[tuple[str, float | None]], str]]
    words: bool
    protocols: list[str]


def write_comparison(path: Path, found: Comparison) -> Path:
    """Write the page of a comparison; returns its path. It loads nothing."""
    drawn = [(section, charts(section, i)) for i, section in enumerate(found.sections)]
    every: list[Chart] = [chart for _, groups in drawn for some in groups.values() for chart in some]
    title, subtitle = heading(found)
    scripts = [get_plotlyjs(), text_of("page.js"), text_of("leaderboard.js")]
    page = template("comparison.html.j2").render(
        title=title,
        subtitle=subtitle,
        notes=found.notes,
        sections=[_shown(section, groups) for section, groups in drawn],
        common=[(name.replace("_", " "), value.text) for name, value in found.common.items()],
        different=_different(found),
        runs=_runs(found, path.parent),
        style=Markup(text_of("page.css") + text_of("comparison.css")),
        scripts=[Markup(script) for script in scripts],
        policy=policy(scripts),
        charts=payload(every),
    )
    write_atomically(path, page.encode("utf-8", "replace"))
    return path


def _shown(section: Section, groups: dict[str, list[Chart]]) -> dict[str, object]:
    """A section for the template."""
    boards = [_board(section, caption, names) for caption, names in topics(section).items()]
    images = [section.conditions[name].named(name) for name in _IMAGES if name in section.conditions]
    return {
        "title": section.title,
        "usual": section.usual,
        "first": boards[0],
        "boards": boards[1:],
        "images": images,
        "live_protocol": section.live_protocol,
        "key": [(line.row.name, colour(i), mark(i)) for i, line in enumerate(section.lines)],
        **groups,
    }


def _board(section: Section, caption: str, names: list[str]) -> Board:
    states = {id(line.row): line for line in section.lines}
    rows = []
    for row in section.rows:
        line = states.get(id(row))
        if line is None and not any(row.numbers.get(name) for name in names):
            continue  # a control of which nothing is known here
        cells = [(_cell(section, row, name), row.mean(name)) for name in names]
        rows.append((row.name, line is None, line.seeds if line else "", cells, line.state if line else ""))
    titles = [section.columns[name].title for name in names]
    return Board(caption, titles, rows, words=not caption, protocols=section.protocols(names))


def _cell(section: Section, row: Row, name: str) -> str:
    return row.cell(name, section.columns[name].decimals)


def _different(found: Comparison) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Options in which rows that have them differ, and each row's values."""
    settings = [entry.settings for entry in found.entries]
    names = [name for name in dict.fromkeys(name for one in settings for name in one) if _differs(found, name)]
    rows = [(e.name, [e.settings[name].text if name in e.settings else "–" for name in names]) for e in found.entries]
    return [name.replace("_", " ") for name in names], rows


def _differs(found: Comparison, name: str) -> bool:
    having = [entry.settings for entry in found.entries if name in entry.settings]
    return len(having) > 1 and name in differing([{name: one[name]} for one in having])


def _runs(found: Comparison, beside: Path) -> list[tuple[str, str, str, str, str]]:
    """(row, seed, folder, address of its report or "", state) of every run."""
    made = []
    for entry in found.entries:
        for member in entry.members:
            report = RunFolder(member.place).report
            address = quote(os.path.relpath(report, beside).replace(os.sep, "/")) if report.is_file() else ""
            seed = member.run["run"].get("seed")
            made.append((entry.name, str(seed), str(member.place), address, member.state))
    return made
