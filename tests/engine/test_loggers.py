"""Numbers reach every logger by the same names, over resumes too, and no logger that fails ends a training."""

import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import MagicMock

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import unlabel
from tests.engine.test_resume import end
from unlabel.engine import loggers, run, services
from unlabel.engine.folder import RunFolder, write_json
from unlabel.engine.loggers import Loggers, need, numbers
from unlabel.engine.options import check
from unlabel.engine.services import Begun, Ending, Service, WandB, flat, without_password
from unlabel.errors import Fault, Interrupted


class Told(Service):
    """A service that keeps what it is told, and fails where it should."""

    title = "Told"
    calls: ClassVar[list[tuple[Any, ...]]] = []
    fails: ClassVar[set[str]] = set()

    def _tell(self, verb: str, *what: Any) -> None:
        self.calls.append((verb, *what))
        if verb in self.fails:
            raise ConnectionError(f"no network\nfor {verb}")

    def open(self, begun: Begun, known: Mapping[str, str]) -> dict[str, str]:
        self._tell("open", begun, dict(known))
        return {"id": known.get("id", "first")}

    def settings(self, values: Mapping[str, Any]) -> None:
        self._tell("settings", values)

    def metrics(self, values: Mapping[str, float], update: int) -> None:
        self._tell("metrics", dict(values), update)

    def words(self, values: Mapping[str, str], update: int) -> None:
        self._tell("words", dict(values), update)

    def result(self, values: Mapping[str, float], words: Mapping[str, str], report: Path | None, update: int) -> None:
        self._tell("result", dict(values), dict(words), report, update)

    def close(self, ending: Ending) -> None:
        self._tell("close", ending)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is called `wandb` is `Told`, whether W&B is installed or not."""
    monkeypatch.setitem(services.SERVICES, "wandb", Told)
    monkeypatch.setattr(loggers, "find_spec", lambda name: SimpleNamespace(origin=name))
    monkeypatch.setattr(Told, "calls", [])
    monkeypatch.setattr(Told, "fails", set())
    return Told.calls


def folder_of(path: Path, **stored: Any) -> RunFolder:
    write_json(path / "run.json", {"unlabel": "1", "cost": {"seconds": 2.5}, **stored})
    return RunFolder(path)


def job(*names: str) -> Any:
    about = {"run": {"size": 32}, "plan": {"lr": 0.1}, "hyper": {"temperature": 0.2}}
    return SimpleNamespace(
        command="pretrain", run=SimpleNamespace(method="simclr", log=names), images=64, updates=8, updates_per_epoch=4,
        origin=None, as_dict=lambda: about,
    )  # fmt: skip


def said() -> tuple[io.StringIO, Console]:
    stream = io.StringIO()
    return stream, Console(file=stream, width=500)


OPTIONS: dict[str, Any] = {"data": "shapes:64", "batch_size": 16, "epochs": 3, "monitors": 2, "save_every": "0.001s",
                           "evaluate": False, "device": "cpu", "recipe": "small", "backbone": "tiny_resnet"}  # fmt: skip

# ---------------------------------------------------------------- the option


def test_names_are_those_of_the_services() -> None:
    assert set(run.LOGGERS) == set(services.SERVICES)


@pytest.mark.parametrize(
    ("given", "means"),
    [("wandb", ("wandb",)), ("tensorboard, mlflow", ("tensorboard", "mlflow")), ("none", None), (None, None),
     (["mlflow"], ("mlflow",))],
)  # fmt: skip
def test_the_option_takes_names_with_commas_or_a_list(given: Any, means: Any) -> None:
    assert check("simclr", {"data": "shapes", "log": given}).run["log"] == means


@pytest.mark.parametrize("wrong", ["wndb", "wandb,", "wandb,wandb", "none,wandb", ""])
def test_an_unknown_name_is_answered_with_the_known_ones(wrong: str) -> None:
    with pytest.raises(
        Fault, match="must be tensorboard, wandb or mlflow, several of them with commas between, or none"
    ):
        check("simclr", {"data": "shapes", "log": wrong})


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_what_is_not_installed_is_said_before_anything_is_done(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda asked: None if asked == name else SimpleNamespace(origin=asked))
    out = tmp_path / "run"
    with pytest.raises(Fault, match=rf"{name}, which is not installed: pip install 'unlabel\[{name}\]'"):
        unlabel.pretrain("simclr", **OPTIONS | {"out": out, "log": f"tensorboard,{name}", "data": "/does/not/exist"})
    assert not out.exists()
    with pytest.raises(Fault, match="not installed"):
        unlabel.bench(["simclr"], out=tmp_path / "bench", data="shapes:64", log=name)
    assert not (tmp_path / "bench").exists()


def test_a_folder_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B itself leaves a folder `wandb` in the current one, which Python takes for a package."""
    (tmp_path / "mlflow_of_nobody").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Fault, match="not installed"):
        need(["mlflow_of_nobody"])
    need(["tensorboard"])
    need(None)


# ---------------------------------------------------------------- a run


def test_an_ended_and_resumed_run_tells_what_its_journal_has(
    told: list[tuple[Any, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    monkeypatch.setattr("tests.engine.test_resume.options", lambda name: OPTIONS | {"log": ("tensorboard", "wandb")})
    end("simclr", out, monkeypatch)
    assert told[-1] == ("close", "failed")
    unlabel.pretrain(resume=out)
    opened = [call[1:] for call in told if call[0] == "open"]
    assert [known for _, known in opened] == [{}, {"id": "first"}]
    done = opened[1][0].updates
    assert opened[0][0] == Begun(out, "pretrain", "simclr", 0) and 0 < done < 12
    settings = next(call[1] for call in told if call[0] == "settings")
    assert settings["hyper"]["temperature"] and settings["run"]["data"] == "shapes:64" and settings["updates"] == 12
    assert [call[0] for call in told[-2:]] == ["result", "close"] and told[-1] == ("close", "finished")

    journal = {"loss": {}, "monitor/effective_rank": {}}
    for line in RunFolder(out).readings():
        if "loss" in line:
            journal["loss"][line["update"]] = line["loss"]
        else:
            journal["monitor/effective_rank"][line["update"]] = line["monitor"]["effective_rank"]
    events = EventAccumulator(str(out / "events"), size_guidance={"scalars": 0}).Reload()
    for name, expected in journal.items():
        assert len(expected) > 2
        # Of what is said twice, before the end and again after it, both are the same.
        assert {(u, v[name]) for kind, v, u in metrics(told) if name in v} == set(expected.items())
        scalars = events.Scalars(name)
        assert [point.step for point in scalars] == sorted(expected)
        assert [point.value for point in scalars] == pytest.approx([expected[u] for u in sorted(expected)])
    assert events.Scalars("cost/seconds")[0].step == 12
    assert {"settings/text_summary", "verdict_advice/text_summary"} <= set(events.Tags()["tensors"])
    changes = [(call[1]["verdict"], call[2]) for call in told if call[0] == "words"]
    assert changes[0] == ("too-short", 0) and all(len(call[1]) == 3 for call in told if call[0] == "words")
    judged = [(line["verdict"]["state"], line["update"]) for line in RunFolder(out).readings() if "verdict" in line]
    assert set(changes) <= set(judged)


def metrics(calls: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [call for call in calls if call[0] == "metrics"]


def test_one_that_fails_in_training_is_left_out_and_said_once(told: list[tuple[Any, ...]], tmp_path: Path) -> None:
    Told.fails.add("metrics")
    stream, console = said()
    unlabel.pretrain("simclr", out=tmp_path / "run", console=console, **OPTIONS | {"log": "wandb"})
    assert RunFolder(tmp_path / "run").read()["finished"]
    assert len(metrics(told)) == 1 and told[-1][0] == "metrics", "nothing more is asked of it"
    assert stream.getvalue().count("Told failed and is left out from here on (no network);") == 1
    assert not (tmp_path / "run" / "events").exists()


def test_none_writes_no_events(tmp_path: Path) -> None:
    unlabel.pretrain("simclr", out=tmp_path / "run", **OPTIONS | {"log": "none", "epochs": 1})
    assert not (tmp_path / "run" / "events").exists() and (tmp_path / "run" / "metrics.jsonl").stat().st_size > 0


# ---------------------------------------------------------------- its ends


def test_what_cannot_be_opened_at_first_is_a_fault_and_later_is_left_out(
    told: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    stream, console = said()
    folder = folder_of(tmp_path)
    Told.fails.add("open")
    with pytest.raises(Fault, match=r"Told cannot be opened \(no network\): mend it, then `unlabel pretrain --resume "):
        Loggers(job("wandb"), folder, console).open(0)
    Told.fails.clear()
    Loggers(job("wandb"), folder, console).open(0)
    Told.fails.add("open")
    with Loggers(job("wandb"), folder, console) as again:
        again.open(3)
        again.metrics({"loss": 1.0}, 4)
    assert told[-1][0] == "open" and "left out" in stream.getvalue()
    assert json.loads(folder.loggers.read_text()) == {"wandb": {"id": "first"}}, "the next time it may be there again"


@pytest.mark.parametrize(
    ("ends", "ending"), [(None, "finished"), (Interrupted("stop"), "stopped"), (KeyboardInterrupt(), "stopped"), (Fault("lr"), "failed")]
)  # fmt: skip
def test_they_hear_how_a_run_ended(
    told: list[tuple[Any, ...]], tmp_path: Path, ends: BaseException | None, ending: str
) -> None:
    def one() -> None:
        with Loggers(job("wandb"), folder_of(tmp_path), said()[1]) as open_ones:
            open_ones.open(0)
            if ends is not None:
                raise ends

    if ends is None:
        one()
    else:
        with pytest.raises(type(ends)):
            one()
    assert told[-1] == ("close", ending)


def test_final_numbers_verdict_and_report(told: list[tuple[Any, ...]], tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    judged = {"state": "learning", "sentence": "It learned.", "advice": "Use it."}
    found = {
        "protocol": {"k": 20},
        "knn": {"run": 42, "random": 25.5},
        "spectrum": [1.0],
        "factors": None,
        "verdict": judged,
    }
    write_json(folder.evaluation, found)
    folder.report.write_text("<html>")
    with Loggers(job("wandb"), folder, said()[1]) as open_ones:
        open_ones.open(8)
        open_ones.result(8)
    assert told[-2] == (
        "result", {"cost/seconds": 2.5, "final/knn/run": 42.0, "final/knn/random": 25.5},
        {"verdict": "learning", "verdict_sentence": "It learned.", "verdict_advice": "Use it."}, folder.report, 8,
    )  # fmt: skip


def test_numbers_of_an_evaluation() -> None:
    assert numbers({"a": {"b": 1, "c": {"d": 0.5}}, "e": True, "f": "no", "g": [1.0], "protocol": {"k": 1}}) == {
        "a/b": 1.0, "a/c/d": 0.5
    }  # fmt: skip
    assert flat({"a": {"b": 1, "c": {"d": None}}, "e": [2]}) == {"a/b": 1, "a/c/d": None, "e": [2]}


@pytest.mark.parametrize(
    ("uri", "kept"),
    [("https://me:secret@example.org:5000/x?y=1", "https://example.org:5000/x?y=1"), ("sqlite:////a@b/c.db", "sqlite:////a@b/c.db"),
     ("file:///runs", "file:///runs"), ("databricks", "databricks")],
)  # fmt: skip
def test_no_password_is_kept(uri: str, kept: str) -> None:
    assert without_password(uri) == kept


# ---------------------------------------------------------------- W&B without W&B


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    module = MagicMock()
    module.run = None
    module.init.return_value.id = "abc"
    monkeypatch.setitem(sys.modules, "wandb", module)
    for name in ("WANDB_PROJECT", "WANDB_DIR", "WANDB_FINISH_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    return module


@pytest.mark.parametrize(("ending", "code"), [("finished", 0), ("stopped", 255), ("failed", 1)])
def test_a_run_of_wandb_goes_on_by_its_id(fake: MagicMock, ending: Ending, code: int) -> None:
    service = WandB()
    assert service.open(Begun(Path("runs/a-1"), "pretrain", "simclr", 5), {"id": "abc"}) == {"id": "abc"}
    given = fake.init.call_args.kwargs
    assert given["id"] == "abc" and given["resume"] == "allow" and given["dir"] == "runs/a-1"
    assert given["project"] == "unlabel" and given["name"] == "a-1" and "mode" not in given
    service.metrics({"loss": 1.0}, 6)
    fake.init.return_value.log.assert_called_once_with({"loss": 1.0, "update": 6})
    service.words({"verdict": "plateau"}, 6)
    fake.init.return_value.log.assert_called_with({"verdict": "plateau", "update": 6})
    service.close(ending)
    fake.init.return_value.finish.assert_called_once_with(exit_code=code)


def test_a_run_that_the_caller_began_is_used_and_left_open(fake: MagicMock) -> None:
    """As in a sweep: its agent owns the run."""
    fake.run = MagicMock(id="theirs")
    service = WandB()
    assert service.open(Begun(Path("runs/a-1"), "pretrain", "simclr", 0), {}) == {"id": "theirs"}
    service.settings({"run": {"size": 32}})
    fake.run.config.update.assert_called_once_with({"run": {"size": 32}}, allow_val_change=True)
    service.close("finished")
    fake.init.assert_not_called()
    fake.run.finish.assert_not_called()


# ---------------------------------------------------------------- the real ones


def test_mlflow_has_one_run_over_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs `pip install 'unlabel[mlflow]'`")
    monkeypatch.chdir(tmp_path)
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "pictures")
    folder = folder_of(tmp_path / "run")
    _, console = said()
    with pytest.raises(Interrupted), Loggers(job("mlflow"), folder, console) as first:
        first.open(0)
        first.settings(job())
        first.metrics({"loss": 2.0, "monitor/knn": 30.0}, 1)
        first.verdict({"state": "diverging", "sentence": "It rose.", "advice": "Lower it."}, 1)
        raise Interrupted("stop")
    client = mlflow.MlflowClient(store)
    (stopped,) = client.search_runs([client.get_experiment_by_name("pictures").experiment_id])
    assert stopped.info.status == "KILLED" and stopped.info.run_name == "run"
    assert stopped.data.tags["verdict"] == "diverging" and stopped.data.tags["verdict_advice"] == "Lower it."
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # the folder knows where
    write_json(folder.evaluation, {"knn": {"run": 42.0}, "verdict": {"state": "learning", "sentence": "It learned."}})
    folder.report.write_text("<html>")
    with Loggers(job("mlflow"), folder, console) as second:
        second.open(1)
        second.settings(job())
        second.metrics({"loss": 1.0, "monitor/knn": 40.0}, 2)
        second.result(2)
    (found,) = client.search_runs([stopped.info.experiment_id])
    assert found.info.status == "FINISHED" and os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert found.data.params["hyper/temperature"] == "0.2" and found.data.params["run/size"] == "32"
    assert found.data.metrics == {"loss": 1.0, "monitor/knn": 40.0, "cost/seconds": 2.5, "final/knn/run": 42.0}
    assert [(m.step, m.value) for m in client.get_metric_history(found.info.run_id, "loss")] == [(1, 2.0), (2, 1.0)]
    assert found.data.tags["verdict"] == "learning" and found.data.tags["method"] == "simclr"
    assert [item.path for item in client.list_artifacts(found.info.run_id)] == ["report.html"]


def test_mlflow_that_is_gone_is_said_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs `pip install 'unlabel[mlflow]'`")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    stream, console = said()
    with Loggers(job("mlflow"), folder_of(tmp_path / "run"), console) as open_ones:
        open_ones.open(0)
        service = open_ones.services["mlflow"]
        mlflow.MlflowClient().delete_run(service.id)  # its store refuses what comes now
        open_ones.metrics({"loss": 2.0}, 1)
    assert stream.getvalue().count("MLflow failed and is left out") == 1


def test_wandb_offline_keeps_one_id_over_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="needs `pip install 'unlabel[wandb]'`")
    for name, value in {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_CONSOLE": "off"}.items():
        monkeypatch.setenv(name, value)
    folder, (_, console) = folder_of(tmp_path / "run"), said()
    write_json(folder.evaluation, {"knn": {"run": 42.0}, "verdict": {"state": "learning", "sentence": "It learned."}})
    folder.report.write_text("<html>")
    for updates in (0, 2):
        with Loggers(job("wandb"), folder, console) as open_ones:
            open_ones.open(updates)
            open_ones.settings(job())
            open_ones.metrics({"loss": 2.0 - updates / 2}, updates + 1)
            open_ones.result(updates + 1)
            current = open_ones.services["wandb"].run
            assert current.settings.mode == "offline" and current.config["hyper"] == {"temperature": 0.2}
            assert current.summary["final/knn/run"] == 42.0 and current.summary["verdict"] == "learning"
    known = json.loads(folder.loggers.read_text())["wandb"]["id"]
    left = sorted((tmp_path / "run" / "wandb").glob(f"offline-run-*-{known}/run-{known}.wandb"))
    assert len(left) == 2 and all(path.stat().st_size > 0 for path in left)
