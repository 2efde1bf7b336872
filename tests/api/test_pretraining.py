"""Pre-training on awkward data, with a budget, and when it goes wrong."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import unlabel
from unlabel.errors import Fault

SHORT = {"epochs": 1, "monitors": 1, "recipe": "small", "evaluate": False, "device": "cpu"}


def test_hostile_files_never_stop_a_run_and_are_listed(shared_data, tmp_path: Path) -> None:
    folder = shared_data("hostile")
    result = unlabel.pretrain("simclr", data=str(folder), batch_size=32, out=tmp_path / "run", size=32, **SHORT)
    listed = [json.loads(line) for line in (result.folder / "skipped.jsonl").read_text().splitlines()]
    assert any("truncated_50" in entry["path"] for entry in listed) and all(entry["reason"] for entry in listed)
    stored = json.loads((result.folder / "run.json").read_text())
    assert stored["finished"] and stored["data"]["skipped"] == len(listed)


def test_a_budget_fixes_the_number_of_updates_and_records_both(tmp_path: Path) -> None:
    options = {**SHORT, "budget": "4s"}
    del options["epochs"]
    unlabel.pretrain("rotation", data="shapes:200", batch_size=16, out=tmp_path / "run", **options)
    stored = json.loads((tmp_path / "run" / "run.json").read_text())
    assert stored["updates"] >= 1 and stored["run"]["budget"] == "4s"
    assert stored["budget"]["per_update"] > 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert max(line["update"] for line in lines) == stored["updates"]


def test_a_loss_that_is_no_number_stops_with_step_terms_and_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        unlabel.pretrain("simclr", data="shapes:128", batch_size=32, out=tmp_path / "run", lr=1e30, optimiser="sgd",
                         **{**SHORT, "epochs": 4})  # fmt: skip
    text = str(caught.value)
    assert "at update" in text and "loss = nan" in text and "last.ckpt" in text


def test_evaluation_data_of_one_picture_does_not_stop_a_run(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "one").mkdir()
    Image.new("RGB", (40, 40), "red").save(tmp_path / "one" / "a.png")
    result = unlabel.pretrain("simclr", data="shapes:64", eval_data=str(tmp_path / "one"), batch_size=32,
                              out=tmp_path / "run", **{**SHORT, "evaluate": True})  # fmt: skip
    assert result.verdict.state == "too-short" and (tmp_path / "run" / "report.html").exists()


def test_accumulated_batches_make_one_update(tmp_path: Path) -> None:
    unlabel.pretrain("simclr", data="shapes:128", batch_size=16, accumulate=4, out=tmp_path / "run", **SHORT)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["updates"] == 2


def test_an_output_folder_in_use_is_refused(cnn_run: Path) -> None:
    with pytest.raises(Fault, match="not empty"):
        unlabel.pretrain("simclr", data="shapes:128", out=cnn_run, **SHORT)


def test_data_that_changed_cannot_be_resumed(tmp_path: Path, cnn_run: Path) -> None:
    import shutil

    shutil.copytree(cnn_run, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    stored = json.loads(path.read_text())
    stored["finished"], stored["data"]["fingerprint"] = False, ["something else"]
    path.write_text(json.dumps(stored))
    with pytest.raises(Fault, match="has changed"):
        unlabel.pretrain(resume=tmp_path / "run")


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    words = ["data=shapes:2000", "batch_size=32", f"out={tmp_path / 'run'}", "epochs=50", "evaluate=no", "recipe=small"]
    process = subprocess.Popen([sys.executable, "-m", "unlabel", "pretrain", "simclr", *words], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"unlabel pretrain --resume {tmp_path / 'run'}" in said.decode() and "Traceback" not in said.decode()
