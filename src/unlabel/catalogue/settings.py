"""The hyperparameters of a method: default, what each may be, and its symbol in the formulas."""

import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from unlabel.catalogue.docstring import Symbol
from unlabel.engine.options import hyperparameters
from unlabel.methods import Method


@dataclass(frozen=True)
class Setting:
    """One hyperparameter. allowed: in words, what it may be; symbol: in the formulas, "" where it has none."""

    name: str
    default: Any
    allowed: str
    symbol: str


def settings_of(method: type[Method], symbols: Sequence[Symbol]) -> tuple[Setting, ...]:
    """All hyperparameters of a method in the order of its constructor."""
    named = {row.code: row.symbol for row in symbols}  # a code of several names is no hyperparameter alone
    return tuple(
        Setting(name, hyper.default, _allowed(hyper.kind, method.limits.get(name)), named.get(name, ""))
        for name, hyper in hyperparameters(method).items()
    )


def _allowed(kind: Any, limits: tuple[float, float] | None) -> str:
    """What a value of an annotated kind may be, within closed limits: numbers without limits are at least 0."""
    if get_origin(kind) in (typing.Union, types.UnionType):
        return " or ".join("none" if part is type(None) else _allowed(part, limits) for part in get_args(kind))
    if get_origin(kind) is typing.Literal:
        return ", ".join(map(str, get_args(kind)))
    if kind is bool:
        return "true, false"
    if kind is str:
        return "a text"
    if kind is int or kind is float:
        low, high = limits or (0.0, float("inf"))
        whole = "whole, " if kind is int else ""
        return f"{whole}at least {low:g}" if high == float("inf") else f"{whole}{_number(low)} to {_number(high)}"
    return "numbers with commas between"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"
