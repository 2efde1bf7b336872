"""What else was asked of frozen features: retrieval, clustering and corrupted images, each beside its controls."""

from dataclasses import dataclass
from typing import Any

from unlabel.reporting.charts import CONTROLS, Table
from unlabel.reporting.facts import protocol
from unlabel.reporting.words import finite, percent

_PROBES = {"linear": "linear probe", "knn": "nearest neighbours"}


@dataclass(frozen=True)
class Section:
    """A title, one sentence on how to read it, tables, and the protocol in one line."""

    id: str
    title: str
    caption: str
    tables: list[Table]
    protocol: str


def further(evaluation: dict[str, Any]) -> list[Section]:
    """As far as it was measured; evaluations of older versions hold none of it."""
    made = [
        _beside_chance(
            evaluation, "retrieval", "Finding images of the same class",
            "How early others of its class come when an image is searched by: mAP over the whole ranking, mAP@R over "
            "its beginning; recall@k is how often one at least is among the first k.",
        ),
        _beside_chance(
            evaluation, "clustering", "Groups without labels",
            "How well the clusters of k-means agree with classes; accuracy is that of the best matching of the two.",
        ),
        _robustness(evaluation),
    ]  # fmt: skip
    return [section for section in made if section is not None]


def _beside_chance(evaluation: dict[str, Any], name: str, title: str, caption: str) -> Section | None:
    found = _table(evaluation.get(name))
    scores = {who: _table(found.get(who)) for who in (*CONTROLS, "chance")}
    rows = [
        [measure, *(_score(of.get(measure)) for of in scores.values())]
        for measure, value in scores["run"].items()
        if finite(value) is not None
    ]
    if not rows:
        return None
    table = Table("In per cent", ["", *CONTROLS.values(), "guessing"], rows, numeric=True)
    return Section(name, title, caption, [table], protocol(found))


def _robustness(evaluation: dict[str, Any]) -> Section | None:
    found = _table(evaluation.get("robustness"))
    tables = [_corrupted(words, _table(found.get(probe))) for probe, words in _PROBES.items() if probe in found]
    if not tables:
        return None
    run = _table(_table(found.get("linear")).get("run"))
    caption = (
        f"Probes that were fitted on clean images: the linear one is right on {percent(run.get('clean'))} of clean and "
        f"on {percent(run.get('corrupted'))} of corrupted images, the mean over corruptions and severities."
    )
    return Section("robustness", "Corrupted images", caption, tables, protocol(found))


def _corrupted(words: str, found: dict[str, Any]) -> Table:
    scores = [_table(found.get(who)) for who in CONTROLS]
    kinds = [
        [_table(of.get("corruptions")).get(name) for of in scores] for name in _table(scores[0].get("corruptions"))
    ]
    names = [name.replace("_", " ") for name in _table(scores[0].get("corruptions"))]
    rows = [[title, *(_score(of.get(title)) for of in scores)] for title in ("clean", "corrupted")]
    rows += [[name, *(_score(_table(of).get("mean")) for of in kind)] for name, kind in zip(names, kinds, strict=True)]
    return Table(f"Right by the {words}, in per cent", ["", *CONTROLS.values()], rows, numeric=True)


def _score(value: Any) -> str:
    known = finite(value)
    return "–" if known is None else f"{round(known, 1) + 0.0:.1f}".replace("-", "−")


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
