"""Several methods side by side: what is run, what is kept, what is refused."""

import json
from pathlib import Path

import pytest

import unlabel
from unlabel.api import benching
from unlabel.errors import Fault, Faults
from unlabel.reporting.leaderboard import Row

OPTIONS = {"data": "shapes:96", "size": 16, "epochs": 1, "batch_size": 32, "monitors": 0}


def in_this_process(method: str, chosen: dict, place: Path, console: object) -> None:
    """A run as `bench` starts it, without the seconds that another process takes to import everything."""
    unlabel.pretrain(method, **chosen, out=place)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benching, "_train", in_this_process)
        unlabel.bench(["simclr", "simclr  objective=dcl"], seeds=[0, 1], out=out, **OPTIONS)
    return out


def test_every_entry_has_a_run_for_each_seed_and_a_row(done: Path) -> None:
    names = {"simclr-0", "simclr-1", "simclr-objective-dcl-0", "simclr-objective-dcl-1"}
    assert {path.parent.name for path in done.glob("*/run.json")} == names
    board = json.loads((done / "leaderboard.json").read_text())
    entries = [row for row in board["rows"] if not row["control"]]
    assert {row["name"] for row in entries} == {"simclr", "simclr objective=dcl"}
    for row in entries:
        assert len(row["numbers"]["knn"]) == len(row["numbers"]["peak_memory_mb"]) == 2
    stored = json.loads((done / "simclr-objective-dcl-1" / "run.json").read_text())
    assert stored["hyper"]["objective"] == "dcl" and stored["run"]["seed"] == 1


def test_controls_come_first_and_entries_by_knn(done: Path) -> None:
    rows = json.loads((done / "leaderboard.json").read_text())["rows"]
    assert [row["control"] for row in rows] == [True, True, False, False]
    means = [sum(row["numbers"]["knn"]) / 2 for row in rows[2:]]
    assert means == sorted(means, reverse=True)
    lines = (done / "leaderboard.md").read_text().splitlines()
    assert lines[2].startswith("| *raw pixels*") and "±" in lines[4]
    assert "leaderboard" in (done / "leaderboard.html").read_text()


def test_finished_runs_are_kept_and_remarks_shown(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (done / "remarks.json").write_text(json.dumps({"simclr": "a <b>remark</b>"}))
    monkeypatch.setattr(benching, "_train", lambda *_: pytest.fail("a finished run was repeated"))
    page = unlabel.bench(["simclr"], seeds=[0, 1], out=done, **OPTIONS)
    text = page.read_text()
    assert "a &lt;b&gt;remark&lt;/b&gt;" in text and "objective=dcl" not in text


def test_another_comparison_does_not_mix_with_this_one(done: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="another epochs"):
        unlabel.bench(["simclr"], out=done, **OPTIONS | {"epochs": 2})
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(Fault, match="no bench"):
        unlabel.bench(["simclr"], out=tmp_path, **OPTIONS)


def test_all_mistakes_are_told_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(Faults) as caught:
        unlabel.bench(["simclr temprature=1", "bioll"], out=tmp_path / "x", seeds=[1, 1], seed=3, **OPTIONS)
    said = "\n".join(caught.value.faults)
    for part in ("temperature", "byol", "seeds must be different", "`seed` is not for a bench"):
        assert part in said
    assert not (tmp_path / "x").exists()


def test_an_entry_is_a_method_a_method_with_options_or_a_family() -> None:
    assert {"simclr", "byol"} <= set(benching._expanded(["joint-embedding", "simclr"]))
    assert benching._own_options("simclr --projector-dim=8 objective=dcl") == (
        "simclr", {"projector_dim": "8", "objective": "dcl"},
    )  # fmt: skip
    with pytest.raises(Fault, match="name=value"):
        benching._own_options("simclr dcl")
    with pytest.raises(Fault, match="no entries"):
        benching._expanded([])


def test_runs_are_processes_and_one_that_fails_leaves_its_reason(tmp_path: Path) -> None:
    out, diverging = tmp_path / "out", "simclr lr=1e30 optimiser=sgd"
    unlabel.bench([diverging, "simclr"], seeds=[0], out=out, **OPTIONS | {"evaluate": False})
    rows = {row["name"]: row for row in json.loads((out / "leaderboard.json").read_text())["rows"]}
    (reason,) = rows[diverging]["remarks"]
    assert "did not finish" in reason and "loss" in reason
    assert json.loads((out / "simclr-0" / "run.json").read_text())["finished"]


def test_cells_are_mean_and_deviation() -> None:
    row = Row("x")
    row.add(knn=40.0, alignment=None)
    row.add(knn=42.0, alignment=float("nan"))
    assert row.cell("knn") == "41.0 ± 1.4" and row.cell("alignment") == "–"
