"""What happens beside the steps of training: the journal, readings, checkpoints, a clean stop."""

import json
import math
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import pytorch_lightning as pl
import torch

from unlabel.data.loader import ViewLoader
from unlabel.diagnostics import WRONG, Stop, Verdict, stop, title, verdict
from unlabel.engine import checkpoint
from unlabel.engine.album import Album, thinned
from unlabel.engine.folder import RunFolder, plain
from unlabel.engine.job import Job
from unlabel.engine.loggers import Loggers
from unlabel.engine.monitor import Monitor
from unlabel.engine.progress import ProgressDisplay
from unlabel.engine.run import seconds
from unlabel.errors import Interrupted, command, writing
from unlabel.methods import Diverged, Method
from unlabel.views import Batch

MOST_LINES = 2_000


class Enough(Exception):
    """The speed of training is measured, or somebody does not want to know it any more."""


class Signals:
    """While inside, Ctrl-C and a request to terminate are noted instead of obeyed; `asked` tells."""

    def __init__(self) -> None:
        self.asked = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def __enter__(self) -> "Signals":
        self.main = threading.current_thread() is threading.main_thread()
        if self.main:
            self.before = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.main:
            for number, handler in self.before.items():
                signal.signal(number, handler)


class Leave(pl.Callback):
    """Ends training when somebody asks for it."""

    def __init__(self, signals: Signals) -> None:
        self.signals = signals

    def on_train_batch_end(self, *arguments: Any) -> None:
        """After a step."""
        if self.signals.asked:
            raise Enough


class Journal:
    """metrics.jsonl, appended to line by line; after a resume it goes on where the checkpoint was."""

    def __init__(self, path: Path, keep: int) -> None:
        """keep: bytes of an existing file that belong to the past; what follows them is cut off.

        A file that was damaged may be shorter, or cut within a line: the next line is one of its own all the same.
        Fault, here and later, where the file cannot be written.
        """
        self.path = path
        with writing(path):
            path.touch()
            with open(path, "r+b") as file:
                kept = file.read(keep)
                file.truncate(len(kept))
                if not kept.endswith(b"\n") and kept:
                    file.write(b"\n")
            self.file = open(path, "ab")  # noqa: SIM115 (closed by `close`)

    def write(self, **line: Any) -> None:
        """Append one JSON object; it is on disk when this returns, should the process be killed."""
        with writing(self.path):
            self.file.write((json.dumps(plain(line)) + "\n").encode())
            self.file.flush()

    @property
    def length(self) -> int:
        """Bytes written so far."""
        return self.file.tell()

    def close(self) -> None:
        """Close the file, which first writes what could not be written before."""
        with writing(self.path):
            self.file.close()


class Beside(pl.Callback):
    """Everything beside the steps, in a fixed order: journal, reading, decision, checkpoint, stop.

    The order matters for resuming: a checkpoint knows the length of the journal that belongs to it, and the decision to
    end early that follows from it.
    """

    def __init__(self, job: Job, folder: RunFolder, monitor: Monitor, display: ProgressDisplay, signals: Signals,
                 resumed: checkpoint.Checkpoint | None, batches: ViewLoader, loggers: Loggers,
                 album: Album | None = None) -> None:  # fmt: skip
        self.job, self.folder, self.monitor, self.display, self.signals = (
            job,
            folder,
            monitor,
            display,
            signals,
        )
        self.resumed = resumed
        self.batches = batches
        self.loggers = loggers
        self.seen = resumed.updates if resumed else 0
        self.past = resumed.seconds if resumed else 0.0
        self.aside = 0.0  # seconds spent on readings and checkpoints, which are not training
        self.journal = Journal(folder.metrics, resumed.lines if resumed else 0)
        self.history = [line for line in folder.readings() if "monitor" in line or "loss" in line]
        judged = [line["verdict"]["state"] for line in self.history if "verdict" in line]
        self.state = judged[-1] if judged else None  # of the newest verdict
        self.stop = Stop(**resumed.stop) if resumed and resumed.stop else None
        self.save_seconds = seconds(job.run.save_every)
        self.every = max(1, job.updates // MOST_LINES)
        count = job.run.monitors
        self.moments = {round(job.updates * i / count) for i in range(count + 1)} if count else set()
        self.album = album
        self.pictured = thinned(self.moments)
        if self.stop is not None:
            self._look_at(self.stop.end)

    # ------------------------------------------------------------ Lightning's hooks

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put back what the checkpoint holds; torch's generators last, so that nothing draws from them after."""
        method = _method(pl_module)
        self.collapse_values = method.collapse_values(self.job.plan.batch_size)
        method.cool_down = None if self.stop is None else (self.stop.decided, self.stop.end)
        self.begun = self.saved = self.window = time.monotonic()
        self.window_updates = self.seen
        if self.resumed is not None:
            for optimiser, state in zip(trainer.optimizers, self.resumed.optimisers, strict=True):
                optimiser.load_state_dict(state)
            checkpoint.restore_rng(self.resumed.rng)
        else:
            if 0 in self.moments:
                self._read(method)
            self._save(trainer, method)
            self.aside += time.monotonic() - self.begun

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """After a batch that made an update."""
        method = _method(pl_module)
        if method.updates == self.seen:
            return  # accumulating
        self.seen = method.updates
        if self.seen % self.every == 0 or self.seen == self.end:
            self._write(trainer, method)
        aside = time.monotonic()
        if self.seen in self.moments:
            self._read(method)
            if self.job.run.stop_when_done and self.stop is None:
                self._decide(method)
        last = self.seen == self.end
        if last or self.signals.asked or time.monotonic() - self.saved > self.save_seconds:
            self._save(trainer, method)
        self.aside += time.monotonic() - aside
        if self.signals.asked and not last:
            raise Interrupted(
                f"stopped after update {self.seen} of {self.end}; everything is saved: "
                f"go on with `{command(self.job.command, '--resume', self.folder.path)}`"
            )
        if last:
            trainer.should_stop = True  # the plan may go on

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """A loss that is not finite is noted; a run that may end early ends with it, and is evaluated."""
        if not isinstance(exception, Diverged):
            return
        self._note(update=self.seen + 1, loss=math.nan, terms=exception.terms)
        if not self.job.run.stop_when_done:
            return
        method = _method(pl_module)
        found = verdict(self.history, final=None, finished=False)
        self._end(method, Stop(found.state, self.seen, self.seen, found.sentence, found.advice))
        self._save(trainer, method)

    # ------------------------------------------------------------ what they do

    @property
    def end(self) -> int:
        """After which update training ends."""
        return self.job.updates if self.stop is None else self.stop.end

    @property
    def trained(self) -> float:
        """Seconds of training, without readings and checkpoints."""
        return self.past + time.monotonic() - self.begun - self.aside

    def _write(self, trainer: pl.Trainer, method: Method) -> None:
        terms = {name: float(value) for name, value in method.terms.items()}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        images = self.job.plan.batch_size * self.job.run.accumulate
        speed = self.seen * images / max(self.trained, 1e-9)
        loss = sum(terms.values())
        self._note(loss=loss, terms=terms, lr=rate, images_per_second=round(speed, 1))
        self.loggers.metrics({"loss": loss, "lr": rate, "images_per_second": speed, **terms}, self.seen)
        self.display.show(self.seen, loss=f"{loss:.3f}", **{"img/s": f"{speed:.0f}"})

    def _note(self, **facts: Any) -> None:
        """A line of the journal, of this moment."""
        update = facts.pop("update", self.seen)
        line = {"update": update, "epoch": update / self.job.updates_per_epoch, "seconds": round(self.trained, 3)}
        self.journal.write(**line, **facts)
        if "loss" in facts or "monitor" in facts:
            self.history.append(line | facts)

    def _decide(self, method: Method) -> None:
        """Whether training ends early, by the reading that was just taken."""
        found = stop(
            self.history, updates=self.job.updates, warmup=self.job.plan.warmup, collapse_values=self.collapse_values
        )
        if found is not None:
            self._end(method, found)

    def _look_at(self, update: int) -> None:
        """The new end is a moment for a reading and for pictures."""
        self.moments.add(update)
        self.pictured = self.pictured | {update}

    def _end(self, method: Method, found: Stop) -> None:
        """Training ends early: everybody is told."""
        self.stop = found
        self._look_at(found.end)
        method.cool_down = (found.decided, found.end)
        facts = {**asdict(found), "planned": self.job.updates, "updates": found.end}
        self._note(stop=facts)
        self.folder.update(stopped=facts)
        then = f"the learning rate falls to 0 until update {found.end}" if found.end > found.decided else "it ends here"
        self.display.shorten(found.end, self._worded(found, f"{found.sentence} So {then}."))

    def _read(self, method: Method) -> None:
        if self.album is not None and self.seen in self.pictured:
            self.album.draw(method, self.seen)
        reading = self.monitor.read(method)
        if not reading:
            return
        known = [*self.history, {"update": self.seen, "monitor": reading}]
        judged = verdict(known, final=None, finished=False, collapse_values=self.collapse_values)
        said = {"state": judged.state, "sentence": judged.sentence}
        self._note(monitor=reading, spectrum=self.monitor.spectra, verdict=said)
        self.loggers.metrics({f"monitor/{name}": value for name, value in reading.items()}, self.seen)
        facts = {"kNN": f"{reading['knn']:.1f}%"} if "knn" in reading else {}
        self.display.show(self.seen, **facts, rank=f"{reading['effective_rank']:.0f}", verdict=judged.title)
        if judged.state != self.state:
            self._changed(judged)

    def _changed(self, judged: Verdict) -> None:
        """Loggers are told every change of the verdict; a person, that something is wrong, and that it no longer is."""
        before, self.state = self.state, judged.state
        self.loggers.verdict(asdict(judged), self.seen)
        if judged.state in WRONG or before in WRONG:
            self.display.say(self._worded(judged, judged.sentence))

    def _worded(self, found: Verdict | Stop, sentence: str) -> str:
        """ "Complete collapse at update 16 of 48: ...", with the advice after it."""
        words = f"{title(found.state)} at update {self.seen} of {self.job.updates}: {sentence} {found.advice}"
        return words[0].upper() + words[1:]

    def _save(self, trainer: pl.Trainer, method: Method) -> None:
        if trainer.is_global_zero:
            checkpoint.save(
                self.folder.checkpoint,
                method,
                trainer.optimizers,
                lines=self.journal.length,
                seconds=self.trained,
                regions=None if self.batches.regions is None else torch.from_numpy(self.batches.regions),
                neighbours=self.monitor.neighbours,
                stop=None if self.stop is None else asdict(self.stop),
            )
        self.saved = time.monotonic()


class Stopwatch(pl.Callback):
    """Measures seconds an update on the run's own images, network and machine, then ends the measurement.

    Where there are no more batches before, what was counted so far stands.
    """

    WARM, LEAST, MOST = 3, 6, 60

    def __init__(self, least_seconds: float, ready: Callable[[], bool]) -> None:
        self.least_seconds = least_seconds
        self.ready = ready
        self.per_update = float("nan")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The method may have been trained before."""
        self.before = _method(pl_module).updates

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Count updates after the first few, which allocate memory, choose kernels and try ways of waiting."""
        updates = _method(pl_module).updates - self.before
        now = time.monotonic()
        if updates <= self.WARM or (updates <= self.MOST and not self.ready()):
            self.begun, self.first = now, updates
            return
        counted = updates - self.first
        if counted >= self.LEAST:
            self.per_update = (now - self.begun) / counted
            if now - self.begun >= self.least_seconds or counted >= self.MOST:
                raise Enough


def _method(module: pl.LightningModule) -> Method:
    assert isinstance(module, Method)
    return module


def quiet_lightning() -> None:
    """Lightning's remarks on devices and loaders are not for our users; our own log says what was chosen."""
    import logging
    import warnings

    for name in (
        "pytorch_lightning",
        "lightning.pytorch",
        "lightning_fabric",
        "pytorch_lightning.utilities.rank_zero",
    ):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", module="lightning_fabric")
