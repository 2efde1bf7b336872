"""Charts of several runs: accuracies with error bars, curves with a band over seeds, measures against accuracy."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unlabel.engine.kinds import TAUGHT, kind_of
from unlabel.methods import available
from unlabel.reporting.charts import INK, LINE, RUN, Chart, axis, layout
from unlabel.reporting.comparison import BEST, MEASURES, Line, Section, rank_correlations
from unlabel.reporting.curves import averaged, column, thin
from unlabel.reporting.members import Member
from unlabel.reporting.rows import ALL, Row
from unlabel.reporting.words import chart_text, number

_MOST = 12  # lines in one chart
_STEPS = 200  # points of a mean over seeds
_ROW = 50  # pixels
_WRAP = 40  # letters of a name in a chart
_MARKS = (("circle", RUN), ("diamond", "var(--k1)"))

Curve = tuple[np.ndarray, np.ndarray]
"""x and y [n]."""


def colour(i: int) -> str:
    """Of the i-th row of a section, everywhere on the page."""
    return f"var(--k{i % 10})"


def mark(i: int) -> str:
    """Of the i-th row: of rows that have the same colour another one."""
    return ("dot", "ring", "box")[i // 10 % 3]


_SYMBOLS = {"dot": "circle", "ring": "circle-open", "box": "square-open"}


def charts(section: Section, number_of: int) -> dict[str, list[Chart]]:
    """ "scores", "curves", "losses", "measures": the charts of a section, those whose numbers exist."""
    made: dict[str, Sequence[Chart | None]] = {
        "scores": [_scores(section)],
        "curves": [
            _knn(section, "update", "updates", "What each update is worth."),
            _knn(section, "seconds", "seconds of training", "What each second is worth, on the machine of each run."),
        ],
        "losses": _losses(section),
        "measures": [_measure(section, name) for name in MEASURES],
    }
    return {name: [_renamed(chart, number_of) for chart in some if chart is not None] for name, some in made.items()}


def _renamed(chart: Chart, number_of: int) -> Chart:
    """With an id that no other section's chart has."""
    return Chart(**{**vars(chart), "id": f"{chart.id}-{number_of}"})


def _scores(section: Section) -> Chart | None:
    """A row for each control and entry, a mark for each accuracy, and a bar of one standard deviation to each side."""
    columns = [name for name in BEST[section.kind] if name in section.columns]
    rows = [row for row in section.rows if any(row.numbers.get(name) for name in columns)]
    if not columns or not rows:
        return None
    data = []
    for nth, (name, (symbol, hue)) in enumerate(zip(columns, _MARKS, strict=False)):
        title = ALL[name].title
        for control in (True, False):
            some = [(i, row) for i, row in enumerate(rows) if row.control == control and row.numbers.get(name)]
            if some:
                data.append(_marks(some, name, title, 0.22 * nth, f"{symbol}-open" if control else symbol, hue))
    less = section.kind == "translation"
    unit = "Fréchet distance (less is better)" if less else "accuracy, %"
    y = axis("", grid=False) | {"range": [len(rows) - 0.4, -0.64], "showticklabels": False, "ticks": ""}
    frame = layout(axis(unit), y) | {"hovermode": "closest", "margin": {"l": 12, "r": 14, "t": 6, "b": 36}}
    frame["annotations"] = [
        {
            "x": 0, "xref": "paper", "xanchor": "left", "y": i - 0.32, "showarrow": False, "align": "left",
            "text": chart_text(_short(row.name)), "font": {"color": "var(--soft)" if row.control else INK, "size": 12},
        }
        for i, row in enumerate(rows)
    ]  # fmt: skip
    if border := sum(row.control for row in rows):
        frame["shapes"] = [
            {
                "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": border - 0.6, "y1": border - 0.6,
                "line": {"color": LINE, "width": 1},
            }
        ]  # fmt: skip
    several = any(row.deviation(name) is not None for row in rows for name in columns)
    seeds = (
        "Bars reach one standard deviation over seeds to each side: differences smaller than they are none."
        if several
        else "One seed each, so no error bars: how far another seed would lie is not known."
    )
    caption = f"Hollow marks are controls. {seeds}"
    alt = "; ".join(f"{row.name}: " + ", ".join(f"{ALL[c].title} {row.cell(c)}" for c in columns) for row in rows)
    legend = [(ALL[name].title, hue, "dot") for name, (_, hue) in zip(columns, _MARKS, strict=False)]
    title = "Distance to the target" if less else "Accuracy"
    return Chart("scores", title, caption, alt, data, frame, height=52 + _ROW * len(rows), legend=legend)


def _marks(
    some: Sequence[tuple[int, Row]], name: str, title: str, shift: float, symbol: str, hue: str
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": title,
        "x": [row.mean(name) for _, row in some],
        "y": [i + shift for i, _ in some],
        "error_x": {
            "type": "data",
            "array": [row.deviation(name) or 0.0 for _, row in some],
            "color": hue,
            "thickness": 1.5,
            "width": 4,
        },
        "marker": {"symbol": symbol, "size": 9, "color": hue, "line": {"width": 2, "color": hue}},
        "text": [f"{chart_text(row.name)}<br>{title} {row.cell(name)}" for _, row in some],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _short(name: str) -> str:
    return name if len(name) <= _WRAP else f"{name[: _WRAP - 1]}…"


def _knn(section: Section, x: str, unit: str, meaning: str) -> Chart | None:
    """The live kNN accuracy over training, the mean over seeds with a band of one standard deviation."""

    def curve(member: Member) -> Curve | None:
        if member.place in section.not_live:
            return None
        lines = [{**line, "update": line.get(x)} for line in member.files.monitors if line.get(x) is not None]
        found = column(lines, "knn")
        return found if np.isfinite(found[1]).any() else None

    drawn = _with_bands(section.lines, curve)
    if not drawn:
        return None
    more = "" if len(drawn) <= _MOST else f" The first {_MOST} rows of the table are shown."
    drawn = drawn[:_MOST]
    data = [trace for i, line, parts in drawn for trace in _traces(i, line.row.name, parts, points=True)]
    names = ", ".join(line.row.name for _, line, _ in drawn)
    return Chart(
        f"knn-{x}", f"Live kNN accuracy against {unit}", f"{meaning} Bands: one standard deviation over seeds.{more}",
        f"Live kNN accuracy against {unit} of {names}.", data, layout(axis(unit), axis("top-1, %")),
    )  # fmt: skip


def _with_bands(
    lines: Sequence[Line], curve: Callable[[Member], Curve | None]
) -> list[tuple[int, Line, tuple[np.ndarray, np.ndarray, np.ndarray | None]]]:
    """(position, line, (x, mean, deviation)) of the lines that have a curve."""
    made = []
    for i, line in enumerate(lines):
        found = [one for member in line.members if (one := curve(member)) is not None]
        if found:
            made.append((i, line, over_seeds(found)))
    return made


def over_seeds(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(x, mean, sample standard deviation) [m] where all curves are known, read between their points by straight lines.

    The deviation is None of one curve, and of curves that have no stretch of x in common, of which the first is taken.
    """
    kept = [(x[np.isfinite(y)], y[np.isfinite(y)]) for x, y in curves]
    if len(kept) == 1:
        return (*kept[0], None)
    low, high = max(x[0] for x, _ in kept), min(x[-1] for x, _ in kept)
    if high <= low:
        return (*kept[0], None)
    grid = np.unique(np.concatenate([x for x, _ in kept] + [np.array([low, high])]))
    grid = grid[(grid >= low) & (grid <= high)]
    if len(grid) > _STEPS:
        grid = np.linspace(low, high, _STEPS)
    values = np.stack([np.interp(grid, x, y) for x, y in kept])
    return grid, values.mean(axis=0), values.std(axis=0, ddof=1)


def _traces(
    i: int, name: str, parts: tuple[np.ndarray, np.ndarray, np.ndarray | None], *, points: bool
) -> list[dict[str, Any]]:
    x, mean, deviation = parts
    line: dict[str, Any] = {
        "type": "scatter", "mode": "lines+markers" if points and deviation is None else "lines",
        "name": chart_text(name), "x": x, "y": mean, "marker": {"size": 5},
        "line": {"color": colour(i), "width": 2, "dash": ("solid", "dash", "dot", "dashdot")[i // 10 % 4]},
        "hovertemplate": "%{y:.4~g}",
    }  # fmt: skip
    if deviation is None:
        return [line]
    band = {
        "type": "scatter", "mode": "lines", "x": np.concatenate([x, x[::-1]]), "fill": "toself", "fillcolor": colour(i),
        "y": np.concatenate([mean + deviation, (mean - deviation)[::-1]]), "opacity": 0.18, "hoverinfo": "skip",
        "line": {"width": 0, "color": colour(i)},
    }  # fmt: skip
    return [band, line]


def _losses(section: Section) -> list[Chart]:
    """One chart for each method: the losses of different methods have no common scale."""

    def curve(member: Member) -> Curve | None:
        x, y = column(member.files.updates, "loss")
        if not np.isfinite(y).any():
            return None
        smooth = averaged(x, y)
        return smooth if len(smooth[0]) else thin(x, y)

    by_method: dict[str, list[tuple[int, Line, Any]]] = {}
    for i, line, parts in _with_bands(section.lines, curve):
        by_method.setdefault(line.entry.settings["method"].text, []).append((i, line, parts))
    made = []
    for method, drawn in by_method.items():
        title = kind_of(method).title if method in (*available(), *TAUGHT) else method
        data = [trace for i, line, parts in drawn[:_MOST] for trace in _traces(i, line.row.name, parts, points=False)]
        ends = ", ".join(f"{line.row.name} ends at {number(float(parts[1][-1]))}" for _, line, parts in drawn)
        made.append(
            Chart(f"loss-{method}", title, "", f"Loss of {title}: {ends}.", data,
                  layout(axis("update"), axis("loss")), height=220)
        )  # fmt: skip
    return made


def _measure(section: Section, name: str) -> Chart | None:
    """A measure that needs no labels against the kNN accuracy, a point for each row."""
    found = [(i, line.row) for i, line in enumerate(section.lines) if line.row.numbers.get(name)]
    found = [(i, row) for i, row in found if row.numbers.get("knn")]
    if len(found) < 3:
        return None
    rank = rank_correlations(section).get(name)
    title = ALL[name].title
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [row.mean(name) for _, row in found],
            "y": [row.mean("knn") for _, row in found],
            **{
                f"error_{way}": {
                    "type": "data", "array": [row.deviation(of) or 0.0 for _, row in found], "color": LINE, "width": 0,
                }
                for way, of in (("x", name), ("y", "knn"))
            },
            "marker": {
                "size": 10, "color": [colour(i) for i, _ in found], "symbol": [_SYMBOLS[mark(i)] for i, _ in found],
                "line": {"width": 2, "color": [colour(i) for i, _ in found]},
            },
            "text": [
                f"{chart_text(row.name)}<br>{title} {row.cell(name)}<br>kNN {row.cell('knn')}" for _, row in found
            ],
            "hovertemplate": "%{text}<extra></extra>",
        }
    ]  # fmt: skip
    said = (
        f"Spearman's rank correlation {rank:+.2f} over {len(found)} rows.".replace("-", "−")
        if rank is not None
        else "Too few rows for a rank correlation."
    )
    frame = layout(axis(title), axis("kNN, %")) | {"hovermode": "closest"}
    return Chart(f"measure-{name.replace('_', '-')}", f"{title[:1].upper()}{title[1:]} and accuracy", said,
                 f"{title} against kNN accuracy of {len(found)} rows. {said}", data, frame)  # fmt: skip
