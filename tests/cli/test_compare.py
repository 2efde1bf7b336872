"""Runs side by side on a terminal: the table, the page, JSON, and mistakes."""

import json
import sys
from pathlib import Path

import pytest

from tests.reporting.several import many, small_run
from unlabel.cli import OUT, main


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return many(tmp_path_factory.mktemp("many"))


def call(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["unlabel", "compare", *map(str, words)])
    monkeypatch.setattr(OUT, "_width", 160)
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_it_shows_a_table_and_writes_a_page(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, runs) == 0
    said = capsys.readouterr().out
    (row,) = [line for line in said.splitlines() if "temperature 0.2" in line and "62.0 ± 2.0" in line]
    assert "learning" in row and "67.0 ± 2.0" in row
    table = "".join(line for line in said.splitlines() if line.startswith("│"))  # notes name rows too
    assert table.index("raw pixels") < table.index("byol")
    protocols = [line for line in said.splitlines() if line.startswith("frozen features: protocol 1: ")]
    assert any("weights the student's (byol and moco_v2) or else the network's" in line for line in protocols)
    assert "image translation: protocol ?: images x 100" in said.splitlines()
    for words in ("not evaluated", "not finished: 30 of 60", "2 tables", "Image translation", "untouched inputs"):
        assert words in said
    assert "page: compare.html" in said and (tmp_path / "compare.html").stat().st_size > 1_000_000


def test_json_is_json_alone_and_the_page_is_where_it_is_asked_for(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, runs, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["runs"] == 17 and told["page"] is None and not list(tmp_path.iterdir())
    assert call(monkeypatch, runs / "byol", "-o", "byol.html", "--json") == 0
    assert json.loads(capsys.readouterr().out)["page"] == "byol.html" and (tmp_path / "byol.html").exists()


def test_mistakes_are_one_sentence_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = small_run(tmp_path / "run")
    damaged = small_run(tmp_path / "damaged")
    (damaged / "evaluation.json").write_text("{")
    for words in ((place, place), (damaged,), (tmp_path / "run" / "run.json",), (place, "-o", tmp_path / "no" / "dir")):
        page = tmp_path / "no"
        page.touch()
        assert call(monkeypatch, *words) == 2, words
        said = capsys.readouterr()
        assert said.out == "" and len(said.err.strip().splitlines()) == 1 and "Traceback" not in said.err, said


def test_names_do_not_talk_to_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small_run(tmp_path / "run", method="[red]x[/nothing]\x1b[31m")
    assert call(monkeypatch, tmp_path, "--json") == 0
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert call(monkeypatch, tmp_path / "run") == 0
    assert "\x1b[31m" not in capsys.readouterr().out
