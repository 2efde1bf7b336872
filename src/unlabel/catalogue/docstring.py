"""The docstring of a method's file, in its parts.

A title; who, where and when; in a few sentences what it is; then sections: a heading at the margin, and below it lines
that are indented. `Predecessors` says in a few sentences what came before, what was wrong with it, and what the method
changes. `Symbols` is a table: a symbol of the formulas, what it is called in the code, what there is to say, with two
spaces or more between them.
"""

import re
from dataclasses import dataclass

from unlabel.errors import Fault

PREDECESSORS = "Predecessors"
SYMBOLS = "Symbols"


@dataclass(frozen=True)
class Symbol:
    """One row of the table of symbols. symbol: "" where the formulas have none for what the code has a name for."""

    symbol: str
    code: str
    meaning: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the code that stand in `code`, each once: "projector(backbone(x))" has three."""
        return tuple(dict.fromkeys(re.findall(r"[A-Za-z_]\w*", self.code)))


@dataclass(frozen=True)
class Section:
    """One section: its heading, and its text without its indentation."""

    title: str
    text: str


@dataclass(frozen=True)
class Told:
    """What a file tells of its method.

    title: the paper's, or the system's own; source: authors, place, year, "" for a system without a paper;
    summary: what it is; sections: all in their order, symbols too.
    """

    title: str
    source: str
    summary: str
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    remarks: tuple[str, ...]
    """What stands below the table of symbols."""

    def section(self, title: str) -> str:
        """The text of a section; "" where there is none."""
        return next((section.text for section in self.sections if section.title == title), "")

    def prose(self, title: str) -> str:
        """The same as one line, for a section of sentences, whose lines mean nothing."""
        return " ".join(self.section(title).split())


def read(text: str) -> Told:
    """The parts of a docstring (as `inspect.cleandoc` makes it); Fault with the line that fits nowhere."""
    begin, *rest = re.split(r"^(?=\S.*\n(?: +\S))", text, flags=re.MULTILINE)
    title, *told = [" ".join(paragraph.split()) for paragraph in begin.strip().split("\n\n")]
    cited = bool(told) and re.search(r"\b(19|20)\d\d\b", told[0]) is not None
    sections = tuple(_section(part) for part in rest)
    symbols, remarks = _symbols(next((s.text for s in sections if s.title == SYMBOLS), ""))
    return Told(title, told[0] if cited else "", "\n\n".join(told[cited:]), sections, symbols, remarks)


def _section(part: str) -> Section:
    title, _, body = part.partition("\n")
    lines = body.rstrip().split("\n")
    for line in lines:
        if line and not line.startswith("    "):
            raise Fault(f"section {title}: `{line}` is neither indented nor the heading of a section")
    return Section(title.strip(), "\n".join(line[4:] for line in lines))


def _symbols(text: str) -> tuple[tuple[Symbol, ...], tuple[str, ...]]:
    """The rows of the table, then those of options without a symbol; and the paragraphs that are no rows."""
    table, *more = text.split("\n\n") if text else [""]
    rows = []
    for line in _joined(table):
        symbol, *cells = re.split(r" {2,}", line, maxsplit=2)
        if not cells:
            raise Fault(f"section {SYMBOLS}: `{line}` has no two spaces between a symbol and its name in the code")
        rows.append(Symbol(symbol, *cells, *[""] * (2 - len(cells))))
    remarks = []
    for paragraph in more:
        lines = _joined(paragraph)
        if all(re.match(r"\w+ {2,}\S", line) for line in lines):
            rows += [Symbol("", *re.split(r" {2,}", line, maxsplit=1)) for line in lines]
        else:
            remarks.append(" ".join(lines))
    return tuple(rows), tuple(remarks)


def _joined(paragraph: str) -> list[str]:
    """Its lines, each with the indented ones that follow it."""
    lines: list[str] = []
    for line in paragraph.split("\n"):
        if line.startswith(" ") and lines:
            lines[-1] += f" {line.strip()}"
        elif line:
            lines.append(line)
    return lines
