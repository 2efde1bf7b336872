"""A page in the terminal."""

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table as Grid
from rich.text import Text

from unlabel.catalogue.page import Beside, Block, Cell, Code, Drawing, Items, Links, Page, Prose, Table
from unlabel.console import tell


def show(page: Page, console: Console) -> None:
    """Print a page. Of code that others than the method hold, where it is; the whole file is left out."""
    tell(console, Text(page.title, "bold"), Text(page.address or "no paper"))
    for line in page.about:
        tell(console, Text(line))
    for section in page.sections:
        blocks = [block for block in section.blocks if not (isinstance(block, Code) and block.listing)]
        if blocks:
            console.print(Text(f"\n{section.title}", "bold"))
        for block in blocks:
            _block(block, console)


def _block(block: Block, console: Console) -> None:
    match block:
        case Prose(text):
            console.print(Text(f"    {text}"))
        case Items(lines):
            for line in lines:
                console.print(Text(f"    - {line}"))
        case Links(before, links):
            console.print(Text(f"    {before} {', '.join(link.text for link in links)}."))
        case Drawing(text):
            for line in text.split("\n"):
                console.print(Text(f"    {line}".rstrip()))
        case Beside(drawing, code):
            _block(drawing, console)
            for part in code:
                _block(part, console)
        case Code(lines, beneath=True):
            named = next(line for line in lines.text.split("\n") if line.startswith("def "))
            console.print(Text(f"    {lines.path}:{lines.first}  {named[4:].partition('(')[0]}", "dim"))
        case Code(lines):
            console.print(Text(f"\n    {lines.path}", "dim"))
            shown = Syntax("", "python", theme="ansi_dark", background_color="default").highlight(lines.text)
            for number, line_shown in enumerate(shown.split("\n", allow_blank=True)[: lines.text.count("\n") + 1]):
                console.print(Text(f"{lines.first + number:>5}  ", "dim"), line_shown, sep="")
        case Table(head, rows):
            grid = Grid(*head)
            for row in rows:
                grid.add_row(*(Text(_words(cell)) for cell in row))
            console.print(grid)


def _words(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.text
