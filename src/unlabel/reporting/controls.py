"""What runs must beat, and what it was measured on: numbers compare only where that is the same."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unlabel.reporting.apart import Choice, Settings, bare, choice, names_apart, shared
from unlabel.reporting.facts import flat
from unlabel.reporting.rows import ALL, COLUMNS, SEGMENTATIONS, Column, Row, at
from unlabel.reporting.words import short_name

KINDS = {
    "features": "Frozen features",
    **{name: f"Segmentation {words}" for name, words in SEGMENTATIONS.items()},
    "classification": "Trained with labels",
    "translation": "Image translation",
}
"""What numbers can be of. One run may have those of features and of each way of segmentation."""

PROTOCOLS = {
    "features": "protocol",
    **{name: f"{name}.protocol" for name in SEGMENTATIONS},
    "classification": "protocol",
    "translation": "translation.protocol",
}
"""Where in evaluation.json the protocol of each is."""

_OF_THE_RUN = ("seconds_per_image", "weights")
"""What a protocol says of the machine and of the method, student or teacher: runs that differ in it compare."""
_ELSEWHERE = ("memory and queries", "no labels: the evaluation data", "the evaluation data")
"""How the sentence on the split begins where no image of the training is remembered or asked about."""

RANDOM = "random weights"

_SAID = {"memory": "{:,} remembered", "queries": "{:,} asked", "k": "k = {}"}  # else as an option is said

_GUESSING = {
    "map": "retrieval.chance.mAP",
    "map_at_r": "retrieval.chance.mAP@R",
    "recall1": "retrieval.chance.recall@1",
    "nmi": "clustering.chance.NMI",
    "ari": "clustering.chance.ARI",
    "clustered": "clustering.chance.accuracy",
    "zeroshot": "texts.zeroshot.chance1",
    "images_by_text": "texts.retrieval.text_to_image.chance.1",
    "texts_by_image": "texts.retrieval.image_to_text.chance.1",
    "pointing": "objects.pointing.chance",
}
_SHAPE = ("uniformity", "effective_rank", "participation_ratio", "spectral_decay", "lidar", "alignment", "tolerance")


def kinds_of(found: Mapping[str, Any]) -> list[str]:
    """What evaluation.json and the files of segmentations have numbers of."""
    if found.get("classification"):
        return ["classification"]
    if found.get("translation"):
        return ["translation"]
    there = {"features": found.get("protocol"), **{name: found.get(name) for name in SEGMENTATIONS}}
    return [kind for kind, known in there.items() if known]


def conditions(run: Mapping[str, Any], found: Mapping[str, Any], kind: str = "features") -> dict[str, Choice]:
    """What numbers of a run were measured on and how: the protocol, and the images where they are those of training."""
    protocol = at(found, PROTOCOLS[kind]) or {}
    made: dict[str, Choice] = {}
    split = str(protocol.get("split", "of the training"))
    data = run.get("data")
    if kind not in SEGMENTATIONS and isinstance(data, dict) and not split.startswith(_ELSEWHERE):
        counts = data.get("images")
        many = " and ".join(f"{n:,}" for n in counts) if isinstance(counts, list) else ""
        made["images"] = choice(counts, words=f"{many} images")
        made["data"] = choice(data.get("fingerprint"), short_name(str(data.get("spec"))))
    for name, value in protocol.items():
        if name in _OF_THE_RUN:
            continue
        if name == "data":
            made["evaluation data"] = choice(value, words=f"asked about {short_name(str(value))}")
        elif name in _SAID and isinstance(value, int):
            made[name] = choice(value, words=_SAID[name].format(value))
        else:
            made[name] = choice(value)
    return made


def weights_of(found: Mapping[str, Any], kind: str = "features") -> str:
    """Whose weights numbers are of, in words; "" where that was not said."""
    return str(at(found, f"{PROTOCOLS[kind]}.weights") or "")


def key_of(settings: Settings) -> tuple[tuple[str, Any], ...]:
    """The settings as something that can be looked up."""
    return tuple(sorted((name, value.value) for name, value in settings.items()))


@dataclass
class _Control:
    """One control: what it was measured on, its numbers, and the positions of the runs that have it."""

    settings: dict[str, Choice]
    row: Row
    runs: list[int] = field(default_factory=list)

    def add(self, numbers: Mapping[str, Any], run: int) -> None:
        """A run's measurement of it; what another run has measured alike says nothing new."""
        new = Row("")
        new.add(**numbers)
        for column, values in new.numbers.items():
            known = self.row.numbers.setdefault(column, [])
            known += [value for value in values if value not in known]
        self.runs.append(run)


def controls(
    measured: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
    of: Mapping[str, Column] = COLUMNS,
    kinds: Iterable[str] = KINDS,
) -> tuple[list[Row], list[dict[str, str]]]:
    """The controls of some runs, each once, and for every run the names of its own: {"raw pixels": name, ...}.

    measured  run.json and evaluation.json of each, as `read_numbers` returns them

    A control is the same where it was measured on the same images under one protocol (and of the same network, if it
    has one), or where its numbers are the same. Those that are not are named apart: "raw pixels, 5,000 images".
    """
    by_base: dict[tuple[str, str], dict[Any, _Control]] = {}
    for i, (run, found) in enumerate(measured):
        for kind in kinds:
            where = conditions(run, found, kind)
            for base, paths in _paths(kind, str(run.get("network")), of).items():
                numbers = {column: at(found, path) for column, path in paths.items()}
                settings = where | _network(run) if base.startswith(RANDOM) else where
                row = Row(base, control=True)
                row.add(**numbers)
                if row.numbers:
                    same = by_base.setdefault((base, kind), {})
                    same.setdefault(key_of(settings), _Control(settings, Row(base, control=True))).add(numbers, i)
    rows: dict[str, Row] = {}
    own: list[dict[str, str]] = [{} for _ in measured]
    for (base, _), same in by_base.items():
        different = _merged(list(same.values()))
        names = _numbered(names_apart([base] * len(different), [one.settings for one in different], most=0))
        for one, name in zip(different, names, strict=True):
            row = rows.setdefault(name, Row(name, control=True))
            row.numbers |= {column: values for column, values in one.row.numbers.items() if column not in row.numbers}
            for i in one.runs:
                own[i].setdefault(RANDOM if base.startswith(RANDOM) else base, name)
    return list(rows.values()), own


def _merged(found: list[_Control]) -> list[_Control]:
    """Controls with the same numbers as one, of which is known what all have in common."""
    kept: list[_Control] = []
    for one in found:
        twin = next((other for other in kept if other.row.numbers == one.row.numbers), None)
        if twin is None:
            kept.append(one)
        else:
            twin.settings = shared([twin.settings, one.settings])
            twin.runs += one.runs
    return kept


def _numbered(names: Sequence[str]) -> list[str]:
    """Names of which none comes twice."""
    seen: dict[str, int] = {}
    made = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        made.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return made


def _network(run: Mapping[str, Any]) -> dict[str, Choice]:
    """What the kept network is, and how images come to it."""
    facts = bare(run.get("network_facts") or {})
    return {f"network.{name}": choice(text, words=f"{name.rpartition('.')[2]} {text}") for name, text in flat(facts)}


def _paths(kind: str, network: str, of: Mapping[str, Column]) -> dict[str, dict[str, str | tuple[str, ...]]]:
    """Where the numbers of each control are."""
    if kind in SEGMENTATIONS:
        return {
            random_weights_of(network): _instead("random", of, kind),
            "colours alone": _instead("colours", of, kind),
            "one class everywhere": _instead("constant", of, kind),
        }
    if kind == "translation":
        return {"untouched inputs": _instead("identity", of, "translation", "translation")}
    if kind == "classification":
        return {"from scratch": _instead("scratch", of, kind), "its teacher": _instead("teacher", of, kind)}
    return {
        "raw pixels": _instead("pixels", of),
        random_weights_of(network): _instead("random", of)
        | {name: f"untrained.{name}" for name in _SHAPE if name in of},
        "guessing": {name: path for name, path in _GUESSING.items() if name in of}
        | {name: (*column.path[:-1], "chance") for name, column in of.items() if name not in ALL},
    }  # fmt: skip


def random_weights_of(network: str) -> str:
    """What the control of runs that kept such a network is called."""
    return f"{RANDOM}, {network}"


def _instead(who: str, of: Mapping[str, Column], begin: str = "", run: str = "run") -> dict[str, Any]:
    """Where the numbers of a control are that is evaluated as the run is: its name stands in the place of `run`.

    begin  the part of evaluation.json that they are in; "": any but those that are asked for by name
    """
    made = {}
    for name, column in of.items():
        parts = column.path.split(".") if isinstance(column.path, str) else list(column.path)
        named = parts[0] in KINDS
        if run in parts[1:] and (parts[0] == begin if begin else not named):
            at_run = len(parts) - 1 - parts[::-1].index(run)
            made[name] = tuple(who if i == at_run else part for i, part in enumerate(parts))
    return made
