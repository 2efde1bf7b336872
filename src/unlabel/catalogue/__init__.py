"""Everything there is to say of a method, gathered from its file and its recipes; nothing is written twice."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from unlabel import methods
from unlabel.catalogue.docstring import PREDECESSORS, Told, read
from unlabel.catalogue.settings import Setting, settings_of
from unlabel.methods import Method
from unlabel.recipes import recipes


@dataclass(frozen=True)
class Entry:
    """One method.

    paper: its arXiv identifier, "" where there is none; told: the docstring of its file, in parts;
    hyper: its hyperparameters; plan: defaults of its optimisation, by name;
    recipes: by name, what each is for and its values; kind: its class.
    """

    name: str
    title: str
    family: str
    paper: str
    year: int
    told: Told
    hyper: tuple[Setting, ...]
    plan: dict[str, Any]
    recipes: dict[str, tuple[str, dict[str, Any]]]
    kind: type[Method]

    @property
    def address(self) -> str:
        """Of the paper; "" where there is none."""
        return f"https://arxiv.org/abs/{self.paper}" if self.paper else ""


@cache
def entry(name: str) -> Entry:
    """The entry of one method; Fault with the nearest name if there is none."""
    method = methods.get(name)
    module = inspect.getmodule(method)
    told = read(inspect.cleandoc((module and module.__doc__) or ""))
    return Entry(
        name=name, title=method.title, family=method.family, paper=method.paper, year=method.year, told=told,
        hyper=settings_of(method, told.symbols), plan=asdict(method.plan),
        recipes={recipe: (inspect.getdoc(make) or "", make()) for recipe, make in recipes(name).items()}, kind=method,
    )  # fmt: skip


def entries() -> Iterator[Entry]:
    """All methods, by family and year."""
    every = (entry(name) for name in methods.available())
    yield from sorted(every, key=lambda e: (e.family, e.year, e.name))


def predecessors(of: Entry) -> list[Entry]:
    """The methods, not younger, whose titles stand in a method's section of that name: what it goes on from."""
    words = of.told.prose(PREDECESSORS)
    found = []
    for other in sorted(entries(), key=lambda e: -len(e.title)):  # MoCo v2 before MoCo, whose title is in it
        pattern = rf"(?<!\w){re.escape(other.title)}(?!\w)"  # not \b, for a title may end in a bracket
        if other.name != of.name and other.year <= of.year and re.search(pattern, words):
            found.append(other)
        words = re.sub(pattern, "", words)
    return sorted(found, key=lambda e: (e.year, e.name))
