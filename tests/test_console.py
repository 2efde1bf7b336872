"""Lines for people: what names of files hold is neither markup nor another line nor a word to the terminal."""

import io

from rich.console import Console
from rich.text import Text

from unlabel.console import tell


def told(*line: object) -> str:
    console = Console(file=io.StringIO(), width=20)
    tell(console, *line)
    return console.file.getvalue()


def test_what_looks_like_markup_is_printed() -> None:
    assert told("runs/[set b]-1 [/y] :smile:") == "runs/[set b]-1 [/y] :smile:\n"  # longer than a line, and in one


def test_what_a_terminal_obeys_is_escaped() -> None:
    assert told("a\nb\x1b[2J") == "a\\nb\\x1b[2J\n"


def test_what_rich_draws_is_drawn() -> None:
    assert told(Text("verdict", "bold"), "learning") == "verdict learning\n"
