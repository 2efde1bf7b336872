"""Docstrings as reStructuredText, for the reference: what was written for reading as it stands.

A paragraph is a paragraph; indented lines, and lines of a name, two spaces and what it is, keep their lines. (Two
spaces after a full stop come before a citation.)
"""

import re
from typing import Any

_MARKS = re.compile(r"([\\*|_])")


def process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Sphinx's hook: changes `lines` in place."""
    lines[:] = as_rst("\n".join(lines)).split("\n")


def as_rst(text: str) -> str:
    """The text of a docstring (without its indentation) in reStructuredText."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        kept = any(re.match(r" +\S", line) or re.search(r"[^\s.] {2,}\S", line) for line in paragraph.split("\n"))
        parts.append(_literal(paragraph) if kept else _prose(paragraph))
    return "\n\n".join(parts) + "\n"


def _literal(paragraph: str) -> str:
    return "::\n\n" + "\n".join(f"    {line}" for line in paragraph.split("\n"))


def _prose(paragraph: str) -> str:
    """Words in which nothing is a mark, but that what stands between backticks is code."""
    parts = re.split(r"`([^`]+)`", " ".join(paragraph.split()))
    return "".join(f"``{part}``" if i % 2 else _MARKS.sub(r"\\\1", part) for i, part in enumerate(parts))
