"""The command line: exit statuses, sentences instead of tracebacks, help that answers."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from unlabel.api import Result
from unlabel.cli import main
from unlabel.cli.arguments import parse
from unlabel.diagnostics import Verdict
from unlabel.engine.trial import Trial


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
        ("scan", "/does/not/exist", "--budget", "soon"),
        ("scan", "/does/not/exist", "--distance", "2"),
        ("scan", ".", "--html", "/dev/null/scan.html"),
        ("export", "/does/not/exist", "--to", "timm"),
        ("compare",),
        ("compare", "/does/not/exist"),
        ("pretrain", "simclr", "--data", "shapes", "--log", "wndb"),
        ("atlas", "/does/not/exist"),
        ("atlas", "/does/not/exist", "--port", "0"),
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
        "compare",
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
    done = run("scan", str(shared_data("hostile")), "--budget", "none")
    assert done.returncode == 0
    assert "cannot be read" in done.stdout and "truncated_50" in done.stdout and "cut short" in done.stdout


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two splits with a leak, many copies, and a name that talks to the terminal."""
    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
    for k in range(30):
        name = "evil\x1b[31m\n[bold]red" if k == 0 else f"{k:02d}"
        Image.fromarray(draw.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "train" / f"{name}.png")
    for k in range(1, 26):
        (tmp_path / f"train/copy{k}.png").write_bytes((tmp_path / f"train/{k:02d}.png").read_bytes())
    (tmp_path / "test/leak.png").write_bytes((tmp_path / "train/29.png").read_bytes())
    Image.new("L", (12, 12)).save(tmp_path / "train" / "evil\x1b[31m\n[bold]flat.png")
    return tmp_path


def test_scan_says_the_worst_first_and_names_are_only_names(run: Run, photos: Path) -> None:
    said = run("scan", str(photos), "--budget", "none").stdout
    first, second, *_ = said.splitlines()
    assert "57 pictures can be read, 0 cannot" in first
    assert second.startswith("! 1 of 1 picture outside the training split")
    assert "evil\\x1b[31m\\n[bold]flat.png" in said and "\x1b" not in said
    assert "the same file more than once: 25" in said and "and 5 more (--all lists them)" in said
    assert "to train with" not in said
    every = run("scan", str(photos), "--budget", "none", "--all").stdout
    assert "copy25.png" in every and "--all lists them" not in every


def test_scan_as_json_and_as_a_page(run: Run, photos: Path, tmp_path: Path) -> None:
    page = tmp_path / "scan.html"
    done = run("scan", str(photos), "--budget", "none", "--json", "--html", str(page))
    found = json.loads(done.stdout)
    assert found["readable"] == 57 and found["advice"] is None and found["leaks"][0]["kind"] == "exact"
    assert page.read_text().lstrip().startswith("<!DOCTYPE html>")


def test_scan_proposes_a_run(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlabel.api.advising.trial", lambda job, sources, say: Trial(1e-3, 1e4, 10**6))
    said = run("scan", str(photos), "--budget", "5m").stdout
    assert (
        said.splitlines()[-1].startswith(f"unlabel pretrain byol --data {photos} --size 32")
        and "timed here: tiny_resnet at 32 px" in said
    )


def test_scan_is_stopped_by_ctrl_c(tmp_path: Path) -> None:
    for k in range(3000):
        (tmp_path / f"{k}.png").write_bytes(b"x")
    words = ("import signal, sys; from unlabel import cli; import unlabel.api; import unlabel.data.scan as s;"
             "signal.signal(signal.SIGINT, signal.default_int_handler);"  # a job in the background ignores it
             "inner = s.facts_of; s.facts_of = lambda f: (signal.raise_signal(2) if f.endswith('1500.png') else None, inner(f))[1];"
             f"sys.argv = ['unlabel', 'scan', {str(tmp_path)!r}]; cli.main()")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 130 and "stopped" in done.stderr and "Traceback" not in done.stderr


def test_words_become_options() -> None:
    assert parse(["simclr", "--data", "d", "--batch-size=8", "temperature=0.2"]) == (
        ["simclr"], {"data": "d", "batch_size": "8", "temperature": "0.2"}, [],
    )  # fmt: skip
    assert "has no value" in parse(["--epochs", "--data", "d"])[2][0]
    assert "given twice" in parse(["lr=1", "--lr", "2"])[2][0]


def test_a_flag_may_stand_alone() -> None:
    flags = {"stop_when_done"}
    assert parse(["simclr", "--stop-when-done", "--data", "d"], flags)[1] == {"stop_when_done": "true", "data": "d"}
    assert parse(["--stop-when-done", "no", "--data", "d"], flags)[1] == {"stop_when_done": "no", "data": "d"}
    assert parse(["--stop-when-done", "simclr"], flags)[:2] == (["simclr"], {"stop_when_done": "true"})


@pytest.mark.parametrize(
    "words",
    [("pretrain", "simclr", "--data", "shapes"), ("evaluate", "run"), ("finetune", "run"), ("distil", "run")],
    ids=" ".join,
)
def test_a_verdict_says_what_to_do(words: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = Verdict("collapsed", "Every image has the same embedding [std 0.001].", "Lower the learning rate.")
    done = Result(Path("run"), Path("run/report.html"), judged, None)
    monkeypatch.setattr(f"unlabel.api.{words[0]}", lambda *given, **options: done)
    assert run(*words).stdout.splitlines() == [
        "complete collapse: every image has the same embedding [std 0.001]. Lower the learning rate.",
        "report: run/report.html",
    ]
    monkeypatch.setattr(f"unlabel.api.{words[0]}", lambda *given, **options: Result(Path("run"), None, None, None))
    assert run(*words).stdout.splitlines() == ["run folder: run"]


@pytest.mark.parametrize("words", [["--data", "my photos"], ["--data=my photos"], ["data=my photos"]])
def test_a_bench_takes_values_with_spaces(run: Run, words: list[str]) -> None:
    done = run("bench", "simclr lr=0.1", *words, "byol")
    assert done.returncode == 2 and "my photos" in done.stderr and "there is no folder" in done.stderr
