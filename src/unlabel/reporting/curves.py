"""What happened during training: loss, learning rate, and the live monitors."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from unlabel.diagnostics import chance_stability, healthy_std
from unlabel.reporting.charts import BAD, RUN, SOFT, Chart, Table, axis, layout
from unlabel.reporting.files import RunFiles
from unlabel.reporting.words import chart_text, finite, number

POINTS = 2_000  # no curve carries more
_LISTED = 60  # readings beyond which no table says them one by one
_BINS = 150  # of the averaged curve drawn over a noisy one


def thin(x: np.ndarray, y: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most `points` points of a curve that keep its shape: the lowest and the highest of each stretch.

    x, y [n]; a value that is not finite becomes NaN (a gap). Spikes survive, which every n-th point would lose.
    """
    y = np.where(np.isfinite(y), y, np.nan)
    if len(x) <= points:
        return x, y
    keep = {0, len(x) - 1}
    for part in np.array_split(np.arange(len(x)), points // 2 - 1):
        values = y[part]
        if np.isnan(values).all():
            keep.add(int(part[0]))
        else:
            keep |= {int(part[np.nanargmin(values)]), int(part[np.nanargmax(values)])}
    rows = np.array(sorted(keep))
    return x[rows], y[rows]


def averaged(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each of up to 150 equal stretches, over its finite values."""
    finite_rows = np.isfinite(y)
    x, y = x[finite_rows], y[finite_rows]
    bins = min(_BINS, len(x) // 4)
    if bins < 2:
        return x[:0], y[:0]
    return tuple(np.array([part.mean() for part in np.array_split(v, bins)]) for v in (x, y))  # type: ignore[return-value]


def column(lines: Sequence[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """(updates, values) of the lines that have this entry; what is no finite number is NaN."""
    found = [(line["update"], finite(line[name])) for line in lines if name in line]
    x = np.array([update for update, _ in found], dtype=np.float64)
    return x, np.array([np.nan if value is None else value for _, value in found], dtype=np.float64)


def curves(run: RunFiles) -> list[Chart]:
    """The charts of one training, those whose numbers exist."""
    per_epoch = finite(run.run.get("updates_per_epoch")) or 0.0
    clock = _Clock(per_epoch)
    terms = [{**line["terms"], "update": line["update"]} for line in run.updates if isinstance(line.get("terms"), dict)]
    names = list(dict.fromkeys(name for line in terms for name in line if name != "update"))
    dimensions = finite((run.monitors[-1] if run.monitors else {}).get("dimensions"))
    images = finite((run.monitors[-1] if run.monitors else {}).get("images"))
    made = [
        _loss(run, clock),
        _terms(terms, names, clock) if len(names) > 1 else None,
        _line(
            run.monitors,
            "knn",
            clock,
            "Live kNN accuracy",
            "top-1, %",
            "Nearest neighbours vote on the label of held-out images while training runs; higher is better.",
        ),
        _line(
            run.monitors,
            "effective_rank",
            clock,
            "Effective rank",
            "directions",
            "How many directions the embeddings use; a fall towards 1 is a collapse.",
            floor=True,
        ),
        _line(
            run.monitors,
            "std",
            clock,
            "Feature spread",
            "std per feature",
            "How far each normalised feature varies over images; zero means all images look the same to it"
            + (", the dotted line is an even spread." if dimensions else "."),
            floor=True,
            dotted=("even spread", healthy_std(int(dimensions))) if dimensions else None,
        ),
        # With alignments too, the chart of both says more.
        None
        if any("alignment" in line for line in run.monitors)
        else _line(
            run.monitors,
            "uniformity",
            clock,
            "Uniformity",
            "uniformity",
            "How evenly embeddings spread over the sphere; lower is better, zero is a single point.",
        ),
        _line(
            run.monitors,
            "neighbour_stability",
            clock,
            "Neighbours kept",
            "share",
            "Of each image's nearest ten, how many were so at the reading before; it rises as learning settles"
            + (", the dotted line is chance." if images else "."),
            dotted=("chance", chance_stability(int(images))) if images and images >= 2 else None,
        ),
        _line(
            run.monitors,
            "code_entropy_share",
            clock,
            "Use of prototypes",
            "share of the highest entropy",
            "How evenly images are spread over prototypes; zero means that one takes them all.",
            floor=True,
        ),
        _line(
            run.monitors,
            "assignment_entropy_share",
            clock,
            "Doubt between prototypes",
            "share of the highest entropy",
            "How unsure single images are of their prototype; one means that no image prefers any.",
            floor=True,
        ),
        _line(
            run.monitors,
            "teacher_divergence",
            clock,
            "Teacher and student",
            "1 - cosine",
            "How differently both see the same images; zero means that the teacher has nothing to tell.",
            floor=True,
        ),
        _line(
            run.updates,
            "lr",
            clock,
            "Learning rate",
            "learning rate",
            "The step size over training: warm-up, then decay.",
            floor=True,
        ),
    ]
    return [chart for chart in made if chart is not None]


class _Clock:
    """Updates as epochs where it is known how many make one."""

    def __init__(self, per_epoch: float) -> None:
        self.scale = 1 / per_epoch if per_epoch > 0 else 1.0
        self.title = "epoch" if per_epoch > 0 else "update"

    def __call__(self, updates: np.ndarray) -> np.ndarray:
        return np.round(updates * self.scale, 4)


def _loss(run: RunFiles, clock: _Clock) -> Chart | None:
    x, y = column(run.updates, "loss")
    if not len(x):
        return None
    x = clock(x)
    wild = ~np.isfinite(y)
    thin_x, thin_y = thin(x, y)
    smooth_x, smooth_y = averaged(x, y)
    data = [_trace("loss", thin_x, thin_y, RUN, width=1 if len(smooth_x) else 2, opacity=0.4 if len(smooth_x) else 1)]
    if len(smooth_x):
        data.append(_trace("average", smooth_x, smooth_y, RUN))
    caption = "What training minimises; its scale differs between methods, so look at the shape, not the height."
    for value, where in _levels(run, y):
        data.append(_dotted(where, [x[0], x[-1]], value))
        caption += f" Dotted: {number(value)}, its value where {where}."
    if wild.any():
        mark_x, _ = thin(x[wild], np.zeros(wild.sum()), 200)
        top = np.nanmax(y[~wild]) if (~wild).any() else 1.0
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "not finite",
                "x": mark_x,
                "y": np.full(len(mark_x), top),
                "marker": {"symbol": "x", "color": BAD, "size": 8},
            }
        )
        caption += f" Red crosses: the loss was not a finite number in {wild.sum():,} of {len(y):,} updates."
    return Chart(
        "curves-loss",
        "Loss",
        caption,
        f"The loss over training{_from_to(y)}.",
        data,
        layout(axis(clock.title), axis("loss")),
    )


def _levels(run: RunFiles, losses: np.ndarray) -> list[tuple[float, str]]:
    """The losses of failed learning that the curve comes near: farther ones would flatten it."""
    known, told = losses[np.isfinite(losses)], run.run.get("collapse_values")
    if not len(known) or not isinstance(told, dict):
        return []
    room = 0.1 * (known.max() - known.min())
    found = [(value, str(where)) for where, given in told.items() if (value := finite(given)) is not None]
    return [(value, where) for value, where in found if known.min() - room <= value <= known.max() + room]


def _terms(lines: list[dict[str, Any]], names: list[str], clock: _Clock) -> Chart:
    data = []
    for i, name in enumerate(names):
        x, y = column(lines, name)
        x = clock(x)
        smooth = averaged(x, y)
        x, y = smooth if len(smooth[0]) else thin(x, y)
        trace = _trace(chart_text(name), x, y, f"var(--k{i % 10})")
        trace["line"]["dash"] = ("solid", "dash", "dot", "dashdot")[i // 10 % 4]
        data.append(trace)
    return Chart(
        "curves-terms",
        "Terms of the loss",
        "The parts that add up to the loss, averaged over short stretches.",
        f"{len(names)} terms of the loss over training: {', '.join(names)}.",
        data,
        layout(axis(clock.title), axis("value")),
        legend=[(name, f"var(--k{i % 10})", "line") for i, name in enumerate(names)],
    )


def _line(
    lines: Sequence[dict[str, Any]],
    name: str,
    clock: _Clock,
    title: str,
    unit: str,
    caption: str,
    *,
    floor: bool = False,
    dotted: tuple[str, float] | None = None,
) -> Chart | None:
    x, y = column(lines, name)
    if not np.isfinite(y).any():
        return None
    thin_x, thin_y = thin(clock(x), y)
    trace = _trace(title.lower(), thin_x, thin_y, RUN)
    if len(thin_x) <= 30:
        trace["mode"] = "lines+markers"
    y_axis = axis(unit)
    if floor:
        y_axis["rangemode"] = "tozero"
    frame = layout(axis(clock.title), y_axis)
    levels = [] if dotted is None else [_dotted(dotted[0], [thin_x[0], thin_x[-1]], dotted[1])]
    rows = [[number(float(at)), number(float(value))] for at, value in zip(thin_x, thin_y, strict=True)]
    return Chart(
        f"curves-{name.replace('_', '-')}",
        title,
        caption,
        f"{title} over training{_from_to(y)}.",
        [trace, *levels],
        frame,
        table=Table(title, [clock.title, unit], rows, numeric=True) if len(rows) <= _LISTED else None,
    )


def _dotted(name: str, ends: list[float], level: float) -> dict[str, Any]:
    """A level; a trace, not a shape, for the axis then makes room for the line."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": ends,
        "y": [level, level],
        "line": {"color": SOFT, "width": 1.5, "dash": "dot"},
        "hoverinfo": "skip",
    }


def _trace(
    name: str, x: np.ndarray, y: np.ndarray, colour: str, *, width: float = 2, opacity: float = 1
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": y,
        "opacity": opacity,
        "connectgaps": False,
        "line": {"color": colour, "width": width, "shape": "linear"},
        "hovertemplate": "%{y:.4~g}",
    }


def _from_to(y: np.ndarray) -> str:
    known = y[np.isfinite(y)]
    return (
        f", from {number(float(known[0]))} to {number(float(known[-1]))}" if len(known) else ", never a finite number"
    )
