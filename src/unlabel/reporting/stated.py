"""The protocols behind the numbers of several runs, one line each: which images, layer and crop, and whose weights."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unlabel.evaluation.kinds import line
from unlabel.reporting.alike import PARTS, Part
from unlabel.reporting.controls import KINDS, PROTOCOLS
from unlabel.reporting.rows import Column, at
from unlabel.reporting.words import listed, short_name

Told = Sequence[tuple[str, Mapping[str, Any]]]
"""The name of its row and evaluation.json, for every run that was measured."""

_NO_NUMBERS = ("cost", "labels")
"""What a run took and was given, which no evaluation measures."""
_OF_THE_MACHINE = "seconds_per_image"
LIVE = next(part for part in PARTS if part.protocol == "live")


def stated(told: Told, columns: Iterable[Column]) -> list[str]:
    """What the numbers in these columns are, a line for each protocol that some run says, in the order of columns."""
    parts = dict.fromkeys(part for column in columns if (part := _part(column)) is not None)
    return [text for part in parts if (text := stated_of(told, part))]


def stated_of(told: Told, part: Part) -> str:
    """The protocol of one part, after its title; "" where no run says it beside its numbers."""
    known = [
        (name, protocol)
        for name, found in told
        if isinstance(protocol := at(found, part.protocol), dict) and protocol
        if not part.numbers or any(at(found, place) is not None for place in part.numbers)
    ]
    return f"{part.title}: {together(known)}" if known else ""


def together(stated: Told) -> str:
    """Protocols of one kind as one line: what rows differ in has all values, and of weights which rows have which.

    stated  (name of the row, its protocol), at least one
    """
    made: dict[str, Any] = {}
    for name in dict.fromkeys(name for _, protocol in stated for name in protocol if name != _OF_THE_MACHINE):
        values = [protocol.get(name, "not said") for _, protocol in stated]
        values = [short_name(str(value)) for value in values] if name == "data" else values
        if all(value == values[0] for value in values):
            made[name] = values[0]
        elif name == "weights":
            made[name] = _by_row([(row, str(value)) for (row, _), value in zip(stated, values, strict=True)])
        elif all(isinstance(value, str | int | float) for value in values):
            made[name] = " or ".join(dict.fromkeys(map(str, values)))
    return line(made)


def _by_row(values: Sequence[tuple[str, str]]) -> str:
    """ "the student's (byol and moco) or else the network's": the value of most rows comes last and names none."""
    rows: dict[str, dict[str, None]] = {}
    for row, value in values:
        rows.setdefault(value, {})[row] = None
    *few, (most, _) = sorted(rows.items(), key=lambda one: len(one[1]))
    return " or ".join(f"{value} ({listed(list(names))})" for value, names in few) + f" or else {most}"


def _part(column: Column) -> Part | None:
    """What a column's numbers are part of; None where they are no measurement."""
    path = column.path if isinstance(column.path, str) else ".".join(column.path)
    head = path.split(".")[0]
    if head in _NO_NUMBERS:
        return None
    own = (part for part in PARTS if any(f"{path}.".startswith(f"{place}.") for place in part.numbers))
    kind = head if head in KINDS else "features"
    return next(own, Part(KINDS[kind][:1].lower() + KINDS[kind][1:], PROTOCOLS[kind], ()))
