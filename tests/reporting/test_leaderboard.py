"""A leaderboard of run folders: which seeds are averaged, and what it says of those that are not."""

import json
from pathlib import Path

import pytest

from tests.reporting.several import small_run, translator
from unlabel.errors import Fault
from unlabel.reporting.leaderboard import write_leaderboard


def board(out: Path, runs: dict[str, list[Path]]) -> dict:
    write_leaderboard(out, runs)
    found = json.loads((out / "leaderboard.json").read_text())
    return {row["name"]: row for row in found["rows"]} | {
        "note": found["note"],
        "order": [r["name"] for r in found["rows"]],
    }


def test_a_seed_that_was_asked_about_other_images_is_not_averaged(tmp_path: Path) -> None:
    seeds = [small_run(tmp_path / f"simclr-{seed}", seed=seed, knn=60.0 + seed) for seed in (0, 1)]
    other = small_run(tmp_path / "simclr-2", seed=2, knn=20.0, protocol={"data": "elsewhere"})
    row = board(tmp_path, {"simclr": [other, *seeds]})["simclr"]
    assert row["numbers"]["knn"] == [60.0, 61.0]
    assert any("simclr-2 was measured on other images" in remark for remark in row["remarks"])


def test_what_lacks_numbers_says_why_and_comes_last(tmp_path: Path) -> None:
    unevaluated = small_run(tmp_path / "simclr-0", evaluated=False)
    row = board(tmp_path, {"simclr": [unevaluated]})["simclr"]
    assert row["remarks"] == [f"simclr-0 was not evaluated: `unlabel evaluate {unevaluated}` does it"]
    broken = tmp_path / "broken-0"
    (tmp_path / "broken-0.log").write_text("no memory\n")
    found = board(tmp_path, {"broken": [broken], "cut": [translator(tmp_path / "cut-0")]})
    assert found["order"][-2:] == ["cut", "broken"] and found["broken"]["remarks"] == [
        "broken-0 did not finish: no memory"
    ]


def test_a_run_that_may_end_early_trained_for_at_most_its_budget(tmp_path: Path) -> None:
    run = small_run(tmp_path / "simclr-0", run={"budget": "5m", "stop_when_done": True})
    assert "Every run trained for at most 5m on" in board(tmp_path, {"simclr": [run]})["note"]


def test_names_that_are_no_text_and_remarks_that_are_none(tmp_path: Path) -> None:
    run = small_run(
        tmp_path / "simclr-0", run={"data": "/data/\udcff"}
    )  # a folder's name as Python reads it from a disk
    write_leaderboard(tmp_path, {"simclr": [run]})
    assert "?" in (tmp_path / "leaderboard.md").read_text()
    for remarks in ('{"simclr": ["slow"]}', "{", "[]"):
        (tmp_path / "remarks.json").write_text(remarks)
        with pytest.raises(Fault, match=r"remarks\.json is not readable"):
            write_leaderboard(tmp_path, {"simclr": [run]})
