"""The command line: exit statuses, sentences instead of tracebacks, help that answers."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from unlabel.cli import main
from unlabel.cli.arguments import parse


class Done(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `unlabel WORDS` in this process, which has imported everything already."""

    def call(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["unlabel", *words])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        return Done(status, *capsys.readouterr())

    return call


def test_wrong_options_end_with_status_2_and_every_fault() -> None:
    words = ["pretrain", "simclr", "--data", "/does/not/exist", "--epohs", "3", "temprature=0.2"]
    done = subprocess.run([sys.executable, "-m", "unlabel", *words], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "did you mean `epochs`" in done.stderr and "did you mean `temperature`" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("pretrain", "simclr", "--data", "/does/not/exist"),
        ("pretrain", "simclar", "--data", "shapes"),
        ("pretrain", "simclr"),
        ("pretrain", "--resume", "/does/not/exist"),
        ("evaluate", "/does/not/exist"),
        ("finetune",),
        ("finetune", "/does/not/exist", "--labels", "0.1"),
        ("finetune", "one", "two"),
        ("distil", "--resume", "/does/not/exist"),
        ("pretrain", "distil", "--data", "shapes"),
        ("explain", "bylo"),
        ("scan", "/does/not/exist"),
        ("export", "/does/not/exist", "--to", "timm"),
        ("frobnicate",),
    ],
    ids=" ".join,
)
def test_mistakes_end_with_status_2_and_a_sentence(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.strip() and "Traceback" not in done.stderr


def test_help_shows_an_example_for_every_command(run: Run) -> None:
    listed = run("--help").stdout
    for command in (
        "pretrain",
        "evaluate",
        "embed",
        "neighbors",
        "report",
        "export",
        "translate",
        "zeroshot",
        "retrieve",
        "finetune",
        "distil",
        "methods",
        "explain",
        "scan",
        "pack",
        "saliency",
    ):
        assert command in listed
    for command in ("pretrain", "scan", "finetune", "distil"):
        assert f"unlabel {command}" in run(command, "--help").stdout


def test_methods_and_explain(run: Run) -> None:
    listed = run("methods").stdout
    assert "simclr" in listed and "2002.05709" in listed
    told = run("explain", "dino").stdout
    for word in (
        "Equations and code",
        "Symbols",
        "def loss(",
        "Departures",
        "teacher_temperature",
        "2104.14294",
        "small",
    ):
        assert word in told


def test_a_system_without_a_paper_says_so(run: Run) -> None:
    (row,) = [line for line in run("methods").stdout.splitlines() if "byol_two_losses" in line]
    assert "none" in row
    told = run("explain", "byol_two_losses").stdout
    assert "no paper" in told and "Source" in told and "arxiv.org" not in told


def test_explain_writes_one_file(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "byol.html"
    done = run("explain", "byol", "-o", str(page))
    assert done.returncode == 0 and str(page) in done.stdout and "Algorithm" not in done.stdout
    assert "cosine_regression" in page.read_text(encoding="utf-8")
    failed = run("explain", "byol", "--html", str(tmp_path / "nowhere" / "byol.html"))
    assert failed.returncode == 2 and "cannot be written" in failed.stderr and "Traceback" not in failed.stderr


def test_scan_counts(run: Run, shared_data) -> None:
    done = run("scan", str(shared_data("hostile")))
    assert done.returncode == 0
    assert "cannot be read" in done.stdout and "truncated_50" in done.stdout


def test_words_become_options() -> None:
    assert parse(["simclr", "--data", "d", "--batch-size=8", "temperature=0.2"]) == (
        ["simclr"], {"data": "d", "batch_size": "8", "temperature": "0.2"}, [],
    )  # fmt: skip
    assert "has no value" in parse(["--epochs", "--data", "d"])[2][0]
    assert "given twice" in parse(["lr=1", "--lr", "2"])[2][0]
