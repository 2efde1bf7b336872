"""A run folder: where its files are, and how they are written so that none is ever half there."""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from unlabel.errors import Fault, writing

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_LEFT = re.compile(r"\..+\.\d+\.tmp")  # what `write_atomically` calls a file that is not whole yet


def write_atomically(path: Path, data: bytes) -> None:
    """Write a whole file or nothing: a temporary neighbour, flushed to disk, then renamed over the old one.

    Fault where that cannot be done, as on a full disk; nothing of the new file is left there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def plain(value: Any) -> Any:
    """The value with what JSON cannot say (NaN, infinity, tuples) put into what it can."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically; NaN becomes null."""
    write_atomically(path, (json.dumps(plain(value), indent=1, ensure_ascii=True) + "\n").encode())


class RunFolder:
    """The files of one run, by name."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def run_json(self) -> Path:
        """The resolved configuration, versions, data, cost."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a line: training steps and monitor readings."""
        return self.path / "metrics.jsonl"

    @property
    def loggers(self) -> Path:
        """Which runs of W&B and MLflow belong to it, to go on with."""
        return self.path / "loggers.json"

    @property
    def checkpoint(self) -> Path:
        """Everything that training needs to go on."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def weights(self) -> Path:
        """The kept backbone."""
        return self.path / "backbone.safetensors"

    @property
    def classifier(self) -> Path:
        """What a classifier has behind its backbone."""
        return self.path / "classifier.safetensors"

    @property
    def backbone(self) -> Path:
        """How to build the network that the weights belong to."""
        return self.path / "backbone.json"

    @property
    def towers(self) -> Path:
        """The weights of image and text network, where a method has both."""
        return self.path / "towers.safetensors"

    @property
    def towers_facts(self) -> Path:
        """How to build the networks that they belong to."""
        return self.path / "towers.json"

    @property
    def tokeniser(self) -> Path:
        """What the captions of such a run go through."""
        return self.path / "tokenizer.json"

    @property
    def evaluation(self) -> Path:
        """Numbers of the evaluation, with their protocol and controls."""
        return self.path / "evaluation.json"

    @property
    def embeddings(self) -> Path:
        """Path, label and vector of the evaluated images."""
        return self.path / "embeddings.parquet"

    @property
    def artifacts(self) -> Path:
        """Pictures for the report."""
        return self.path / "artifacts"

    @property
    def over_time(self) -> Path:
        """What the method drew of the same images at several moments of training."""
        return self.artifacts / "over-time"

    @property
    def skipped(self) -> Path:
        """Files that could not be read, with the reason."""
        return self.path / "skipped.jsonl"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    def read(self) -> dict[str, Any]:
        """The contents of run.json; Fault if this is no run folder."""
        return read_json(
            self.run_json,
            f"{self.path} is not a run folder (it has no readable run.json); runs are made by `unlabel pretrain`",
        )

    @property
    def finished(self) -> bool:
        """Whether run.json says that nothing is left to do; Fault if this is no run folder."""
        return bool(self.read().get("finished"))

    def update(self, **values: Any) -> None:
        """Change some entries of run.json."""
        write_json(self.run_json, {**self.read(), **values})

    def remove_leftovers(self) -> None:
        """Remove what a process that was killed left half written; no other may be writing to the folder."""
        for path in self.path.rglob(".*.tmp"):
            if _LEFT.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def held(self) -> AbstractContextManager[None]:
        """Inside, this run is ours to train: Fault where another process does so. The journal is what is locked."""
        return alone(self.metrics, f"{self.path} is being trained by another process: wait for its end, or stop it")

    def readings(self) -> Iterator[dict[str, Any]]:
        """The lines of metrics.jsonl but for broken ones, which the report counts."""
        return read_lines(self.metrics)


def trained_updates(run: Mapping[str, Any]) -> Any:
    """The updates that a run of this run.json has in all: those it was planned for, or fewer where it ended early."""
    stopped = run.get("stopped")
    return stopped.get("updates") if isinstance(stopped, dict) else run.get("updates")


def read_json(path: Path, otherwise: str) -> dict[str, Any]:
    """The JSON object of a file, or a Fault with the sentence `otherwise`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise Fault(otherwise) from problem
    if not isinstance(found, dict):
        raise Fault(otherwise)
    return found


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file with one a line; broken lines, such as a last one cut off by a crash, are left out."""
    if not path.exists():
        return
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with suppress(ValueError):
                entry = json.loads(line) if line.endswith("\n") else None
                if isinstance(entry, dict):
                    yield entry


@contextmanager
def alone(file: Path, otherwise: str) -> Iterator[None]:
    """Inside, no other process is inside with this file, which stays as it is; Fault with the sentence `otherwise`.

    Nothing is left behind, and a crash lets go of it. Where file system or machine know no locks, nobody is kept out.
    """
    with writing(file):
        locked = open(file, "ab")  # noqa: SIM115 (closed below)
    with locked:
        try:
            if fcntl is not None:
                fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Fault(otherwise) from None
        except OSError:
            pass
        yield


def fresh(base: Path, name: str) -> Path:
    """Make the first of base/name-1, base/name-2, ... that does not exist yet; no two processes get the same."""
    base.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        with suppress(FileExistsError):
            (base / f"{name}-{number}").mkdir()
            break
    return base / f"{name}-{number}"
