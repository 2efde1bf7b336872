"""Training: a job and its images in, a finished run folder out; stops and resumes to the bit."""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytorch_lightning as pl
import torch
from rich.console import Console

from unlabel.console import tell
from unlabel.data.captions import Tokenise
from unlabel.data.loader import ViewLoader
from unlabel.data.source import Source
from unlabel.engine import checkpoint
from unlabel.engine.album import Album, draws
from unlabel.engine.attention import use_explicit_attention
from unlabel.engine.callbacks import Beside, Enough, Leave, Signals, Stopwatch, quiet_lightning
from unlabel.engine.compiling import compile_networks
from unlabel.engine.folder import RunFolder
from unlabel.engine.job import Job, build_method, recipe
from unlabel.engine.localise import Localise, localise, whole_view
from unlabel.engine.loggers import Loggers
from unlabel.engine.machine import peak_memory_mb
from unlabel.engine.monitor import Monitor
from unlabel.engine.policies import refreshes
from unlabel.engine.progress import ProgressDisplay
from unlabel.engine.run import seconds
from unlabel.engine.sources import Sources
from unlabel.engine.subject import whose
from unlabel.engine.waiting import Waiting
from unlabel.errors import Fault, Interrupted, command
from unlabel.methods import Diverged, Method
from unlabel.views import Batch, View, evaluation, prepare_renderer

MONITOR_SHARE = 0.08  # of a time budget that readings may take
MEASURE_SHARE = 0.03
SOME = 512  # images by which finding the regions of all of them is timed
MILDER = "try a lower lr, a longer warmup or clip=1"


def loader(
    job: Job, method: Method, sources: Sequence[Source], start: int, stop: int, tokenise: Tokenise | None = None
) -> ViewLoader:
    """The batches of updates start .. stop-1 (each of `accumulate` batches)."""
    per = job.run.accumulate
    return ViewLoader(
        sources, recipe(job, method), job.plan.batch_size, seed=job.run.seed, start=start * per, stop=stop * per,
        threads=job.run.threads, channels_last=job.settings.channels_last, tokenise=tokenise,
        pauses=[moment * per for moment in refreshes(job.run, job.updates)],
    )  # fmt: skip


def first_batch(job: Job, method: Method, sources: Sources) -> Batch:
    """The first images' views of the first update: what the method saw."""
    batches = loader(job, method, sources.training, 0, 1, sources.tokenise)
    try:
        return batches.batch(0).rows(slice(0, method.pictured))
    finally:
        batches.close()


def trainer(job: Job, method: Method, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Lightning's trainer with everything of ours switched on and everything of its own that we replace off."""
    quiet_lightning()
    device = {"cuda": "gpu"}.get(job.settings.device, job.settings.device)
    return pl.Trainer(
        accelerator=device, devices=1, max_epochs=1, callbacks=callbacks, logger=False,
        precision="bf16-mixed" if job.settings.precision == "bf16" else "32-true",
        accumulate_grad_batches=job.run.accumulate if method.automatic_optimization else 1,
        gradient_clip_val=job.plan.clip if method.automatic_optimization else None,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, use_distributed_sampler=False, log_every_n_steps=1,
    )  # fmt: skip


def prepare(job: Job, build: Callable[[Job], Method] = build_method) -> Method:
    """The method of a job with its seeded first weights, in the memory format of the run."""
    torch.manual_seed(job.run.seed)
    method = build(job)
    if job.settings.channels_last:
        method = method.to(memory_format=torch.channels_last)
    if job.settings.explicit_attention:
        use_explicit_attention(method)
    if job.run.compile:
        compile_networks(method, job.settings.device)
    return method


def measure(
    job: Job, method: Method, monitor: Monitor, sources: Sources, waiting: Waiting, album: Album | None = None
) -> tuple[int, dict[str, float]]:
    """How many updates fit into the budget: trains a copy for a moment, so that the run itself starts afresh.

    Returns the number and what it was computed from (seconds).
    """
    begun = time.monotonic()
    budget = seconds(job.run.budget or "")
    least = min(10.0, MEASURE_SHARE * budget)
    with torch.random.fork_rng(devices=[]):
        trial = copy.deepcopy(method)
        if job.run.compile:  # which a copy is not
            compile_networks(trial, job.settings.device)
        trial.total_updates = 10**6
        first = _pace(job, trial, sources, waiting, least)
        # Images that stay decoded in memory are faster after the first epoch, if the budget lasts that long.
        longer = budget > job.updates_per_epoch * first
        kept = min(source.kept() for source in sources.training) if longer else 0.0
        again = _pace(job, trial, sources, waiting, least / 2, trial.updates) if kept else first
        trial.to(job.settings.device)  # Lightning leaves what it has trained on the CPU
        refreshing = _refreshing(job, trial, sources)
        count, reading = 0, time.monotonic()
        if job.run.monitors:
            monitor.read(trial)
            if album is not None:
                album.drawn(trial)
            reading = time.monotonic() - reading
            count = max(1, min(job.run.monitors, int(MONITOR_SHARE * budget / reading)))
    spent = time.monotonic() - begun
    left = budget - spent - refreshing - ((count + 1) * reading if count else 0.0)
    later = kept * again + (1 - kept) * first
    updates = int(left / first)
    if updates > job.updates_per_epoch:
        updates = job.updates_per_epoch + int((left - job.updates_per_epoch * first) / later)
    facts = {"budget": budget, "measuring": spent, "per_update": first, "per_update_later": later, "monitors": count}
    return max(1, updates), facts


def _pace(
    job: Job, trial: Method, sources: Sources, waiting: Waiting, least_seconds: float, most: int = 2 * Stopwatch.MOST
) -> float:
    """Seconds of an update, from some at the beginning of the training, not more than `most`."""
    watch = Stopwatch(least_seconds, ready=lambda: waiting.settled)
    rehearse(job, trial, loader(job, trial, sources.training, 0, most, sources.tokenise), [waiting, watch])
    return watch.per_update


def rehearse(job: Job, trial: Method, batches: ViewLoader, callbacks: list[pl.Callback]) -> None:
    """Train until one of the callbacks has had Enough, or for all of the batches, which are closed.

    Raises Fault where the loss is no number; KeyboardInterrupt after Ctrl-C, when the step is done.
    """
    with Signals() as signals:
        try:
            trainer(job, trial, [*callbacks, Leave(signals)]).fit(trial, batches)
        except Enough:
            pass
        except Diverged as problem:
            raise Fault(f"training was begun to time its updates, and stopped: {problem}; {MILDER}") from problem
        finally:
            batches.close()
    if signals.asked:
        raise KeyboardInterrupt


def fit(
    job: Job,
    sources: Sources,
    folder: RunFolder,
    console: Console,
    *,
    loggers: Loggers,
    resume: bool = False,
    build: Callable[[Job], Method] = build_method,
) -> Job:
    """Train and leave a run folder behind; returns the job with its number of updates fixed.

    loggers: told the numbers of training; closed by whoever made them.
    build: makes the method as it is before the first update.

    Raises Fault with a sentence for the user when the loss diverges and the run may not end early, or the folder cannot
    be written; Interrupted after Ctrl-C, with all saved; KeyboardInterrupt where that was before there was something to
    save.
    """
    folder.remove_leftovers()
    prepare_renderer(lambda text: tell(console, text))
    method = prepare(job, build)
    view = evaluation(job.size, *_statistics(job, method))
    monitor = Monitor(sources, view, job.settings.device)
    if job.run.monitors and not resume and monitor.lack:
        tell(console, monitor.lack)
    stored = checkpoint.load(folder.checkpoint) if resume else None
    album = None
    if draws(method):
        album = Album(folder, job, method.pictured_together, lambda: first_batch(job, method, sources))
    loggers.open(stored.updates if stored else 0)
    waiting = Waiting()
    if job.updates == 0:
        updates, facts = measure(job, method, monitor, sources, waiting, album)
        job = replace(job, updates=updates, run=replace(job.run, monitors=int(facts["monitors"])))
        folder.update(**job.as_dict(), budget=facts)
        pace = f"{facts['per_update'] * 1e3:.0f} ms an update"
        if job.epochs > 1 and facts["per_update_later"] != facts["per_update"]:
            pace += f", {facts['per_update_later'] * 1e3:.0f} of images that are in memory"
        tell(console, f"budget {job.run.budget}: {pace}, so {updates} updates ({job.epochs:.1f} epochs)")
        method.total_updates, method.total_epochs = job.updates, job.epochs
    loggers.settings(job)
    live = monitor.declared(whose(method)) if job.run.monitors else None
    folder.update(collapse_values=method.collapse_values(job.plan.batch_size), live=live)
    if stored is not None:
        checkpoint.restore(method, stored, folder.checkpoint)
        monitor.neighbours = stored.neighbours
    done = method.updates
    if done >= (stored.stop["end"] if stored and stored.stop else job.updates):
        return job
    display = ProgressDisplay(console, job.updates, done)
    batches = loader(job, method, sources.training, done, job.updates, sources.tokenise)
    if stored is not None and stored.regions is not None:
        batches.regions = stored.regions.numpy()
    crops = Localise(job, sources.training[0], _whole(job, method), batches, refreshes(job.run, job.updates), done)
    with Signals() as signals:
        beside = Beside(job, folder, monitor, display, signals, stored, batches, loggers, album)
        try:
            trainer(job, method, [waiting, crops, beside]).fit(method, batches)
        except Diverged as problem:
            if beside.stop is None:
                raise Fault(
                    f"training stopped: {problem}; the last good checkpoint is {folder.checkpoint}; {MILDER}"
                ) from problem
        finally:
            batches.close()
            display.close()
            beside.journal.close()
    images = method.updates * job.plan.batch_size * job.run.accumulate
    cost = {
        "seconds": beside.trained, "aside": beside.aside, "images_per_second": images / beside.trained,
        "peak_memory_mb": peak_memory_mb(),  # of the process up to now: an evaluation may take more
    }  # fmt: skip
    folder.update(cost={name: round(value, 2) for name, value in cost.items()})
    if signals.asked:  # in the last update: what follows takes minutes
        go_on = command(job.command, "--resume", folder.path)
        raise Interrupted(f"stopped after the last update; everything is saved: go on with `{go_on}`")
    return job


def _statistics(job: Job, method: Method) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation that the method's images are normalised with."""
    view = recipe(job, method).views[0]
    return view.mean, view.std


def _whole(job: Job, method: Method) -> View:
    return whole_view(job.size, *_statistics(job, method))


def _refreshing(job: Job, method: Method, sources: Sources) -> float:
    """Seconds that finding regions of interest will take in the run, from those of some images."""
    times = len(refreshes(job.run, 10**6))
    if not times:
        return 0.0
    source, begun = sources.training[0], time.monotonic()
    some = np.unique(np.linspace(0, len(source) - 1, min(SOME, len(source))).astype(np.int64))
    localise(method, source, _whole(job, method), before=None, threshold=0.0, device=job.settings.device, indices=some)
    return times * (time.monotonic() - begun) * len(source) / len(some)
