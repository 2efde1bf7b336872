"""Pre-training on awkward data, with a budget, and when it goes wrong."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import unlabel
from unlabel.engine import fit
from unlabel.engine.job import Job
from unlabel.errors import Fault
from unlabel.methods import Method

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


@pytest.mark.parametrize(("side", "rates"), [(32, (0.1, 0.05)), (320, (0.1, 0.1))])
def test_a_budget_knows_that_small_images_are_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int, rates: tuple[float, float]
) -> None:
    """After the first epoch, of 16 updates, those come from memory; larger ones are decoded each time."""
    (tmp_path / "in").mkdir()
    for i in range(64):
        Image.effect_noise((side, side), i + 1).save(tmp_path / "in" / f"{i}.png")
    measured, given = fit._pace, iter(rates)
    asked: list[int] = []

    def pace(job: Job, trial: Method, *others: Any) -> float:
        assert measured(job, trial, *others) > 0
        asked.append(trial.updates)
        return next(given)

    monkeypatch.setattr(fit, "_pace", pace)
    options = {**SHORT, "budget": "6s", "monitors": 0}
    del options["epochs"]
    unlabel.pretrain("rotation", data=str(tmp_path / "in"), size=16, batch_size=4, out=tmp_path / "run", **options)
    stored = json.loads((tmp_path / "run" / "run.json").read_text())
    assert len(asked) == (2 if side == 32 else 1) and asked[-1] <= 2 * asked[0]  # the same images, not others
    left = 6 - stored["budget"]["measuring"]
    assert (stored["budget"]["per_update"], stored["budget"]["per_update_later"]) == rates
    assert stored["updates"] == pytest.approx(16 + (left - 1.6) / rates[1], abs=1)


def test_a_loss_that_is_no_number_stops_with_step_terms_and_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        unlabel.pretrain("simclr", data="shapes:128", batch_size=32, out=tmp_path / "run", lr=1e30, optimiser="sgd",
                         **{**SHORT, "epochs": 4})  # fmt: skip
    text = str(caught.value)
    assert "at update" in text and "loss = nan" in text and "last.ckpt" in text


def test_evaluation_data_of_one_picture_does_not_stop_a_run(tmp_path: Path) -> None:
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
