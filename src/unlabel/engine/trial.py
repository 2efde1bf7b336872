"""A job begun for a few seconds, to learn what an image costs: time with its views drawn beside, and memory."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch

from unlabel.engine.callbacks import Stopwatch
from unlabel.engine.fit import MEASURE_SHARE, MONITOR_SHARE, loader, prepare, rehearse
from unlabel.engine.job import Job
from unlabel.engine.memory import WORKING, lasting_bytes, saved_bytes
from unlabel.engine.sources import Sources
from unlabel.engine.waiting import Asleep
from unlabel.views import prepare_renderer

_SECONDS = 1.5  # of steps that are timed, at least
_PIXELS = {"cuda": 1 << 22}  # of the images in a batch; a batch on a GPU must be large to be fast
_FEW_PIXELS = 1 << 18
_LEAST = 16  # images


@dataclass(frozen=True)
class Trial:
    """What training costs here.

    seconds: of an image in an update;  saved: bytes that autograd keeps of an image;  lasting: bytes for any batch.
    """

    seconds: float
    saved: float
    lasting: int

    def updates(self, budget: float, batch: int) -> int:
        """How many updates of so many images a time budget in seconds allows, readings during training taken off."""
        return max(1, int(budget * (1 - MONITOR_SHARE - MEASURE_SHARE) / (self.seconds * batch)))

    def bytes(self, batch: int) -> float:
        """Memory that training takes beside the program itself."""
        return self.lasting + WORKING * self.saved * batch


def trial(job: Job, sources: Sources, say: Callable[[str], None] = lambda text: None) -> Trial:
    """Begin a job, in small batches, and time some updates. Nothing is written, and torch's generators are put back.

    say: hears it if what draws views must be compiled first, which takes a while.

    Raises as `rehearse` does.
    """
    pixels = _PIXELS.get(job.settings.device, _FEW_PIXELS)
    images = min(job.plan.batch_size, max(_LEAST, pixels // job.size**2))
    job = replace(job, plan=replace(job.plan, batch_size=images), run=replace(job.run, accumulate=1))
    prepare_renderer(say)
    watch = Stopwatch(least_seconds=_SECONDS, ready=lambda: True)
    with torch.random.fork_rng(devices=[]), Asleep():
        method = prepare(job)
        method.total_updates = 10**6
        lasting = lasting_bytes(method)
        few = min(images, _LEAST)
        small = replace(job, plan=replace(job.plan, batch_size=few))
        first = loader(small, method, sources.training, 0, 1, sources.tokenise).batch(0)
        with torch.autocast("cpu", torch.bfloat16) if job.settings.precision == "bf16" else nullcontext():
            saved = saved_bytes(method, first) / few
        batches = loader(job, method, sources.training, 0, 2 * Stopwatch.MOST, sources.tokenise)
        rehearse(job, method, batches, [watch])
    return Trial(watch.per_update / images, saved, lasting)
