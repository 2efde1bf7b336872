"""How lines for people are printed: as they are, whatever rich would take for markup or a terminal would obey."""

from rich.console import Console


def tell(console: Console, *line: object) -> None:
    """Print a line, or what rich can draw, wrapped by the terminal alone."""
    shown = [printable(part) if isinstance(part, str) else part for part in line]
    console.print(*shown, markup=False, emoji=False, highlight=False, soft_wrap=True)


def printable(text: str) -> str:
    """The text with what a terminal would not print, but obey, written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
