"""Everything there is to say of a method, gathered from its file and its recipes; nothing is written twice."""

import inspect
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from unlabel import methods
from unlabel.engine.options import hyperparameters
from unlabel.recipes import recipes


@dataclass(frozen=True)
class Entry:
    """One method.

    paper: its arXiv identifier, "" where there is none; text: the module's docstring (paper or source, algorithm, data
    flow, symbols, departures); hyper, plan: defaults by name;
    recipes: by name, what each is for and its values.
    """

    name: str
    title: str
    family: str
    paper: str
    year: int
    text: str
    hyper: dict[str, Any]
    plan: dict[str, Any]
    recipes: dict[str, tuple[str, dict[str, Any]]]

    @property
    def address(self) -> str:
        """Of the paper; "" where there is none."""
        return f"https://arxiv.org/abs/{self.paper}" if self.paper else ""


def entry(name: str) -> Entry:
    """The entry of one method; Fault with the nearest name if there is none."""
    method = methods.get(name)
    module = inspect.getmodule(method)
    return Entry(
        name=name, title=method.title, family=method.family, paper=method.paper, year=method.year,
        text=inspect.cleandoc(module.__doc__ or "") if module else "",
        hyper={option: hyper.default for option, hyper in hyperparameters(method).items()},
        plan=asdict(method.plan),
        recipes={recipe: (inspect.getdoc(make) or "", make()) for recipe, make in recipes(name).items()},
    )  # fmt: skip


def entries() -> Iterator[Entry]:
    """All methods, by family and year."""
    every = (entry(name) for name in methods.available())
    yield from sorted(every, key=lambda e: (e.family, e.year, e.name))
