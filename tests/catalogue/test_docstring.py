"""Docstrings of methods, in their parts; and that what they say of the code is so."""

import re

import pytest

from unlabel import catalogue, methods
from unlabel.catalogue.docstring import PREDECESSORS, Section, Symbol, read
from unlabel.catalogue.source import line_of
from unlabel.errors import Fault

TEXT = """Learning by Example (LBE).

Ada, Bob,
Eve. 2020, arXiv 2001.00001.

Two views of an image
must agree.

It needs no teacher.

Predecessors
    Learning by Rote needs one.
    This does not.

Algorithm
    z  = g(f(x))      # [B, d]

    L  = mean z

Flow
    image ─ f ─ g ─ z

Symbols
    f, g   backbone, projector(x)   kept, and
                                    thrown away
    tau    temperature

    width  of g, in
           neurons
    norm   of z

    With norm=false it is
    another method.

Departures
    None.
"""


def test_the_parts_of_a_docstring() -> None:
    told = read(TEXT)
    assert told.title == "Learning by Example (LBE)."
    assert told.source == "Ada, Bob, Eve. 2020, arXiv 2001.00001."
    assert told.summary == "Two views of an image must agree.\n\nIt needs no teacher."
    assert [section.title for section in told.sections] == [PREDECESSORS, "Algorithm", "Flow", "Symbols", "Departures"]
    assert told.section(PREDECESSORS) == "Learning by Rote needs one.\nThis does not."
    assert told.sections[1] == Section("Algorithm", "z  = g(f(x))      # [B, d]\n\nL  = mean z")
    assert told.section("Flow") == "image ─ f ─ g ─ z" and told.section("Source") == ""
    assert told.symbols == (
        Symbol("f, g", "backbone, projector(x)", "kept, and thrown away"),
        Symbol("tau", "temperature", ""),
        Symbol("", "width", "of g, in neurons"),
        Symbol("", "norm", "of z"),
    )
    assert told.symbols[0].names == ("backbone", "projector", "x")
    assert told.remarks == ("With norm=false it is another method.",)


def test_a_system_without_a_paper_has_no_source_line() -> None:
    told = read("A system.\n\nIt works.\n\nSource\n    Slides.\n")
    assert (told.source, told.summary, told.section("Source")) == ("", "It works.", "Slides.")


def test_a_line_that_fits_nowhere_is_named() -> None:
    with pytest.raises(Fault, match="section Flow: `lost words` is neither indented"):
        read("T.\n\nS.\n\nFlow\n    image\n\nlost words\n\nSymbols\n    f  backbone\n")
    with pytest.raises(Fault, match="`tau temperature` has no two spaces"):
        read("T.\n\nS.\n\nSymbols\n    f  backbone\n    tau temperature\n")


@pytest.mark.parametrize("name", methods.available())
def test_every_method_tells_all_and_its_symbols_are_names_of_its_code(name: str) -> None:
    entry = catalogue.entry(name)
    told = entry.told
    assert told.title and told.summary
    assert bool(told.source) == bool(entry.paper) and entry.paper in told.source
    assert told.section("Algorithm") and told.section("Departures")
    assert "─" in told.section("Flow"), "the picture of the data flow"
    assert any(row.symbol for row in told.symbols)
    for row in told.symbols:
        assert row.names, f"{row.symbol}: what is it called in the code?"
        missing = [called for called in row.names if line_of(entry.kind, called) is None]
        assert not missing, f"{row.symbol or row.code}: the file of {name} has nothing called {', '.join(missing)}"


@pytest.mark.parametrize("name", methods.available())
def test_every_method_tells_what_it_changed_in_its_predecessors(name: str) -> None:
    told = catalogue.entry(name).told
    assert told.sections[0].title == PREDECESSORS, "it follows the summary"
    said = sentences(told.section(PREDECESSORS))
    words = sum(len(sentence.split()) for sentence in said)
    assert 1 <= len(said) <= 3, "one to three sentences"
    assert 25 <= words <= 90, f"{words} words: what came before, what was wrong with it, what changed"
    assert said[-1].endswith("."), "whole sentences"
    assert not set(said) & set(sentences(told.summary)), "said twice"


def sentences(text: str) -> list[str]:
    """Of a text, each on one line."""
    return re.split(r"(?<=\.) (?=[A-Z])", " ".join(text.split()))
