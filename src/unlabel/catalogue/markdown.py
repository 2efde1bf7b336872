"""A page as Markdown (MyST) for the documentation: words and tables as such, equations and code as HTML."""

import re

from unlabel.catalogue import html
from unlabel.catalogue.page import METHOD, Block, Cell, Items, Links, Page, Prose, Table


def document(page: Page) -> str:
    """The text of a file NAME.md that stands beside those of the other methods."""
    listing = html.listing(page)
    about = [escaped(line) for line in page.about]
    link = f"[{page.address}]({page.address})" if page.address else ""
    head = [f"# {escaped(page.title)}", "  \n".join(filter(None, [*about, link])), f"`unlabel explain {page.name}`"]
    for section in page.sections:
        head.append(f"## {escaped(section.title)}")
        head += [_block(block, listing) for block in section.blocks]
    return "\n\n".join(head) + "\n"


def escaped(text: str) -> str:
    """Words in which nothing is a mark of Markdown but the backticks around code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part.startswith("`") else _MARKS.sub(r"\\\1", part) for part in parts)


def table(head: tuple[str, ...], rows: tuple[tuple[Cell, ...], ...], code: tuple[int, ...] = ()) -> str:
    """A table. code: the columns, by number, whose cells are code."""
    lines = [[escaped(title) or " " for title in head], ["---"] * len(head)]
    lines += [[_cell(cell, column in code) for column, cell in enumerate(row)] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_MARKS = re.compile(r"([\\`*_{}\[\]<>()#+!|~^$&%=:-]|(?<=\d)\.)")


def _block(block: Block, listing: str) -> str:
    match block:
        case Prose(text):
            return escaped(text)
        case Items(lines):
            return "\n".join(f"- {escaped(line)}" for line in lines)
        case Links(words, links):
            named = (f"[{escaped(link.text)}]({link.address.removeprefix(METHOD)}.md)" for link in links)
            return f"{escaped(words)} {', '.join(named)}."
        case Table(head, rows):
            return table(head, rows, block.code)
    return f"~~~~~~{{raw}} html\n{html.block(block, listing)}\n~~~~~~"


def _cell(cell: Cell, code: bool) -> str:
    text = cell if isinstance(cell, str) else cell.text
    shown = f"`{text}`".replace("|", r"\|") if code and text else escaped(text)
    return shown if isinstance(cell, str) else f'<a href="{cell.address}">{shown}</a>'
