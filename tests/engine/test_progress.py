"""What a person sees while training, at the width that terminals have."""

import io
import re

import pytest
from rich.console import Console

from unlabel.engine import progress
from unlabel.engine.progress import ProgressDisplay, stages


def shown(terminal: bool, width: int = 80) -> str:
    stream = io.StringIO()
    display = ProgressDisplay(Console(file=stream, force_terminal=terminal, width=width), total=40, done=10)
    display.show(20, loss="5.123", **{"img/s": "321"})
    display.show(39, kNN="41.5%", rank="70", verdict="learning")
    display.show(40)
    display.close()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_shows_bar_and_facts_at_any_width(width: int) -> None:
    last = shown(True, width).splitlines()[-2:]
    assert "40/40" in last[0] and "━" in last[0] and "left" in last[0]
    for fact in ("loss 5.123", "img/s 321", "kNN 41.5%", "rank 70", "verdict learning"):
        assert fact in last[1]


def test_a_log_gets_a_line_now_and_then_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(False).splitlines() == [
        "update 40/40 · loss 5.123 · img/s 321 · kNN 41.5% · rank 70 · verdict learning"
    ]
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    assert [line.partition(" ·")[0] for line in shown(False).splitlines()] == [
        "update 20/40", "update 39/40", "update 40/40"
    ]  # fmt: skip


def test_stages_after_training_are_shown_and_leave_nothing_behind() -> None:
    for terminal in (True, False):
        stream = io.StringIO()
        with stages(Console(file=stream, force_terminal=terminal, width=80), "evaluating") as progress:
            progress("queries", 0.4)
            if terminal:
                progress("memory", 0.9)
        text = stream.getvalue()
        assert "evaluating" in text
        assert ("memory" in text) == terminal and ("\x1b[2K" in text) == terminal
