"""How good the representation is, beside the controls it must beat: accuracy bars and the factor chart."""

from typing import Any

from unlabel.reporting.charts import BAD, COLOURS, CONTROLS, GOOD, OPEN, SOFT, Chart, Table, axis, layout
from unlabel.reporting.words import chart_text, finite, listed, nested, percent

WORDS = {"kept": GOOD, "partly": OPEN, "discarded": BAD}  # as `unlabel.evaluation.factors.word` says
_HUES = {"kept": "green", "partly": "amber", "discarded": "red"}


def accuracies(evaluation: dict[str, Any]) -> dict[str, dict[str, float]]:
    """{"kNN", "Linear top-1", "Linear top-5"} -> {"run", "random", "pixels"} in per cent, as far as known."""
    linear = nested(evaluation.get("linear"))
    asked = {
        "kNN": nested(evaluation.get("knn")),
        "Linear top-1": {who: nested(scores).get("top1") for who, scores in linear.items()},
        "Linear top-5": {who: nested(scores).get("top5") for who, scores in linear.items()},
    }
    known = {
        name: {who: value for who in CONTROLS if (value := finite(scores.get(who))) is not None}
        for name, scores in asked.items()
    }
    return {name: scores for name, scores in known.items() if "run" in scores}


def accuracy(evaluation: dict[str, Any]) -> Chart | None:
    """Bars of kNN and linear accuracy with their controls; None without a single number."""
    found = accuracies(evaluation)
    if not found:
        return None
    names = list(found)
    data: list[dict[str, Any]] = []
    for who, words in CONTROLS.items():
        values = [found[name].get(who) for name in names]
        if any(value is not None for value in values):
            data.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": words,
                    "y": names,
                    "x": values,
                    "marker": {"color": COLOURS[who]},
                    "text": ["" if v is None else f"{v:.1f}" for v in values],
                    "textposition": "outside",
                    "cliponaxis": False,
                    "hovertemplate": f"{words}: %{{x:.1f}} %<extra></extra>",
                }
            )
    y = axis("", grid=False) | {"autorange": "reversed", "type": "category", "ticklabelstandoff": 6}
    frame = layout(axis("accuracy, %", span=(0, 108)), y)
    frame |= {"bargap": 0.28, "bargroupgap": 0.12, "hovermode": "closest"}
    frame["xaxis"]["tickvals"] = [0, 20, 40, 60, 80, 100]
    rows = [
        [
            name,
            *(f"{v:.1f}" if (v := found[name].get(who)) is not None else "–" for who in CONTROLS),
            _lead(found[name]),
        ]
        for name in names
    ]
    alt = "; ".join(
        f"{name}: " + ", ".join(f"{words} {percent(found[name].get(who))}" for who, words in CONTROLS.items())
        for name in names
    )
    return Chart(
        "accuracy",
        "Accuracy with frozen features",
        "Longer is better: the blue bar must clear both controls, or training has taught the network nothing useful.",
        alt,
        data,
        frame,
        height=56 + 76 * len(names),
        table=Table(
            "In per cent, and the lead over the better control", ["", *CONTROLS.values(), "lead"], rows, numeric=True
        ),
        legend=[(trace["name"], trace["marker"]["color"], "bar") for trace in data],
    )


def _lead(scores: dict[str, float]) -> str:
    """The distance to the better control, in points."""
    controls = [scores[who] for who in ("random", "pixels") if who in scores]
    return f"{scores['run'] - max(controls):+.1f}".replace("-", "−") if controls else "–"


def factors(evaluation: dict[str, Any]) -> list[Chart]:
    """One chart per kind of factor: classes by accuracy, numbers by R²."""
    found = nested(evaluation.get("factors"))
    made = []
    for kind, unit in (("class", "accuracy, %"), ("regression", "R²")):
        scores: dict[str, dict[str, Any]] = {
            name: {key: value for key in (*CONTROLS, "chance") if (value := finite(entry.get(key))) is not None}
            | {"word": str(entry.get("word") or "")}
            for name, entry in found.items()
            if isinstance(entry, dict) and entry.get("kind", "class") == kind
        }
        scores = {name: entry for name, entry in scores.items() if "run" in entry}
        if scores:
            made.append(_factor_chart(kind, unit, scores))
    return made


def _factor_chart(kind: str, unit: str, scores: dict[str, dict[str, Any]]) -> Chart:
    names = sorted(scores, key=lambda name: scores[name]["run"], reverse=True)
    labels = {name: chart_text(name) for name in names}
    # R² falls without limit when a probe fails altogether; below -0.25 the marker stands at the edge.
    low, high = (0.0, 104.0) if kind == "class" else (-0.25, 1.05)
    data: list[dict[str, Any]] = []
    for word, colour in WORDS.items():
        shown = [name for name in names if scores[name]["word"] == word]
        x: list[float | None] = []
        y: list[str | None] = []
        for name in shown:
            x += [max(scores[name].get("chance", 0.0), low), max(scores[name]["run"], low), None]
            y += [labels[name], labels[name], None]
        if shown:
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": x,
                    "y": y,
                    "line": {"color": colour, "width": 6},
                    "opacity": 0.5,
                    "hoverinfo": "skip",
                }
            )
    marks = {
        "chance": ("line-ns-open", SOFT, "guessing", "tick"),
        "pixels": ("square-open", COLOURS["pixels"], CONTROLS["pixels"], "box"),
        "random": ("circle-open", COLOURS["random"], CONTROLS["random"], "ring"),
        "run": ("circle", COLOURS["run"], CONTROLS["run"], "dot"),
    }
    marks = {who: mark for who, mark in marks.items() if any(who in entry for entry in scores.values())}
    for who, (symbol, colour, words, _) in marks.items():
        shown = [name for name in names if who in scores[name]]
        values = [scores[name][who] for name in shown]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": words,
                "x": [max(v, low) for v in values],
                "y": [labels[n] for n in shown],
                "customdata": values,
                "marker": {
                    "symbol": symbol,
                    "size": 12 if who == "run" else 10,
                    "color": colour,
                    "line": {"width": 2, "color": colour},
                },
                "hovertemplate": f"%{{y}}, {words}: %{{customdata:.3~g}}<extra></extra>",
            }
        )
    y_axis = axis("") | {
        "type": "category",
        "autorange": "reversed",
        "categoryorder": "array",
        "categoryarray": list(labels.values()),
        "ticklabelstandoff": 6,
    }
    frame = layout(axis(unit, span=(low, high), grid=False), y_axis) | {"hovermode": "closest"}
    groups = {word: [name for name in names if scores[name]["word"] == word] for word in WORDS}
    said = "; ".join(f"{word} ({_HUES[word]}): {listed(found)}" for word, found in groups.items() if found)
    rows = [
        [name, *(_score(scores[name].get(who), kind) for who in (*CONTROLS, "chance")), scores[name]["word"]]
        for name in names
    ]
    return Chart(
        f"factors-{kind}",
        "What is kept of the classes" if kind == "class" else "What is kept of the quantities",
        "Read off the frozen features by a linear probe; the line runs from guessing to this run."
        + (f" {said[0].upper()}{said[1:]}." if said else ""),
        f"Factor scores. {said}.",
        data,
        frame,
        height=56 + 38 * len(names),
        table=Table(f"Factor scores, {unit}", ["", *CONTROLS.values(), "guessing", ""], rows, numeric=True),
        legend=[(words, colour, mark) for _, colour, words, mark in reversed(marks.values())],
    )


def _score(value: float | None, kind: str) -> str:
    return "–" if value is None else f"{value:.1f}" if kind == "class" else f"{value:.2f}".replace("-", "−")
