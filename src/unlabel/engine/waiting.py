"""How OpenMP's threads wait for their next piece of work: spinning or asleep, whichever trains faster just now.

torch's OpenMP (libgomp) lets them spin for some milliseconds. They begin the next piece at once, which saves up to a
fifth of a step; but beside view threads or other programs they hold the processor that the thread they wait for
needs, and steps can take several times as long. What else runs changes, so both are tried now and then.

libgomp gives up spinning while there are more OpenMP threads than processors (its manual, GOMP_SPINCOUNT). `Asleep`
makes it so: a thread with an OpenMP team of its own, which does nothing.
"""

import os
import statistics
import sys
import threading
import time
from typing import Any

import pytorch_lightning as pl
import torch

_PIECE = 1 << 15  # elements that torch gives to one thread at least


def can_choose() -> bool:
    """Whether `Asleep` has an effect: on Linux, with several threads, and where the user has not chosen already."""
    chosen = "OMP_WAIT_POLICY" in os.environ or "GOMP_SPINCOUNT" in os.environ
    return sys.platform == "linux" and torch.get_num_threads() > 1 and not chosen


class Asleep:
    """While inside, OpenMP's threads sleep as they wait."""

    def __enter__(self) -> "Asleep":
        self._leave, ready = threading.Event(), threading.Event()
        arguments = (torch.get_num_threads(), ready)
        self._thread = threading.Thread(target=self._stay, args=arguments, daemon=True, name="unlabel-asleep")
        if can_choose():
            self._thread.start()
            ready.wait()
        return self

    def _stay(self, threads: int, ready: threading.Event) -> None:
        torch.set_num_threads(threads)  # a new thread begins with what another one set last: view threads take one
        torch.zeros(_PIECE * threads).add_(1)  # by a new team, this thread's own
        ready.set()
        self._leave.wait()

    def __exit__(self, *problem: object) -> None:
        self._leave.set()
        if self._thread.ident is not None:
            self._thread.join()


class Choice:
    """Tells by the times of steps whether threads shall be asleep: tries the other way now and then, keeps the better.

    Begins asleep, which is never slow. Tries after the first steps, then every `again` seconds, and at once when steps
    become much slower than they were. `settled`: whether the first trial is over.
    """

    STEPS = 5  # of each way that are compared
    SLOW = 1.4  # times the usual: a trial ends early, or begins

    def __init__(self, again: float = 60.0) -> None:
        self.asleep = True
        self.again = again
        self._trial = False
        self._usual = float("inf")  # seconds of a step of the way that is not on trial
        self._next = 0.0
        self.settled = False
        self._times: list[float] = []
        self._skip = 2  # steps that say little: the first of all, and the one after a change

    def after(self, seconds: float, now: float) -> bool:
        """Whether threads shall be asleep during the next step, after one that took so many seconds."""
        if self._skip:
            self._skip -= 1
            return self.asleep
        self._times = [*self._times, seconds][-self.STEPS :]
        median = statistics.median(self._times)
        if self._trial:
            hopeless = len(self._times) > 1 and min(self._times) > self.SLOW * self._usual
            if hopeless or len(self._times) == self.STEPS:
                self._trial, self._next, self.settled = False, now + self.again, True
                if median > self._usual:
                    self._change()
                else:
                    self._usual = median
        elif len(self._times) == self.STEPS and (now >= self._next or median > self.SLOW * self._usual):
            self._usual, self._trial = median, True
            self._change()
        return self.asleep

    def _change(self) -> None:
        self.asleep, self._times, self._skip = not self.asleep, [], 1


class Waiting(pl.Callback):
    """Lets a `Choice` watch the steps of training and does what it says; the next training may use it again."""

    def __init__(self) -> None:
        self._choice = Choice()
        self._now: Asleep | None = None
        self._begun = 0.0

    @property
    def settled(self) -> bool:
        """Whether both ways have been tried, or there is no choice."""
        return self._choice.settled or not can_choose()

    def on_train_start(self, *arguments: Any) -> None:
        """Before the first step."""
        self._be(self._choice.asleep)

    def on_train_batch_start(self, *arguments: Any) -> None:
        """Views are drawn before this: their time is not the step's."""
        self._begun = time.monotonic()

    def on_train_batch_end(self, *arguments: Any) -> None:
        """After a step, before readings and checkpoints."""
        if not can_choose():
            return
        now = time.monotonic()
        self._be(self._choice.after(now - self._begun, now))

    def _be(self, asleep: bool) -> None:
        if asleep and self._now is None:
            self._now = Asleep().__enter__()
        elif not asleep:
            self._wake()

    def on_train_end(self, *arguments: Any) -> None:
        """After the last step: back to what OpenMP does by itself."""
        self._wake()

    def on_exception(self, *arguments: Any) -> None:
        """The same where training ends early."""
        self._wake()

    def _wake(self) -> None:
        if self._now is not None:
            self._now.__exit__()
        self._now = None
