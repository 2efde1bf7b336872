"""How the spectrum of the embeddings changed in training: a curve for each reading."""

from typing import Any

import numpy as np

from unlabel.reporting.charts import INK, RANDOM, RUN, Chart, Table, axis, layout
from unlabel.reporting.files import RunFiles
from unlabel.reporting.words import finite, number

_CURVES = 24  # readings that are drawn, evenly taken
_COLUMNS = 5  # ranks in the table
_NOISE = 1e-6  # rounding errors of 32-bit embeddings lie below
_FAINT = 0.22  # opacity of the first curve
_SPACES = {
    "representation": ("spectra", "Spectrum over training", RUN, "of the representation"),
    "projection": ("spectra-projection", "Spectrum over training, in the loss", INK, "of what the loss compared"),
}


def spectra(run: RunFiles) -> list[Chart]:
    """A chart of the representations, and one of what the loss compared where it is something else.

    From the short form of the spectrum that readings keep (`diagnostics.outline`); journals of older versions hold
    none, and a single reading is no course: then there is no chart.
    """
    return [chart for space in _SPACES if (chart := _chart(run, space)) is not None]


def _chart(run: RunFiles, space: str) -> Chart | None:
    id, title, colour, of = _SPACES[space]
    found = [(line["update"], *known) for line in run.monitors if (known := _known(line.get("spectrum"), space))]
    if len(found) < 2:
        return None
    if len(found) > _CURVES:
        found = [found[i] for i in np.linspace(0, len(found) - 1, _CURVES).round().astype(int)]
    per_epoch = finite(run.run.get("updates_per_epoch")) or 0.0
    begun = found[0][0] == 0  # else it was cut off before its first reading, or never had one
    data = []
    for i, (update, ranks, values) in enumerate(found):
        untrained, last = begun and i == 0, i == len(found) - 1
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": _when(update, per_epoch),
                "x": ranks,
                "y": values,
                "opacity": 1 if untrained or last else round(_FAINT + (0.85 - _FAINT) * i / (len(found) - 1), 3),
                "line": {
                    "color": RANDOM if untrained else colour,
                    "width": 2.5 if last else 1.75,
                    "dash": "dash" if untrained else "solid",
                },
                "hovertemplate": "%{fullData.name}<br>direction %{x}: %{y:.3~g}<extra></extra>",
            }
        )
    lowest = min(min(values) for _, _, values in found)
    longest = max(ranks[-1] for _, ranks, _ in found)
    frame = layout(
        axis("direction, strongest first", log=True, span=(-0.03, float(np.log10(longest)) + 0.03)),
        axis("relative singular value", log=True, span=(min(float(np.floor(np.log10(lowest))), -1.0), 0.1)),
    )
    frame["hovermode"] = "closest"
    legend = [("before training", RANDOM, "dash")] if begun else []
    legend += [("first readings", f"color-mix(in srgb, {colour} 35%, transparent)", "line"), ("last", colour, "line")]
    first, last_one = found[0], found[-1]
    return Chart(
        id,
        title,
        f"Singular values {of}, relative to the largest: a curve for each reading, from faint to strong. A curve that "
        "moves up uses more directions; one that sinks at its right end loses them, which is a dimensional collapse "
        "(Jing et al. 2022).",
        f"{len(found)} spectra {of}, from {_when(first[0], per_epoch)} to {_when(last_one[0], per_epoch)}. The value "
        f"in the middle of the directions goes from {number(_middle(first))} to {number(_middle(last_one))}.",
        data,
        frame,
        height=340,
        table=_numbers(found, per_epoch),
        legend=legend,
    )


def _known(spectrum: Any, space: str) -> tuple[list[int], list[float]] | None:
    """Ranks and values above noise of a reading; None where there are none, or they are damaged."""
    found = spectrum.get(space) if isinstance(spectrum, dict) else None
    if not isinstance(found, dict):
        return None
    ranks, values = found.get("ranks"), found.get("values")
    if not isinstance(ranks, list) or not isinstance(values, list) or len(ranks) != len(values):
        return None
    kept = [
        (rank, value)
        for rank, given in zip(ranks, values, strict=True)
        if isinstance(rank, int) and rank > 0 and (value := finite(given)) is not None and value > _NOISE
    ]
    return ([rank for rank, _ in kept], [value for _, value in kept]) if kept else None


def _when(update: int, per_epoch: float) -> str:
    if update == 0:
        return "before training"
    return f"update {update:,}" + (f" (epoch {number(update / per_epoch)})" if per_epoch > 0 else "")


def _middle(found: tuple[int, list[int], list[float]]) -> float:
    """The value at the rank nearest to half of the last one."""
    _, ranks, values = found
    return values[int(np.abs(np.array(ranks) - ranks[-1] / 2).argmin())]


def _numbers(found: list[tuple[int, list[int], list[float]]], per_epoch: float) -> Table:
    """Values at a few ranks, of those that every reading has; where one has collapsed, of those that any has."""
    sets = [set(ranks) - {1} for _, ranks, _ in found]
    ranks = sorted(set.intersection(*sets) or set.union(*sets)) or [1]
    chosen = [ranks[i] for i in np.unique(np.linspace(0, len(ranks) - 1, _COLUMNS).round().astype(int))]
    readings = [(update, dict(zip(own, values, strict=True))) for update, own, values in found]
    rows = [
        [_when(update, per_epoch), *(number(values[rank]) if rank in values else "0" for rank in chosen)]
        for update, values in readings
    ]
    return Table("Over the largest, by direction", ["", *(f"{rank:,}" for rank in chosen)], rows, numeric=True)
