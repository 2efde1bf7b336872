"""The shape of the cloud of embeddings: its spectrum, and alignment against uniformity."""

from typing import Any

import numpy as np

from unlabel.reporting.charts import INK, RUN, SOFT, Chart, axis, layout
from unlabel.reporting.curves import column, thin
from unlabel.reporting.files import RunFiles
from unlabel.reporting.words import finite, number


def spectrum(evaluation: dict[str, Any]) -> Chart | None:
    """Singular values relative to the largest, on a logarithmic axis; None where there are none above zero.

    Of the representation, and of what the loss compared where that is something else.
    """
    values = _relative(evaluation.get("spectrum"))
    if values is None:
        return None
    projection = evaluation.get("projection")
    projection = projection if isinstance(projection, dict) else {}
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
        "A slowly falling line means many directions carry information; a cliff means the rest of the space is unused."
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
    return Chart("spectrum", "Singular values", caption, alt, data, frame, legend=legend)


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


def geometry(run: RunFiles) -> Chart | None:
    """The path of training in the plane of uniformity and alignment (Wang & Isola 2020, figure 5)."""
    lines = [
        line
        for line in run.monitors
        if finite(line.get("alignment")) is not None and finite(line.get("uniformity")) is not None
    ]
    if len(lines) < 2:
        return None
    updates, alignment = column(lines, "alignment")
    _, uniformity = column(lines, "uniformity")
    if len(lines) > 400:
        rows = np.linspace(0, len(lines) - 1, 400).round().astype(int)
        updates, alignment, uniformity = updates[rows], alignment[rows], uniformity[rows]
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": uniformity,
        "y": alignment,
        "customdata": updates,
        "line": {"color": RUN, "width": 1.5},
        "marker": {"size": 6, "color": RUN},
        "hovertemplate": "update %{customdata:,}<br>uniformity %{x:.3f}<br>alignment %{y:.3f}<extra></extra>",
    }
    frame = layout(axis("uniformity (lower: more evenly spread)"), axis("alignment (lower: views agree)"))
    frame["hovermode"] = "closest"
    frame["annotations"] = [
        {
            "x": float(uniformity[i]),
            "y": float(alignment[i]),
            "text": text,
            "showarrow": True,
            "arrowhead": 0,
            "arrowcolor": SOFT,
            "ax": 0,
            "ay": shift,
            "font": {"color": INK},
        }
        for i, text, shift in ((0, "start", -26), (-1, "end", -26))
    ]
    return Chart(
        "geometry",
        "Alignment and uniformity over training",
        "Down and to the left is better: views of one image lie close together while different images spread out.",
        f"Alignment goes from {number(float(alignment[0]))} to {number(float(alignment[-1]))}, uniformity from "
        f"{number(float(uniformity[0]))} to {number(float(uniformity[-1]))}.",
        [trace],
        frame,
    )
