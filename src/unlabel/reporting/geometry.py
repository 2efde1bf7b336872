"""The shape of the cloud of embeddings: its spectrum, and alignment against uniformity."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from unlabel.reporting.charts import INK, RANDOM, RUN, SOFT, Chart, Table, axis, layout
from unlabel.reporting.curves import thin
from unlabel.reporting.files import RunFiles
from unlabel.reporting.words import finite, nested, number

_LISTED = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)  # ranks in the table behind the spectrum
_MANY = 400  # readings beyond which the path in the plane is thinned


def spectrum(evaluation: dict[str, Any]) -> Chart | None:
    """Singular values relative to the largest, on a logarithmic axis; None where there are none above zero.

    Of the representation, and of what the loss compared where that is something else.
    """
    values = _relative(evaluation.get("spectrum"))
    if values is None:
        return None
    projection = nested(evaluation.get("projection"))
    projected = _relative(projection.get("spectrum"))
    lines = [("singular value", values, RUN)]
    if projected is not None:
        lines = [("representation", values, RUN), ("embedding in the loss", projected, INK)]
    data = [_spectrum_line(*line) for line in lines]
    lowest = min(float(np.floor(np.log10(trace["y"].min()))) for trace in data)
    frame = layout(
        axis("direction, strongest first", span=(0, max(len(line) for _, line, _ in lines) + 1)),
        axis("relative singular value", log=True, span=(min(lowest, -1.0), 0.1)),
    )
    rank = finite(evaluation.get("effective_rank"))
    caption = (
        "A slowly falling line means many directions carry information; a cliff means the rest of the space is unused "
        "(Jing et al. 2022)."
    )
    alt = (
        f"{len(values)} singular values of the embeddings, falling from 1 to {number(float(values[-1]))} of the "
        f"largest; effective rank {number(rank)}."
    )
    if projected is not None:
        caption += " What the loss compares may lose directions that the representation, in front of the head, keeps."
        alt += (
            f" {len(projected)} of what the loss compared, falling to {number(float(projected[-1]))}; effective rank "
            f"{number(finite(projection.get('effective_rank')))}."
        )
    if rank is not None:
        right = rank > 0.6 * len(values)  # keep the words inside the frame
        frame["shapes"] = [
            {
                "type": "line",
                "x0": rank,
                "x1": rank,
                "yref": "paper",
                "y0": 0,
                "y1": 1,
                "line": {"color": SOFT, "width": 1.5, "dash": "dot"},
            }
        ]
        frame["annotations"] = [
            {
                "x": rank,
                "yref": "paper",
                "y": 0.97,
                "text": f"effective rank {number(rank)}",
                "showarrow": False,
                "xanchor": "right" if right else "left",
                "xshift": -6 if right else 6,
                "font": {"color": INK},
            }
        ]
    legend = [(name, colour, "line") for name, _, colour in lines] if projected is not None else []
    longest = max(len(line) for _, line, _ in lines)
    rows = [
        [f"{rank:,}", *(number(float(line[rank - 1])) if rank <= len(line) else "–" for _, line, _ in lines)]
        for rank in _LISTED
        if rank <= longest
    ]
    table = Table("Over the largest singular value", ["direction", *(name for name, _, _ in lines)], rows, numeric=True)
    return Chart("spectrum", "Singular values", caption, alt, data, frame, table=table, legend=legend)


def _relative(found: Any) -> np.ndarray | None:
    """Values over the largest of them, largest first; None where there are none above zero."""
    values = np.array([v for v in map(finite, found or []) if v is not None], dtype=np.float64)
    return np.sort(values)[::-1] / values.max() if len(values) and values.max() > 0 else None


def _spectrum_line(name: str, values: np.ndarray, colour: str) -> dict[str, Any]:
    alive = values > 1e-9  # rounding errors lie below
    x, y = thin(np.arange(1.0, len(values) + 1)[alive], values[alive])
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(x) <= 40 else "lines",
        "name": name,
        "x": x,
        "y": y,
        "line": {"color": colour, "width": 2},
        "hovertemplate": "%{y:.3~g}",
    }


@dataclass(frozen=True)
class _Point:
    """A place in the plane, and the words it has in the table."""

    words: str
    alignment: float
    uniformity: float


def geometry(run: RunFiles) -> Chart | None:
    """The plane of alignment and uniformity (Wang & Isola 2020): the path of the readings, the evaluated network and
    the same network with random weights; None where it would hold a single point."""
    path = _path(run, "")
    projected = _path(run, "projection_")
    evaluation = run.evaluation or {}
    final = _point("evaluated", evaluation)
    random = _point("random weights, evaluated", nested(evaluation.get("untrained")))
    if len(path) + (final is not None) + (random is not None) < 2:
        return None
    data, legend = [], []
    if len(projected) > 1:
        data.append(_path_line(projected, "embedding in the loss", INK, 1))
        legend.append(("embedding in the loss", INK, "line"))
    if path:
        data.append(_path_line(path, "representation", RUN, 2))
        legend.insert(0, ("representation, a dot for each reading", RUN, "line"))
    for point, symbol, colour, mark in ((random, "square-open", RANDOM, "box"), (final, "diamond", RUN, "diamond")):
        if point is not None:
            data.append(_mark(point, symbol, colour))
            legend.append((point.words, colour, mark))
    frame = layout(axis("alignment (left: views agree)"), axis("uniformity (down: spread out)"))
    frame["hovermode"] = "closest"
    data += _rings(path, RUN) + (_rings(projected, INK) if len(projected) > 1 else [])
    frame["annotations"] = _words(path)
    points = [*path, *(point for point in (final, random) if point is not None)]
    rows = [[point.words, number(point.alignment), number(point.uniformity)] for point in points]
    rows += [[f"{p.words}, in the loss", number(p.alignment), number(p.uniformity)] for p in projected]
    alt = "; ".join(
        f"{point.words}: alignment {number(point.alignment)}, uniformity {number(point.uniformity)}"
        for point in [*path[:1], *path[1:][-1:], *points[len(path) :]]
    )
    return Chart(
        "geometry",
        "Alignment and uniformity over training",
        "Down and to the left is better: views of one image agree (alignment) while different images spread over the "
        "sphere (uniformity). A collapse lies in the upper left, noise in the lower right (Wang and Isola 2020)."
        + (" The evaluation looks at more images than a reading." if final is not None and path else ""),
        f"Plane of alignment and uniformity. {alt}.",
        data,
        frame,
        height=340,
        table=Table("Lower is better in both", ["", "alignment", "uniformity"], rows, numeric=True),
        legend=legend,
    )


def _path(run: RunFiles, before: str) -> list[_Point]:
    """The places of the readings, in order; those that have both numbers."""
    found = []
    for line in run.monitors:
        words = "before training" if line["update"] == 0 else f"update {line['update']:,}"
        named = {name: line.get(f"{before}{name}") for name in ("alignment", "uniformity")}
        if (point := _point(words, named)) is not None:
            found.append(point)
    if len(found) <= _MANY:
        return found
    return [found[i] for i in np.linspace(0, len(found) - 1, _MANY).round().astype(int)]


def _point(words: str, shape: dict[str, Any]) -> _Point | None:
    alignment, uniformity = (finite(shape.get(name)) for name in ("alignment", "uniformity"))
    return None if alignment is None or uniformity is None else _Point(words, alignment, uniformity)


def _path_line(path: list[_Point], name: str, colour: str, width: float) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [point.alignment for point in path],
        "y": [point.uniformity for point in path],
        "customdata": [point.words for point in path],
        "line": {"color": colour, "width": width},
        "marker": {"size": 3 + 2 * width, "color": colour},
        "hovertemplate": f"{name}, %{{customdata}}<br>alignment %{{x:.3f}}<br>uniformity %{{y:.3f}}<extra></extra>",
    }


def _mark(point: _Point, symbol: str, colour: str) -> dict[str, Any]:
    made = _path_line([point], point.words, colour, 1)
    made["marker"] = {"symbol": symbol, "size": 12, "color": colour, "line": {"width": 2, "color": colour}}
    return made | {
        "mode": "markers",
        "hovertemplate": "%{customdata}<br>alignment %{x:.3f}<br>uniformity %{y:.3f}<extra></extra>",
    }


def _rings(path: list[_Point], colour: str) -> list[dict[str, Any]]:
    """Around the first and the last place of a path."""
    made = []
    for point in path[:1] + path[1:][-1:]:
        ring = _mark(point, "circle-open", colour)
        ring["marker"]["size"] = 13
        del ring["hovertemplate"]
        made.append(ring | {"hoverinfo": "skip"})
    return made


def _words(path: list[_Point]) -> list[dict[str, Any]]:
    """A word at the first and at the last place of a path; a single place is the start."""
    ends = [(path[0], "start", 24), (path[-1], "end", -24)][: len(path)] if path else []
    return [
        {
            "x": point.alignment,
            "y": point.uniformity,
            "text": text,
            "showarrow": True,
            "arrowhead": 0,
            "arrowcolor": SOFT,
            "standoff": 7,
            "ax": 0,
            "ay": shift,
            "font": {"color": INK},
        }
        for point, text, shift in ends
    ]
