"""What a person sees while training: a bar on a terminal, a line now and then in a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from unlabel.console import tell

QUIET_SECONDS = 15.0


class ProgressDisplay:
    """Shows update, loss, images a second, live kNN, effective rank and the verdict.

    On a terminal it is a bar with a line of facts below, for both do not fit beside each other; elsewhere a line
    every 15 seconds.
    """

    def __init__(self, console: Console, total: int, done: int = 0) -> None:
        self.console = console
        self.total = total
        self.facts: dict[str, str] = {}
        self.last_line = time.monotonic()
        self.live: Live | None = None
        if console.is_terminal:
            self.bar = Progress(
                TextColumn("[bold]training"), BarColumn(bar_width=None), MofNCompleteColumn(),
                TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console, expand=True,
            )  # fmt: skip
            self.task = self.bar.add_task("training", total=total, completed=done)
            self.live = Live(Group(self.bar, Text()), console=console, refresh_per_second=4)
            self.live.start()

    def show(self, update: int, **facts: Any) -> None:
        """Take new facts (already worded) and show where training is."""
        self.facts |= {name: str(value) for name, value in facts.items()}
        words = " · ".join(f"{name} {value}" for name, value in self.facts.items())
        if self.live is not None:
            self.bar.update(self.task, completed=update)
            self.live.update(Group(self.bar, Text(words, style="dim", no_wrap=True, overflow="ellipsis")))
        elif time.monotonic() - self.last_line >= QUIET_SECONDS or update == self.total:
            self.last_line = time.monotonic()
            tell(self.console, f"update {update}/{self.total} · {words}")

    def shorten(self, total: int, words: str) -> None:
        """Training now ends after `total` updates; say why, in a line that stays."""
        self.total = total
        if self.live is not None:
            self.bar.update(self.task, total=total)
        self.say(words)

    def say(self, words: str) -> None:
        """A line that stays, above the bar where there is one."""
        tell(self.console, words)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.live is not None:
            self.live.stop()


@contextmanager
def stages(console: Console, what: str) -> Iterator[Callable[[str, float], None]]:
    """Shows the stages of `what`, such as "evaluating": inside, call what this gives with a stage and its share done.

    On a terminal it is a bar that goes away at the end; elsewhere one line at the start, and one for each stage that
    says how long it will take.
    """
    if not console.is_terminal:
        tell(console, f"{what} ...")
        said: set[str] = set()

        def say(stage: str, share: float) -> None:
            if ", about " in stage and stage not in said:
                said.add(stage)
                tell(console, f"{what}: {stage}")

        yield say
        return
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda stage, share: bar.update(task, description=f"{what}: {stage}", completed=share)
