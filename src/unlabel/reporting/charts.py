"""What a chart is to the page: plain plotly dictionaries in which colours are named by role.

A colour is written "var(--run)"; the page's script looks it up in the style sheet, so that every chart follows the
reader's light or dark scheme.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

RUN, RANDOM, PIXELS = "var(--run)", "var(--random)", "var(--pixels)"
INK, SOFT, LINE = "var(--ink)", "var(--soft)", "var(--line)"
GOOD, OPEN, BAD = "var(--good)", "var(--open)", "var(--bad)"

CONTROLS = {"run": "this run", "random": "random weights", "pixels": "raw pixels"}
COLOURS = {"run": RUN, "random": RANDOM, "pixels": PIXELS}


@dataclass(frozen=True)
class Table:
    """A small table: caption, column heads, rows of text; numeric tables are set flush right."""

    caption: str
    head: list[str]
    rows: list[list[str]]
    numeric: bool = False


@dataclass(frozen=True)
class Chart:
    """One figure of the page.

    id       stable, unique: the figure's anchor is fig-ID
    caption  one line: how to read it;  alt: what it shows, for whoever cannot see it
    legend   (words, colour by role, mark: "bar", "line", "dot", "ring", "box" or "tick"); HTML, since it wraps well
    """

    id: str
    title: str
    caption: str
    alt: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int = 300
    table: Table | None = None
    legend: list[tuple[str, str, str]] = field(default_factory=list)


def axis(title: str, *, log: bool = False, grid: bool = True, span: Sequence[float] | None = None) -> dict[str, Any]:
    """A quiet axis: thin grid, no box, room made for its own labels."""
    made: dict[str, Any] = {
        "title": {"text": title, "standoff": 8, "font": {"size": 12}},
        "automargin": True,
        "zeroline": False,
        "showgrid": grid,
        "gridcolor": LINE,
        "linecolor": LINE,
        "tickcolor": LINE,
        "type": "log" if log else "linear",
    }
    if log:
        made |= {"exponentformat": "power", "dtick": 1, "tickfont": {"size": 11}}
    if span is not None:
        made["range"] = list(span)
    return made


def layout(x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    """The frame all charts share; the script adds fonts and background colours."""
    return {
        "xaxis": x,
        "yaxis": y,
        "margin": {"l": 48, "r": 14, "t": 10, "b": 36},
        "showlegend": False,
        "hovermode": "x unified",
    }


def plain(value: Any) -> Any:
    """The value as strict JSON holds it: arrays as lists, and None for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Sequence):
        return [plain(entry) for entry in value]
    return plain(value.tolist())  # numpy arrays and scalars
