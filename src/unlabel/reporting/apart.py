"""Things that are alike, told apart: what a run was decided to be, and names that say only what differs."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from unlabel import methods
from unlabel.engine.kinds import TAUGHT, kind_of
from unlabel.engine.options import hyperparameters, needs_backbone
from unlabel.engine.run import Run
from unlabel.optim.plan import Plan
from unlabel.reporting.facts import shown
from unlabel.reporting.words import listed, nested, short_name

_NOT_THE_RUN = ("seed", "out", "controls", "save_every", "monitors", "threads", "evaluate")
"""Options that change neither what is trained nor on what: runs that differ in them are the same but for the seed."""

_ORIGIN = "origin's method"
"""Of the run that one went on from."""

_FIRST = (_ORIGIN, "data", "data_b", "limit", "size", "budget", "recipe", "backbone", "objective")
"""What a reader asks first."""

_SPECS = ("data", "data_b", "eval_data", "eval_data_b", "saliency")
_ALIKE = ("data", "data_b", "limit", "size", "budget", "epochs", "batch_size", "backbone", "device", "precision")
"""What even runs of different methods are named by, where it is not what most of them have."""

_MOST = 3  # differences that a name says; of more, those that tell the runs apart

_DEFAULTS: dict[str, Any] = {f.name: f.default for f in fields(Run)}
_PLAN_DEFAULTS: dict[str, Any] = {f.name: f.default for f in fields(Plan) if f.default is not MISSING}


@dataclass(frozen=True)
class Choice:
    """A value that can be compared, and how it is written; words: how it is said, where that is unusual."""

    value: Any
    text: str = field(compare=False)
    words: str = field(default="", compare=False)

    def named(self, name: str) -> str:
        """ "temperature 0.2", "lab", "no limit"."""
        if self.words:
            return self.words
        words = name.replace("_", " ")
        if self.value is None or self.value == "false":
            return f"no {words}"
        return words if self.value == "true" else f"{words} {self.text}"


Settings = Mapping[str, Choice]


def choice(value: Any, text: str | None = None, words: str = "") -> Choice:
    """A plain value as JSON holds it, which is compared to the last digit."""
    exact = None if value is None else json.dumps(value, sort_keys=True)
    return Choice(exact, shown(value) if text is None else text, words)


def settings_of(run: Mapping[str, Any]) -> dict[str, Choice]:
    """What run.json says was decided, but for the seed and for what does not change the training.

    An option that an older version did not know has its default. With a time budget, how many epochs there were is
    what came of it and no decision. The data is known by its fingerprint, wherever it lies.
    """
    options = {**_DEFAULTS, **nested(run.get("run"))}
    plan = {**_PLAN_DEFAULTS, **nested(run.get("plan"))} if run.get("plan") else {}
    method = str(options["method"])
    if options["budget"]:
        plan.pop("epochs", None)
    hyper = {name: value for name, value in nested(run.get("hyper")).items() if value is not None}
    known = method in (*methods.available(), *TAUGHT)
    if known:
        defaults = {name: option.default for name, option in hyperparameters(kind_of(method)).items()}
        hyper = {
            name: value for name, value in defaults.items() if isinstance(value, str | int | float | tuple)
        } | hyper
    kept = {name: value for name, value in options.items() if name not in _NOT_THE_RUN}
    found = {name: choice(value) for name, value in {**kept, **plan, **hyper}.items()}
    found["method"] = choice(method, method)
    for name in _SPECS:
        found[name] = choice(options[name], short_name(str(options[name])))
    if known and options["backbone"] == "auto" and not needs_backbone(kind_of(method)):
        found["backbone"] = choice("auto", words="its own network")
    data = nested(run.get("data"))
    if "fingerprint" in data:
        found["data"] = choice(data["fingerprint"], short_name(str(data.get("spec") or options["data"])))
    spec = nested(run.get("backbone"))
    found["network"] = choice(bare(spec) or None, str(spec.get("name")))
    origin = nested(nested(run.get("origin")).get("job"))
    if origin:
        found |= {f"origin's {name}": value for name, value in settings_of(origin).items()}
        found[_ORIGIN] = replace(found[_ORIGIN], words=f"from {found[_ORIGIN].text}")
    return dict(sorted(found.items(), key=lambda item: (_rank(item[0]), item[0] not in hyper)))


def bare(value: Any) -> Any:
    """Without what is empty, false or zero, which older versions may not have written."""
    if isinstance(value, Mapping):
        return {name: kept for name, one in value.items() if (kept := bare(one))}
    return value


def _rank(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


def seeds_of(run: Mapping[str, Any]) -> tuple[Any, ...]:
    """The seed, and that of the run it went on from."""
    origin = nested(nested(run.get("origin")).get("job"))
    return (nested(run.get("run")).get("seed"), *(seeds_of(origin) if origin else ()))


def differing(of: Sequence[Settings]) -> list[str]:
    """The names under which not all have the same, in order."""
    names = dict.fromkeys(name for one in of for name in one)
    found = [name for name in names if len({one.get(name) for one in of}) > 1]
    if found != ["network"]:  # it follows from options; only a network of one's own differs by itself
        found = [name for name in found if name != "network"]
    if "data" in found and any(part in found and _follows("data", part, of) for part in ("limit", "images")):
        found.remove("data")
    return found


def _follows(name: str, other: str, of: Sequence[Settings]) -> bool:
    """Whether what is written alike under `name` differs only where `other` does: a part of the same images."""
    values: dict[Any, set[Any]] = {}
    for one in of:
        values.setdefault(one.get(other), set()).add(one.get(name))
    alike = len({one[name].text for one in of if name in one}) == 1
    return alike and all(len(found) == 1 for found in values.values())


def shared(of: Sequence[Settings]) -> dict[str, Choice]:
    """What all have in common."""
    return {name: value for name, value in of[0].items() if all(one.get(name) == value for one in of)} if of else {}


def names_apart(bases: Sequence[str], of: Sequence[Settings], most: int = _MOST) -> list[str]:
    """Each base name, and behind it what tells it from others of the same name: "simclr, temperature 0.2".

    At most `most` differences are said; where there are more, the fewest that tell all of them apart, and "…" (not
    with most=0, which always says the fewest).
    """
    made = list(bases)
    for base in dict.fromkeys(bases):
        rows = [i for i, name in enumerate(bases) if name == base]
        some = [of[i] for i in rows]
        every = differing(some)
        chosen = every if len(every) <= most else list(_fewest(every, some))
        more = ["…"] if 0 < len(chosen) < len(every) and most else []
        for i, words in zip(rows, _texts(chosen, some), strict=True):
            made[i] = ", ".join([base, *words, *more])
    return made


def _fewest(names: Sequence[str], of: Sequence[Settings]) -> Iterator[str]:
    """Names, taken one after the other, whichever tells most apart, until all that can be told are."""
    groups, rest = 1, list(names)
    target = len({tuple(one.get(name) for name in names) for one in of})
    taken: list[str] = []
    while groups < target:

        def apart(name: str) -> int:
            return len({tuple(one.get(part) for part in (*taken, name)) for one in of})

        best = max(rest, key=apart)  # of equals the first
        rest.remove(best)
        taken.append(best)
        groups = apart(best)
        yield best


def _texts(names: Sequence[str], of: Sequence[Settings]) -> list[list[str]]:
    """The words of each; values that are written alike and are not get a few digits of what they are."""
    lines: list[list[str]] = [[] for _ in of]
    for name in names:
        values = [one.get(name) for one in of]
        texts = {value: value.text for value in values if value is not None}
        alike = Counter(texts.values())
        for line, value in zip(lines, values, strict=True):
            if value is None:  # an option that this one's method does not have
                continue
            words = value.named(name)
            line.append(f"{words} ({_digits(value)})" if alike[value.text] > 1 and value.value else words)
    return lines


def _digits(value: Choice) -> str:
    return "".join(letter for letter in str(value.value) if letter.isalnum())[:6]


def row_names(of: Sequence[Settings]) -> tuple[list[str], dict[str, Choice]]:
    """A name for each row of a comparison, and what most rows have in common where their names say nothing else.

    The method, and what differs among its rows; of what differs between methods only what everybody asks about, such
    as the data or the time, where it is not what most rows have.
    """
    bases = [one["method"].text for one in of]
    asked = [name for name in differing(of) if name in _ALIKE]
    usual: dict[str, Choice] = {}
    for name in asked:
        value, count = Counter(one.get(name) for one in of).most_common(1)[0]
        if value is not None and 2 * count > len(of):
            usual[name] = value
    rest = [{name: value for name, value in one.items() if usual.get(name) != value} for one in of]
    names = names_apart(bases, rest)
    for i, (base, one) in enumerate(zip(bases, rest, strict=True)):
        of_method = differing([other for other, name in zip(rest, bases, strict=True) if name == base])
        names[i] += "".join(f", {one[name].named(name)}" for name in asked if name in one and name not in of_method)
    return names, usual


def what_differs(of: Sequence[Settings]) -> str:
    """The names of what differs, in words: "data, images and size"."""
    return listed([name.replace("_", " ") for name in differing(of)])
