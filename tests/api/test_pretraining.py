"""Pre-training on awkward data, with a budget, and when it goes wrong."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

import unlabel
from unlabel import recipes
from unlabel.api import pretraining
from unlabel.api.pretraining import make_place
from unlabel.engine import fit
from unlabel.engine.folder import RunFolder
from unlabel.engine.job import Job, decide
from unlabel.engine.options import check
from unlabel.engine.run import Run
from unlabel.engine.sources import open_sources
from unlabel.engine.waiting import Waiting
from unlabel.errors import Fault, Interrupted
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


def test_a_budget_is_measured_where_the_network_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning leaves what it has trained on the CPU."""
    chosen = check("simclr", {"data": "shapes:64", "budget": "1m", "size": 16})
    sources = open_sources(Run(**chosen.run))
    job = decide(chosen, recipes.choose("simclr", "small", data="", size=16)[1], sources)
    job = replace(job, settings=replace(job.settings, device="meta"))
    found: list[set[str]] = []

    def note(trial: Method) -> float:
        found.append({parameter.device.type for parameter in trial.parameters()})
        return 0.0

    monkeypatch.setattr(fit, "_pace", lambda *given: 0.01)
    monkeypatch.setattr(fit, "_refreshing", lambda job, trial, sources: note(trial))
    fit.measure(job, fit.prepare(job), SimpleNamespace(read=note), sources, Waiting())
    assert found == [{"meta"}] * 2


def test_a_loss_that_is_no_number_stops_with_step_terms_and_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        unlabel.pretrain("simclr", data="shapes:128", batch_size=32, out=tmp_path / "run", lr=1e30, optimiser="sgd",
                         **{**SHORT, "epochs": 4})  # fmt: skip
    text = str(caught.value)
    assert "at update" in text and "loss = nan" in text and "last.ckpt" in text


def test_a_loss_that_is_no_number_is_a_fault_while_a_budget_is_measured(tmp_path: Path) -> None:
    options = {**SHORT, "budget": "20s", "lr": 1e30, "optimiser": "sgd", "warmup": 0}
    del options["epochs"]
    with pytest.raises(Fault, match=r"to time its updates, and stopped: .* at update"):
        unlabel.pretrain("simclr", data="shapes:128", batch_size=32, out=tmp_path / "run", **options)


def test_what_cannot_be_trained_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").mkdir()
    Image.new("RGB", (40, 40), "red").save(tmp_path / "one" / "a.png")
    with pytest.raises(Fault, match="one has fewer than two images"):
        unlabel.pretrain("simclr", data="one", **SHORT)
    with pytest.raises(Fault, match="`crop_cover` belongs to crops=salient, and does nothing with auto"):
        unlabel.pretrain("simclr", data="shapes:64", crop_cover=0.5, **SHORT)
    assert not (tmp_path / "runs").exists()


def test_runs_that_begin_together_have_a_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = [make_place(Run(method="simclr", data="photos")) for _ in range(2)]
    assert [folder.path.name for folder in made] == ["simclr-photos-1", "simclr-photos-2"]
    assert all(folder.path.is_dir() for folder in made)


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


def unfinished(run: Path, to: Path, **settings: Any) -> RunFolder:
    """A copy of a run whose training is done and nothing else."""
    shutil.copytree(run, to)
    folder = RunFolder(to)
    stored = folder.read()
    folder.update(finished=False, run=stored["run"] | {"evaluate": False}, settings=stored["settings"] | settings)
    return folder


def test_data_that_changed_cannot_be_resumed(tmp_path: Path, cnn_run: Path) -> None:
    folder = unfinished(cnn_run, tmp_path / "run")
    folder.update(data=folder.read()["data"] | {"fingerprint": ["something else"]})
    with pytest.raises(Fault, match="has changed"):
        unlabel.pretrain(resume=folder.path)


def test_a_run_is_trained_by_one_process(tmp_path: Path, cnn_run: Path) -> None:
    folder = unfinished(cnn_run, tmp_path / "run")
    with folder.held(), pytest.raises(Fault, match="is being trained by another process"):
        unlabel.pretrain(resume=folder.path)
    unlabel.pretrain(resume=folder.path)
    assert folder.finished


def test_a_run_goes_on_without_its_gpu(tmp_path: Path, cnn_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    folder = unfinished(cnn_run, tmp_path / "a run", device="cuda")
    folder.update(run=folder.read()["run"] | {"device": "cuda"})
    with pytest.raises(Fault, match=r"begun on cuda.* go on with `unlabel pretrain --resume '.*a run' --device auto`"):
        unlabel.pretrain(resume=folder.path)
    with pytest.raises(Fault, match="must be one of auto, cpu"):
        unlabel.pretrain(resume=folder.path, device="gpu")
    with pytest.raises(Fault, match="torch finds no cuda"):
        unlabel.pretrain(resume=folder.path, device="cuda")
    unlabel.pretrain(resume=folder.path, device="cpu")
    stored = folder.read()
    assert stored["finished"] and stored["settings"]["device"] == stored["run"]["device"] == "cpu"


def ctrl_c(*given: Any, **options: Any) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_while_a_budget_is_measured_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {**SHORT, "budget": "20s"}
    del options["epochs"]
    begin = fit.Stopwatch.on_train_start

    def begin_and_ask(*given: Any) -> None:
        begin(*given)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(fit.Stopwatch, "on_train_start", begin_and_ask)
    with pytest.raises(Interrupted, match="go on with `unlabel pretrain --resume "):
        unlabel.pretrain("simclr", data="shapes:128", batch_size=32, out=tmp_path / "run", **options)


def test_ctrl_c_in_the_last_update_and_in_evaluation_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advance, out = Method.advance, tmp_path / "run"

    def advance_and_ask(self: Method) -> None:
        advance(self)
        if self.updates == self.total_updates:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Method, "advance", advance_and_ask)
        with pytest.raises(Interrupted, match=r"after the last update; .*`unlabel pretrain --resume "):
            unlabel.pretrain("simclr", data="shapes:64", batch_size=32, out=out, **SHORT)
    assert RunFolder(out).read()["cost"]["seconds"] > 0 and not RunFolder(out).weights.exists()
    with monkeypatch.context() as patch:
        patch.setattr(pretraining, "draw", ctrl_c)
        with pytest.raises(Interrupted, match="what was trained is saved: go on with `unlabel pretrain --resume "):
            unlabel.pretrain(resume=out)
    unlabel.pretrain(resume=out)
    assert RunFolder(out).finished and RunFolder(out).weights.exists()


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
