"""`stop_when_done`: what a run does where its verdict says that it is done, with readings that are written beforehand."""

import json
import math
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import unlabel
from tests.engine.test_resume import assert_identical, gone_at, weights
from unlabel.cli.arguments import parse
from unlabel.diagnostics import title
from unlabel.engine.folder import RunFolder
from unlabel.engine.monitor import Monitor
from unlabel.engine.options import check
from unlabel.engine.run import FLAGS
from unlabel.errors import Fault, Faults
from unlabel.methods.simclr import SimCLR

UPDATES, READINGS = 48, 12
OPTIONS = {"data": "shapes:64", "batch_size": 16, "epochs": 12, "monitors": READINGS, "save_every": "0.001s", "warmup": 0.1,
           "evaluate": False, "device": "cpu", "recipe": "small", "backbone": "tiny_resnet", "projector_width": 32,
           "projector_dim": 16, "stop_when_done": True}  # fmt: skip
SATURATED = (30.0, 45.0, 55.0, 59.0, 60.0, 60.5, 60.2, 60.6, 60.4, 60.5, 60.3, 60.6, 60.5)
Script = Callable[[int], dict[str, float]]


def shape(**more: float) -> dict[str, float]:
    healthy = {"images": 500.0, "dimensions": 128.0, "dimensions_99": 60.0, "std": 0.08, "mean_cosine": 0.1}
    return {**healthy, "effective_rank": 50.0, **more}


def script(monkeypatch: pytest.MonkeyPatch, read: Script) -> None:
    """Readings are what `read` says of the number of the reading, counted from 0; between them of the last."""
    monkeypatch.setattr(Monitor, "read", lambda self, method: read(READINGS * method.updates // UPDATES))


def run(out: Path, **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """run.json, the journal and the log of a run."""
    log = StringIO()
    unlabel.pretrain("simclr", out=out, console=Console(file=log, width=1000), **{**OPTIONS, **options})
    return RunFolder(out).read(), list(RunFolder(out).readings()), log.getvalue()


def test_a_plateau_shortens_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, lambda i: shape(knn=SATURATED[i]))
    stored, journal, log = run(tmp_path / "run")
    stopped = stored["stopped"]
    decided, end = stopped["decided"], stopped["end"]
    assert stored["finished"] and stopped["state"] == "plateau" and stopped["sentence"].startswith("Safe to stop")
    assert stopped["planned"] == stored["updates"] == UPDATES and stopped["updates"] == end < UPDATES
    assert end == decided + math.ceil(0.15 * decided)
    assert weights(tmp_path / "run")["_extra_state"]["updates"] == end
    assert RunFolder(tmp_path / "run").weights.exists()

    (line,) = [line for line in journal if "stop" in line]
    assert line["update"] == decided and line["stop"]["state"] == "plateau"
    assert [line["update"] for line in journal if "monitor" in line][-1] == end  # what is kept was read
    said = f"Plateau at update {decided} of {UPDATES}: Safe to stop"
    assert log.count(said) == 1 and f"until update {end}. {stopped['advice']}" in log

    # Only the rate goes another way than planned: down a line to 0.
    plan = unlabel.engine.job.Job.from_dict(stored).plan
    rates = {line["update"]: line["lr"] for line in journal if "loss" in line}
    assert max(rates) == end
    for update, rate in rates.items():
        planned = plan.rate((update - 0.5) / UPDATES, plan.batch_size)
        factor = 1.0 if update <= decided else (end - update + 0.5) / (end - decided)
        assert rate == pytest.approx(factor * planned)


def test_the_rest_of_the_run_is_that_of_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, lambda i: shape(knn=SATURATED[i]))
    stored, journal, _ = run(tmp_path / "early")
    planned, whole, _ = run(tmp_path / "whole", stop_when_done=False)
    assert "stopped" not in planned and max(line["update"] for line in whole) == UPDATES
    until = stored["stopped"]["decided"]
    first, second = (
        [line["loss"] for line in lines if "loss" in line and line["update"] <= until] for lines in (journal, whole)
    )
    assert first == second
    assert weights(tmp_path / "early")["_extra_state"]["total_updates"] == UPDATES


def test_what_learns_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, lambda i: shape(knn=30.0 + 4 * i))
    stored, journal, log = run(tmp_path / "run")
    assert "stopped" not in stored and not any("stop" in line for line in journal) and "Plateau" not in log
    assert max(line["update"] for line in journal) == UPDATES


@pytest.mark.parametrize("after", [0, 2], ids=["at the decision", "in the cool-down"])
def test_killed_and_resumed_it_is_the_same_run(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, lambda i: shape(knn=SATURATED[i]))
    stored, journal, _ = run(tmp_path / "whole")
    with gone_at(stored["stopped"]["decided"] + after, monkeypatch):
        run(tmp_path / "killed")
    unlabel.pretrain(resume=tmp_path / "killed", console=Console(quiet=True))
    assert_identical(weights(tmp_path / "killed"), weights(tmp_path / "whole"))
    assert RunFolder(tmp_path / "killed").read()["stopped"] == stored["stopped"]
    aside = {"seconds": 0, "images_per_second": 0}
    again = [{**line, **aside} for line in RunFolder(tmp_path / "killed").readings()]
    assert again == [{**line, **aside} for line in journal]


def test_a_run_that_has_ended_trains_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after its last update, before its backbone was written."""
    script(monkeypatch, lambda i: shape(knn=SATURATED[i]))
    stored, _, _ = run(tmp_path / "run")
    folder, before = RunFolder(tmp_path / "run"), weights(tmp_path / "run")
    folder.update(finished=False)
    unlabel.pretrain(resume=tmp_path / "run", console=Console(quiet=True))
    assert_identical(weights(tmp_path / "run"), before)
    assert folder.read()["finished"] and folder.read()["stopped"] == stored["stopped"]


@pytest.mark.parametrize("labels", [True, False])
def test_a_collapse_ends_it_at_once(labels: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, lambda i: shape(std=0.08 if i < 2 else 1e-5) | ({"knn": 30.0} if labels else {}))
    stored, journal, log = run(tmp_path / "run")
    stopped = stored["stopped"]
    assert stopped["state"] == "collapsed" and stopped["decided"] == stopped["end"] == 16  # the third reading of it
    assert max(line["update"] for line in journal) == 16 and stored["finished"]
    assert "Complete collapse at update 16 of 48: Every image has the same embedding (std 1e-05)" in log
    assert stopped["advice"] and f"it ends here. {stopped['advice']}" in log


def test_a_verdict_that_turns_bad_is_told_once_with_its_numbers_and_so_is_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, lambda i: shape(std=1e-5 if 3 <= i < 6 else 0.08, knn=30.0 + 4 * i * (i > 6)))
    _, journal, log = run(tmp_path / "run", stop_when_done=False)
    judged = {line["update"]: line["verdict"] for line in journal if "monitor" in line}
    assert len(judged) == READINGS + 1 and all(set(found) == {"state", "sentence"} for found in judged.values())
    assert [judged[update]["state"] for update in (8, 12, 20)] == ["too-short", "collapsed", "collapsed"]
    assert "std 1e-05" in judged[12]["sentence"] and judged[24]["state"] != "collapsed"
    told = [line for line in log.splitlines() if " of 48: " in line]
    assert told[0].startswith("Complete collapse at update 12 of 48: Every image has the same embedding (std 1e-05)")
    assert "lower the learning rate" in told[0] and log.count("Complete collapse") == 1
    assert told[1].startswith(f"{title(judged[24]['state']).capitalize()} at update 24 of 48: ")


def test_a_resumed_run_does_not_tell_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, lambda i: shape(std=0.08 if i < 3 else 1e-5))
    with gone_at(22, monkeypatch):
        run(tmp_path / "run", stop_when_done=False)
    log = StringIO()
    unlabel.pretrain(resume=tmp_path / "run", console=Console(file=log, width=1000))
    assert "of 48: " not in log.getvalue()
    states = [line["verdict"]["state"] for line in RunFolder(tmp_path / "run").readings() if "verdict" in line]
    assert states[3:] == ["collapsed"] * (READINGS - 2)


def test_one_bad_reading_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, lambda i: shape(std=1e-5 if i in (3, 4, 7) else 0.08, knn=30.0 + 0.1 * i))
    stored, _, _ = run(tmp_path / "run")
    assert stored.get("stopped", {}).get("state") != "collapsed"


def test_a_loss_that_is_no_number_ends_it_with_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = SimCLR.loss

    def broken(self: SimCLR, batch: Any) -> Any:
        return loss(self, batch) * (math.nan if self.updates == 9 else 1.0)

    monkeypatch.setattr(SimCLR, "loss", broken)
    script(monkeypatch, lambda i: shape(knn=30.0 + 3 * i))
    stored, journal, _ = run(tmp_path / "run")
    assert stored["finished"] and stored["stopped"]["state"] == "diverging" and stored["stopped"]["updates"] == 9
    assert journal[-2]["loss"] is None and journal[-1]["stop"]["end"] == 9
    with pytest.raises(Fault, match="not a finite number"):
        run(tmp_path / "other", stop_when_done=False)


def test_the_page_says_why_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, lambda i: shape(std=0.08 if i < 2 else 1e-5))
    run(tmp_path / "run", evaluate=True)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Training ended after 16 of 48 updates" in page and "every image has the same embedding" in page.lower()
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["verdict"]["sentence"]


def test_live_readings_with_and_without_labels(tmp_path: Path) -> None:
    """The real monitor; whatever it decides, the run is finished and whole."""
    pictures = torch.randint(
        0, 256, (64, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    ).numpy()
    import numpy as np

    np.save(tmp_path / "unlabelled.npy", pictures)
    for number, data in enumerate(("shapes:64", str(tmp_path / "unlabelled.npy"))):
        stored, journal, _ = run(tmp_path / f"run-{number}", data=data, size=16)
        assert stored["finished"]
        assert ("knn" in next(line for line in journal if "monitor" in line)["monitor"]) == (number == 0)


# ------------------------------------------------------------------ the option


@pytest.mark.parametrize(
    "words",
    [["--stop-when-done"], ["--stop-when-done", "true"], ["stop_when_done=true"], ["--stop-when-done", "epochs=3"]],
)
def test_on_the_command_line_it_stands_alone_or_has_a_value(words: list[str]) -> None:
    positional, options, faults = parse(["simclr", *words, "--data", "shapes"], FLAGS)
    assert (positional, faults) == (["simclr"], []) and options["stop_when_done"] == "true"
    assert check("simclr", options).run["stop_when_done"] is True


def test_it_is_off_unless_asked_for_and_can_be_said_to_be() -> None:
    assert "stop_when_done" not in check("simclr", {"data": "shapes"}).run
    _, options, _ = parse(["--stop-when-done", "false", "--data", "shapes"], FLAGS)
    assert check("simclr", options).run["stop_when_done"] is False


def test_other_options_still_need_a_value() -> None:
    assert parse(["--epochs", "--data", "shapes"], FLAGS)[2]


@pytest.mark.parametrize(
    ("name", "more", "sentence"),
    [("simclr", {"monitors": 0}, "decides by readings"), ("cut", {"data_b": "shapes"}, "is not judged by embeddings")],
)
def test_where_it_cannot_decide_it_is_refused(name: str, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Faults, match=sentence):
        check(name, {"data": "shapes", "stop_when_done": True, **more})
