"""What is said of a method, as a page: sections of blocks, which terminal, HTML and Markdown each show in their way."""

import re
from dataclasses import dataclass
from pathlib import Path

from unlabel.catalogue import Entry, predecessors, source
from unlabel.catalogue.docstring import PREDECESSORS, SYMBOLS
from unlabel.catalogue.evidence import RECORDS, Measured, measured
from unlabel.catalogue.source import Excerpt
from unlabel.engine.run import PLAN

_PLACED = (PREDECESSORS, "Algorithm", "Flow", SYMBOLS, "Departures")
"""Sections of a docstring that have their own place on the page; others follow the symbols."""


METHOD = "method:"


@dataclass(frozen=True)
class Link:
    """Words that lead somewhere: an address; "#line-12", a line of the page's own listing; "method:NAME", a page."""

    text: str
    address: str


Cell = str | Link


@dataclass(frozen=True)
class Prose:
    """A paragraph; what stands between backticks is code."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Links:
    """A line of links, with the words that come before them."""

    words: str
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Drawing:
    """Text whose spaces and lines mean something: equations, and the picture of the data flow."""

    text: str


@dataclass(frozen=True)
class Code:
    """Lines of a file. listing: it is the file that the page shows whole, whose line numbers can be linked to;
    beneath: it is what the method's own lines call.
    """

    lines: Excerpt
    listing: bool = False
    beneath: bool = False


@dataclass(frozen=True)
class Beside:
    """Equations, and the code that computes them."""

    drawing: Drawing
    code: tuple[Code, ...]


@dataclass(frozen=True)
class Table:
    """head and rows; code: the columns, by number, whose cells are names and values of the code."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    code: tuple[int, ...] = ()


Block = Prose | Items | Links | Drawing | Code | Beside | Table


@dataclass(frozen=True)
class Section:
    """A heading and what is below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """name: the method's; title: in a word; about: its paper's title, authors, family, year; address: of the paper."""

    name: str
    title: str
    about: tuple[str, ...]
    address: str
    sections: tuple[Section, ...]


def page(entry: Entry, records: Path = RECORDS) -> Page:
    """Everything there is to say of a method. records: the folder with the records of evidence."""
    told = entry.told
    about = (told.title, told.source, f"{entry.family}, {entry.year}{'' if entry.paper else ', no paper'}")
    sections = [
        Section("In short", tuple(Prose(paragraph) for paragraph in told.summary.split("\n\n"))),
        *_changes(entry),
        _equations(entry),
        Section("Data flow", (Drawing(told.section("Flow")),)),
        _symbols(entry),
        *(Section(s.title, (Prose(" ".join(s.text.split())),)) for s in told.sections if s.title not in _PLACED),
        Section("Departures", (Items(_sentences(told.section("Departures"))),)),
        *_settings(entry),
        _evidence(measured(entry.name, records), records),
        Section("The whole file", (Code(source.file_of(entry.kind), listing=True),)),
    ]
    return Page(entry.name, entry.title, tuple(filter(None, about)), entry.address, tuple(sections))


def _changes(entry: Entry) -> list[Section]:
    """What was there before and what became of it; nothing where the file does not say."""
    said = entry.told.prose(PREDECESSORS)
    if not said:
        return []
    blocks: list[Block] = [Prose(said)]
    if before := predecessors(entry):
        blocks.append(Links("It goes on from", tuple(Link(e.title, f"{METHOD}{e.name}") for e in before)))
    return [Section("What it changed in its predecessors", tuple(blocks))]


def _equations(entry: Entry) -> Section:
    own = tuple(Code(lines) for lines in source.of_method(entry.kind))
    called = tuple(Code(lines, beneath=True) for lines in source.of_losses(entry.kind))
    return Section("Equations and code", (Beside(Drawing(entry.told.section("Algorithm")), (*own, *called)),))


def _symbols(entry: Entry) -> Section:
    rows = []
    for row in entry.told.symbols:
        line = source.line_of(entry.kind, row.names[0]) if row.names else None
        rows.append((row.symbol, Link(row.code, f"#line-{line}") if line else row.code, row.meaning))
    table = Table(("symbol", "in the code", "meaning"), tuple(rows), code=(0, 1))
    return Section(SYMBOLS, (table, *map(Prose, entry.told.remarks)))


def _sentences(text: str) -> tuple[str, ...]:
    """Lines, each with those that go on with its sentence."""
    return tuple(" ".join(part.split()) for part in re.split(r"(?<=\.)\n", text))


def _settings(entry: Entry) -> list[Section]:
    hyper = tuple((s.name, _value(s.default), s.allowed, s.symbol) for s in entry.hyper)
    plan = tuple((name, _value(value), PLAN.get(name, "")) for name, value in entry.plan.items())
    recipes = tuple(
        (name, " ".join(text.split()), " ".join(f"{k}={_value(v)}" for k, v in values.items()))
        for name, (text, values) in entry.recipes.items()
    )
    return [
        Section("Hyperparameters", (Table(("option", "default", "may be", "symbol"), hyper, code=(0, 1, 3)),)),
        Section(
            "Optimisation (the paper's)" if entry.paper else "Optimisation",
            (Table(("option", "default", "what it is"), plan, code=(0, 1)),),
        ),
        Section("Recipes", (Table(("recipe", "what for, what it costs", "values"), recipes, code=(0, 2)),)),
    ]


def _value(value: object) -> str:
    """As it is written on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(_value, value))
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _evidence(found: tuple[Measured, ...], records: Path) -> Section:
    if not found:
        why = (
            "No study of it has been recorded yet."
            if records.is_dir()
            else "The records of evidence are part of the project's tree, not of the installed package."
        )
        return Section("Evidence", (Prose(why),))
    blocks: list[Block] = []
    for study in found:
        blocks += [Prose(f"Study `{study.study}`."), Table(study.head, study.rows), Prose(study.note)]
        blocks += [Items(study.protocols)] if study.protocols else []
    return Section("Evidence", tuple(blocks))
