"""Which classes the linear probe takes for which."""

from dataclasses import dataclass
from typing import Any

from unlabel.evaluation.confusion import most_confused
from unlabel.reporting.charts import BAD, INK, RUN, Chart, Table, axis, layout
from unlabel.reporting.words import chart_text, percent

_DRAWN = 30  # classes up to which the matrix is drawn
_LISTED = 15  # pairs in the table
_WRITTEN = 12  # classes up to which a cell has room for its number


@dataclass(frozen=True)
class Confusion:
    """matrix: the heat map, None for too many classes; pairs: the most frequent mistakes, None without any; said: how
    to read them."""

    matrix: Chart | None
    pairs: Table | None
    said: str


def confused(evaluation: dict[str, Any], classes: list[str] | None) -> Confusion | None:
    """The mistakes of the linear probe on the queries; None where they were not counted.

    classes  their names; a class beyond them is called by its number
    """
    found = evaluation.get("confusion")
    if not isinstance(found, dict):
        return None
    counts = _square(found.get("counts"))
    pairs = most_confused(counts, _LISTED) if counts else _pairs(found.get("pairs"))
    if not counts and not pairs:
        return None
    count = len(counts) if counts else int(found.get("classes") or 0)
    given = classes or []
    names = [given[i] if i < len(given) else f"class {i}" for i in range(count)]
    rows = [
        [
            _name(names, pair["truth"]),
            _name(names, pair["said"]),
            f"{pair['count']:,} of {pair['of']:,}",
            percent(100 * pair["count"] / max(pair["of"], 1)),
        ]
        for pair in pairs[:_LISTED]
    ]
    asked = found.get("images")
    of = f" of {asked:,} images" if isinstance(asked, int) else ""
    said = (
        f"The most frequent mistakes of the linear probe{of}. Pairs that a person would confuse too are a good sign; "
        "others show what the representation does not tell apart."
        if rows
        else f"The linear probe made no mistake{of}."
    )
    table = Table("Most confused pairs", ["is", "taken for", "images", "share"], rows, numeric=True) if rows else None
    return Confusion(_matrix(counts, names) if counts and 2 <= count <= _DRAWN else None, table, said)


def _matrix(counts: list[list[int]], names: list[str]) -> Chart:
    labels = [chart_text(name) for name in names]
    shares = [[100 * cell / max(sum(row), 1) for cell in row] for row in counts]
    worst = max((share for i, row in enumerate(shares) for j, share in enumerate(row) if i != j), default=0.0)
    written = len(names) <= _WRITTEN
    data = []
    # Where numbers are written into the cells, half of the colour's strength is the most that ink can be read on.
    strength = 0.5 if written else 1.0
    for right, colour, top in ((True, RUN, 100.0), (False, BAD, max(worst, 1.0))):
        data.append(
            {
                "type": "heatmap",
                "x": labels,
                "y": labels,
                "z": [
                    [share if (i == j) == right and any(counts[i]) else None for j, share in enumerate(row)]
                    for i, row in enumerate(shares)
                ],
                "customdata": counts,
                "text": [[str(cell) if cell else "" for cell in row] for row in counts],
                "texttemplate": "%{text}" if written else "",
                "textfont": {"size": 11, "color": INK},
                "zmin": 0,
                "zmax": top / strength,
                "colorscale": [[0, "var(--card)"], [1, colour]],
                "showscale": False,
                "xgap": 1,
                "ygap": 1,
                "hoverongaps": False,
                "hovertemplate": "%{y}, taken for %{x}<br>%{customdata:,} images, %{z:.1f} %<extra></extra>",
            }
        )
    side = {"type": "category", "showgrid": False, "tickmode": "array", "tickvals": labels, "tickfont": {"size": 11}}
    frame = layout(
        axis("taken for", grid=False) | side | {"tickangle": -45 if len(names) > 4 else 0},
        axis("is", grid=False) | side | {"autorange": "reversed"},
    )
    frame["hovermode"] = "closest"
    images, right_ones = sum(sum(row) for row in counts), sum(row[i] for i, row in enumerate(counts))
    rows = [
        [name, f"{row[i]:,}", f"{sum(row):,}", percent(shares[i][i]) if sum(row) else "–"]
        for i, (name, row) in enumerate(zip(names, counts, strict=True))
    ]
    return Chart(
        "confusion",
        "Which class is taken for which",
        "Each row is a class, each column what the linear probe took its images for. Blue is right, the more the "
        f"better; red is wrong, and the darkest red is {percent(worst)} of a class"
        + (". Numbers are images." if written else "; point at a cell for its numbers."),
        f"Confusion of the linear probe over {len(names)} classes: {right_ones:,} of {images:,} images are right; the "
        f"largest share of a class that is taken for another is {percent(worst)}.",
        data,
        frame,
        height=150 + max(200, min(560, 34 * len(names))),
        table=Table("Right, class by class", ["", "right", "images", "share"], rows, numeric=True),
        legend=[("right", RUN, "bar"), ("wrong", BAD, "bar")],
    )


def _name(names: list[str], label: int) -> str:
    return names[label] if 0 <= label < len(names) else f"class {label}"


def _square(found: Any) -> list[list[int]] | None:
    """Counts as they should be, or None: absent, not square, or no counts."""
    if not isinstance(found, list) or not found:
        return None
    fits = all(
        isinstance(row, list)
        and len(row) == len(found)
        and all(isinstance(cell, int) and not isinstance(cell, bool) and cell >= 0 for cell in row)
        for row in found
    )
    return found if fits else None


def _pairs(found: Any) -> list[dict[str, int]]:
    names = ("truth", "said", "count", "of")
    return [
        {name: pair[name] for name in names}
        for pair in (found if isinstance(found, list) else [])
        if isinstance(pair, dict) and all(isinstance(pair.get(name), int) for name in names)
    ]
