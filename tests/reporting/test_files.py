import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.reporting.synthetic import write_embeddings, write_json
from unlabel.errors import Fault
from unlabel.reporting import files
from unlabel.reporting.files import read_run


def test_a_folder_without_run_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"holds no run\.json"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(Fault, match="cannot be read as JSON"):
        read_run(tmp_path)


def test_run_json_alone_is_enough(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {})
    run = read_run(tmp_path)
    assert (run.updates, run.monitors, run.evaluation, run.embeddings, run.sprite) == ([], [], None, None, None)
    assert (run.pictures, run.skipped, run.notes) == ({}, [], [])


def test_metrics_survive_nan_resume_and_a_torn_last_line(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {})
    lines = [
        '{"update": 1, "loss": NaN}',
        '{"update": 2, "loss": 1.0}',
        '{"update": 2, "loss": 0.5}',  # a resumed run writes this update again
        '{"update": 3, "loss": Infinity, "terms": {"a": null}}',
        '{"update": 2, "monitor": {"std": 0.1}}',
        "not JSON",
        '{"update": "x", "loss": 1}',
        '{"update": 4, "los',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    run = read_run(tmp_path)
    assert [line["update"] for line in run.updates] == [1, 2, 3]
    assert run.updates[1]["loss"] == 0.5
    assert run.monitors == [{"update": 2, "monitor": {"std": 0.1}, "std": 0.1}]
    assert run.notes == ["metrics.jsonl: 1 broken line was passed over."]


def test_very_long_metrics_keep_what_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_MANY_LINES", 100)
    write_json(tmp_path / "run.json", {})
    lines = [{"update": u, "loss": float("nan") if u == 333 else 1.0} for u in range(1000)]
    lines += [{"update": u, "monitor": {"std": 0.1}} for u in (1, 999)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = read_run(tmp_path)
    assert len(run.updates) < 120
    assert 333 in [line["update"] for line in run.updates]
    assert len(run.monitors) == 2


def test_embeddings_that_are_not_finite_are_dropped_and_tiles_kept_in_step(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {})
    vectors = np.ones((4, 3), np.float32)
    vectors[1, 2] = np.nan
    write_embeddings(tmp_path, ["a", "b", "c", "d"], np.array([0, 1, 2, -1]), vectors)
    run = read_run(tmp_path)
    assert run.embeddings is not None
    assert run.embeddings.paths == ["a", "c", "d"]
    assert run.embeddings.labels.tolist() == [0, 2, -1]
    assert run.embeddings.tile.tolist() == [0, 2, 3]
    assert "1 of 4 embeddings" in run.notes[0]


def test_broken_files_become_notes(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {})
    (tmp_path / "evaluation.json").write_text("[1")
    (tmp_path / "embeddings.parquet").write_bytes(b"PAR1 but not really")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "views.png").write_bytes(b"no picture")
    Image.new("RGB", (48, 48)).save(tmp_path / "artifacts" / "thumbnails.jpg")
    write_json(tmp_path / "artifacts" / "thumbnails.json", {"tile": 48, "columns": 2, "count": 4})
    run = read_run(tmp_path)
    assert (run.evaluation, run.embeddings, run.sprite, run.pictures) == (None, None, None, {})
    assert [note.split()[0] for note in run.notes] == [
        "evaluation.json", "embeddings.parquet", "thumbnails.json", "artifacts/views.png",
    ]  # fmt: skip


def test_no_rows_of_embeddings(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {})
    write_embeddings(tmp_path, [], np.zeros(0, np.int64), np.zeros((0, 3), np.float32))
    assert read_run(tmp_path).embeddings is None
