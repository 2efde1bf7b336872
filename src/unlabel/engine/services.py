"""The services that numbers of a run can go to beside metrics.jsonl, behind one set of six verbs."""

import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pytorch_lightning.loggers import TensorBoardLogger

PROJECT = "unlabel"  # of W&B, and the experiment of MLflow, where the environment names none

Ending = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Begun:
    """What a service is told of the run that it opens.

    folder: the run folder; command: pretrain, finetune or distil; method: its name; updates: already done
    """

    folder: Path
    command: str
    method: str
    updates: int


class Service(ABC):
    """One service. What its library raises passes through: `Loggers` knows what to do about it."""

    title: str

    @abstractmethod
    def open(self, begun: Begun, known: Mapping[str, str]) -> dict[str, str]:
        """Begin, or go on where `known` says; returns what must be known to go on next time."""

    @abstractmethod
    def settings(self, values: Mapping[str, Any]) -> None:
        """The settings of the run: nested plain values."""

    @abstractmethod
    def metrics(self, values: Mapping[str, float], update: int) -> None:
        """Numbers after so many updates."""

    @abstractmethod
    def words(self, values: Mapping[str, str], update: int) -> None:
        """What is said in words after so many updates."""

    @abstractmethod
    def result(self, values: Mapping[str, float], words: Mapping[str, str], report: Path | None, update: int) -> None:
        """The final numbers, the verdict in words, and the page where there is one."""

    @abstractmethod
    def close(self, ending: Ending) -> None:
        """Wait for what is under way, and say how the run ended."""


class TensorBoard(Service):
    """Event files in the folder `events` of the run."""

    title = "TensorBoard"

    def open(self, begun: Begun, known: Mapping[str, str]) -> dict[str, str]:
        """What a killed run wrote after its last checkpoint is taken back."""
        purge = begun.updates + 1 if begun.updates else None
        self.logger = TensorBoardLogger(begun.folder, name=None, version="events", purge_step=purge)
        return {}

    def settings(self, values: Mapping[str, Any]) -> None:
        """As text: the tab of hyperparameters compares runs by a last metric, and here numbers have their controls."""
        rows = "\n".join(f"| {name} | {value} |" for name, value in flat(values).items())
        self.logger.experiment.add_text("settings", f"| | |\n|---|---|\n{rows}")

    def metrics(self, values: Mapping[str, float], update: int) -> None:
        """As scalars."""
        self.logger.log_metrics(dict(values), step=update)

    def words(self, values: Mapping[str, str], update: int) -> None:
        """As text."""
        for name, text in values.items():
            self.logger.experiment.add_text(name, text, global_step=update)

    def result(self, values: Mapping[str, float], words: Mapping[str, str], report: Path | None, update: int) -> None:
        """As scalars and text."""
        self.metrics(values, update)
        self.words(words, update)

    def close(self, ending: Ending) -> None:
        """Write what is left."""
        self.logger.experiment.close()


class WandB(Service):
    """A run of Weights & Biases; its own variables say where and how (WANDB_MODE=offline, WANDB_PROJECT, WANDB_DIR)."""

    title = "W&B"
    PATIENCE = 300  # seconds that an upload may take at the end; what is missing then is on disk, for `wandb sync`

    def open(self, begun: Begun, known: Mapping[str, str]) -> dict[str, str]:
        """Begin a run, go on with one, or use the one that the caller's own script has begun."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # crash reports to its makers: nobody asked for these
        import wandb

        self.wandb, self.shared = wandb, wandb.run is not None
        self.run: Any = wandb.run
        if not self.shared:
            patience = float(os.environ.get("WANDB_FINISH_TIMEOUT") or self.PATIENCE)
            self.run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT), name=begun.folder.name, job_type=begun.command,
                tags=[begun.method], dir=os.environ.get("WANDB_DIR", str(begun.folder)), id=known.get("id"),
                resume="allow", settings=wandb.Settings(finish_timeout=patience),
            )  # fmt: skip
        self.run.define_metric("update")
        self.run.define_metric("*", step_metric="update")
        return {"id": self.run.id}

    def settings(self, values: Mapping[str, Any]) -> None:
        """As its config."""
        self.run.config.update(dict(values), allow_val_change=True)

    def metrics(self, values: Mapping[str, float], update: int) -> None:
        """Over a metric `update` and not over its own step, which cannot go back to a checkpoint."""
        self.run.log({**values, "update": update})

    def words(self, values: Mapping[str, str], update: int) -> None:
        """Over the same metric as the numbers."""
        self.run.log({**values, "update": update})

    def result(self, values: Mapping[str, float], words: Mapping[str, str], report: Path | None, update: int) -> None:
        """As its summary, and the page as an artifact."""
        self.run.summary.update({**values, **words})
        if report is not None:
            artifact = self.wandb.Artifact(f"report-{self.run.id}", type="report")
            artifact.add_file(str(report))
            self.run.log_artifact(artifact)

    def close(self, ending: Ending) -> None:
        """255 is its number for a run that Ctrl-C ended."""
        if not self.shared:
            self.run.finish(exit_code={"finished": 0, "stopped": 255, "failed": 1}[ending])


class MLflow(Service):
    """A run of MLflow, in the store that MLFLOW_TRACKING_URI names or else in its local one."""

    title = "MLflow"
    _PARAMS, _LONGEST = 100, 500  # of a call, of a value
    # Its makers' usage statistics are off, and a server that is gone is given up after a minute or so, not a quarter
    # of an hour.
    _ENVIRONMENT = {  # noqa: RUF012 (read once)
        "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }  # fmt: skip

    def open(self, begun: Begun, known: Mapping[str, str]) -> dict[str, str]:
        """Begin a run or go on with one, where it was begun unless the environment says otherwise."""
        for name, value in self._ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import mlflow
        from mlflow.entities import Metric, Param
        from mlflow.tracking.context.registry import resolve_tags

        self.Metric, self.Param = Metric, Param
        self.pending: list[Any] = []  # calls that nobody waits for before the end
        uri = mlflow.get_tracking_uri() if "MLFLOW_TRACKING_URI" in os.environ else known.get("store")
        uri = uri or mlflow.get_tracking_uri()
        self.client = mlflow.MlflowClient(uri)
        if "id" in known:
            self.id = self.client.get_run(known["id"]).info.run_id
            self.client.update_run(self.id, status="RUNNING")
        else:
            tags = resolve_tags({"method": begun.method, "command": begun.command})
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            experiment = self.client.get_experiment_by_name(name)
            place = experiment.experiment_id if experiment else self.client.create_experiment(name)
            self.id = self.client.create_run(place, run_name=begun.folder.name, tags=tags).info.run_id
        return {"id": self.id, "store": without_password(uri)}

    def settings(self, values: Mapping[str, Any]) -> None:
        """As its parameters. It takes each once: those it has of a run that goes on are left as they are."""
        has = self.client.get_run(self.id).data.params
        new = [(name, str(value)[: self._LONGEST]) for name, value in flat(values).items() if name not in has]
        for i in range(0, len(new), self._PARAMS):
            self.client.log_batch(self.id, params=[self.Param(*pair) for pair in new[i : i + self._PARAMS]])

    def metrics(self, values: Mapping[str, float], update: int) -> None:
        """In a thread of its own, so that training does not wait for a server."""
        now = int(time.time() * 1000)
        found = [self.Metric(_mlflow_name(name), value, now, update) for name, value in values.items()]
        self.pending.append(self.client.log_batch(self.id, metrics=found, synchronous=False))

    def words(self, values: Mapping[str, str], update: int) -> None:
        """As tags, which know the newest alone: one after the other, and they are few, so training waits."""
        for name, text in values.items():
            self.client.set_tag(self.id, name, text)

    def result(self, values: Mapping[str, float], words: Mapping[str, str], report: Path | None, update: int) -> None:
        """As metrics and tags, and the page as an artifact."""
        self.metrics(values, update)
        self.words(words, update)
        if report is not None:
            self.client.log_artifact(self.id, str(report))

    def close(self, ending: Ending) -> None:
        """Raise if one of the calls that nobody waited for has failed."""
        try:
            for operation in self.pending:
                operation.wait()
        finally:
            status = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}[ending]
            self.client.set_terminated(self.id, status)


def flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested mappings as one: {"a": {"b": 1}} -> {"a/b": 1}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{above}{name}/") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return found


def without_password(uri: str) -> str:
    """The address without user and password, to be kept in a folder that others may read."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri


def _mlflow_name(name: str) -> str:
    return re.sub(r"[^\w/. -]", "_", name)


SERVICES: dict[str, type[Service]] = {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow}
