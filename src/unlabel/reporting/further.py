"""What else was asked of frozen features: retrieval, clustering, corrupted images, objects and texts, with controls."""

from dataclasses import dataclass
from typing import Any

from unlabel.reporting.charts import CONTROLS, Table
from unlabel.reporting.facts import protocol, protocols
from unlabel.reporting.words import finite, nested, percent

_PROBES = {"linear": "linear probe", "knn": "nearest neighbours"}


@dataclass(frozen=True)
class Section:
    """A title, one sentence on how to read it, tables, and what the protocol states."""

    id: str
    title: str
    caption: str
    tables: list[Table]
    stated: dict[str, Any]

    @property
    def protocol(self) -> str:
        """The protocol in one line."""
        return protocol({"protocol": self.stated})


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
        _swapped(evaluation),
        _pointing(evaluation),
        _zeroshot(evaluation),
        _captions(evaluation),
    ]  # fmt: skip
    return [section for section in made if section is not None]


def _beside_chance(evaluation: dict[str, Any], name: str, title: str, caption: str) -> Section | None:
    found = nested(evaluation.get(name))
    scores = {who: nested(found.get(who)) for who in (*CONTROLS, "chance")}
    rows = [
        [measure, *(_score(of.get(measure)) for of in scores.values())]
        for measure, value in scores["run"].items()
        if finite(value) is not None
    ]
    if not rows:
        return None
    table = Table("In per cent", ["", *CONTROLS.values(), "guessing"], rows, numeric=True)
    return Section(name, title, caption, [table], nested(found.get("protocol")))


def _robustness(evaluation: dict[str, Any]) -> Section | None:
    found = nested(evaluation.get("robustness"))
    tables = [_corrupted(words, nested(found.get(probe))) for probe, words in _PROBES.items() if probe in found]
    if not tables:
        return None
    run = nested(nested(found.get("linear")).get("run"))
    caption = (
        f"Probes that were fitted on clean images: the linear one is right on {percent(run.get('clean'))} of clean and "
        f"on {percent(run.get('corrupted'))} of corrupted images, the mean over corruptions and "
        "severities; four further corruptions stand apart."
    )
    return Section("robustness", "Corrupted images", caption, tables, nested(found.get("protocol")))


def _corrupted(words: str, found: dict[str, Any]) -> Table:
    scores = [nested(found.get(who)) for who in CONTROLS]
    kinds = [
        [nested(of.get("corruptions")).get(name) for of in scores] for name in nested(scores[0].get("corruptions"))
    ]
    names = [name.replace("_", " ") for name in nested(scores[0].get("corruptions"))]
    rows = [
        [title, *(_score(of.get(title)) for of in scores)]
        for title in ("clean", "corrupted", "further")
        if title in scores[0]
    ]
    rows += [[name, *(_score(nested(of).get("mean")) for of in kind)] for name, kind in zip(names, kinds, strict=True)]
    return Table(f"Right by the {words}, in per cent", ["", *CONTROLS.values()], rows, numeric=True)


def _swapped(evaluation: dict[str, Any]) -> Section | None:
    found = nested(nested(evaluation.get("objects")).get("swapped"))
    rows = [
        [f"{words}, {kind}", *(_score(nested(nested(found.get(probe)).get(who)).get(kind)) for who in CONTROLS)]
        for probe, words in _PROBES.items()
        for kind in ("original", "swapped")
        if nested(found.get(probe))
    ]
    if not rows:
        return None
    caption = "How often objects are still told apart before the background of another image; the memory is as it was."
    table = Table("Right, in per cent", ["", *CONTROLS.values()], rows, numeric=True)
    return Section("swapped", "Other backgrounds", caption, [table], _stated(evaluation, "swapped"))


def _pointing(evaluation: dict[str, Any]) -> Section | None:
    found = nested(nested(evaluation.get("objects")).get("pointing"))
    if finite(found.get("run")) is None:
        return None
    head = {"run": CONTROLS["run"], "random": CONTROLS["random"], "centre": "the middle", "chance": "guessing"}
    table = Table(
        "In per cent", ["", *head.values()], [["hits", *(_score(found.get(who)) for who in head)]], numeric=True
    )
    caption = "How often the place that matters most to the network lies on the object."
    return Section("pointing", "Looking at the object", caption, [table], _stated(evaluation, "pointing"))


def _zeroshot(evaluation: dict[str, Any]) -> Section | None:
    found = nested(nested(evaluation.get("texts")).get("zeroshot"))
    rows = [
        [f"top-{k}", _score(found.get(f"top{k}")), _score(found.get(f"chance{k}"))]
        for k in (1, 5)
        if finite(found.get(f"top{k}")) is not None
    ]
    if not rows:
        return None
    table = Table("In per cent", ["", CONTROLS["run"], "guessing"], rows, numeric=True)
    caption = "How often the nearest name of a class is the right one, none of them ever taught."
    return Section("zeroshot", "Classes by their names", caption, [table], _stated(evaluation, "zeroshot"))


def _captions(evaluation: dict[str, Any]) -> Section | None:
    found = nested(nested(evaluation.get("texts")).get("retrieval"))
    ways = {"text_to_image": "images by text", "image_to_text": "texts by image"}
    known = {words: nested(found.get(name)) for name, words in ways.items() if nested(found.get(name)).get("at")}
    if not known:
        return None
    ks = list(nested(next(iter(known.values()))["at"]))
    rows = [
        [f"{words}{name}", *(_score(nested(recall.get(kind)).get(k)) for k in ks)]
        for words, recall in known.items()
        for kind, name in (("at", ""), ("chance", ", guessing"))
    ]
    table = Table("Recall, in per cent", ["", *(f"@{k}" for k in ks)], rows, numeric=True)
    caption = "How often what belongs to a query is among the k nearest."
    return Section("captions", "Images and captions", caption, [table], _stated(evaluation, "captions"))


def _stated(evaluation: dict[str, Any], kind: str) -> dict[str, Any]:
    return nested(protocols(evaluation).get(kind))


def _score(value: Any) -> str:
    known = finite(value)
    return "–" if known is None else f"{round(known, 1) + 0.0:.1f}".replace("-", "−")
