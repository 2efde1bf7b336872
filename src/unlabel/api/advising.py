"""What to train with on a folder that was scanned: method, size, network, batch and length, each from what was found.

No speed is assumed: candidates are begun for a few seconds each (`engine.trial`), and a time budget is divided by what
an image took. The rules, in their order:

method    SimCLR, unless a picture would meet copies of itself among its negatives: then BYOL, which has none
size      that of the pictures, as `pretrain` would choose it; the next smaller while the budget allows too few updates
backbone  as `pretrain` would choose; the next larger one where the budget allows plenty of updates of it too
recipe    `minutes` where the budget allows less than plenty, else the automatic one
batch     that of the recipe; halved while updates are too few or memory is too small
length    the budget, with the epochs that it allows, or MOST_EPOCHS where it would be longer
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from unlabel import recipes
from unlabel.api.pretraining import plain_values
from unlabel.data.ahead import cores
from unlabel.data.findings import Scan
from unlabel.engine import options as engine_options
from unlabel.engine.advice import Advice, Choice
from unlabel.engine.job import Job, decide
from unlabel.engine.memory import free_memory
from unlabel.engine.run import Run, seconds
from unlabel.engine.sources import SIZES, Sources, open_sources, side_of_views
from unlabel.engine.trial import Trial, trial

FEW = 1_000  # updates: the five-minute runs of docs/evidence.md had about so many, and learned
PLENTY = 10_000  # updates that are enough for a larger network and for the slower recipe
FEW_PICTURES = 1_000  # to train on, below which nothing here was tried
MOST_EPOCHS = 1_000  # the longest that SimCLR's paper trained
SMALLEST_BATCH = 64  # images, below which nothing here was tried
COPIES = 0.5  # of a picture in its own batch
MEMORY = 0.5  # of what is free may be taken
LARGER = {"tiny_resnet": "small_resnet", "resnet18": "resnet50"}


@dataclass(frozen=True)
class _Tried:
    """A size and a network, begun: what it is, and how many updates of `batch` images the budget allows."""

    job: Job
    recipe: str
    trial: Trial
    batch: int
    updates: int

    @property
    def rate(self) -> float:
        """Images a second."""
        return 1 / self.trial.seconds

    def words(self) -> str:
        """What was measured."""
        network = self.job.backbone.name if self.job.backbone else ""
        updates = f"{_rounded(self.updates)} updates of {self.batch}"
        return f"{network} at {self.job.size} px: {_rounded(self.rate)} images/s, so {updates}"


class _Tries:
    """Begins candidates on one set of images, for one budget."""

    def __init__(self, method: str, data: str, budget: str, say: Callable[[str], None]) -> None:
        self.method, self.data, self.budget, self.say = method, data, budget, say
        self.done: list[_Tried] = []
        self.sources: Sources | None = None

    def __call__(self, size: int, backbone: str = "auto") -> _Tried:
        chosen = {"data": self.data, "size": size, "backbone": backbone, "budget": self.budget, "evaluate": False}
        options = engine_options.check(self.method, plain_values(chosen))
        self.sources = self.sources or open_sources(Run(**options.run))
        name, start = recipes.choose(self.method, "auto", data="", size=size)
        job = decide(options, start, self.sources)
        network = job.backbone.name if job.backbone else self.method
        self.say(f"timing {network} at {size} px")
        found = trial(job, self.sources, self.say)
        tried = self._planned(job, name, found)
        if tried.updates < PLENTY and size <= recipes.SMALL and "minutes" in recipes.recipes(self.method):
            start = recipes.choose(self.method, "minutes", data="", size=size)[1]
            tried = self._planned(decide(options, start, self.sources), "minutes", found)
        self.done.append(tried)
        return tried

    def _planned(self, job: Job, recipe: str, found: Trial) -> _Tried:
        """The batch of the recipe, or the largest half, quarter, ... of it that gives enough updates."""
        batch, budget = job.plan.batch_size, seconds(self.budget)
        while found.updates(budget, batch) < FEW and batch >= 2 * SMALLEST_BATCH:
            batch //= 2
        return _Tried(job, recipe, found, batch, found.updates(budget, batch))


def advise(found: Scan, data: str | Path, budget: str, say: Callable[[str], None] = lambda text: None) -> Advice | None:
    """What to pre-train with on the folder `data`, of which `found` is a scan, in a time such as "30m".

    say: hears what is being timed. None where there are fewer than two pictures to train on.
    Fault where the budget is no time.
    """
    engine_options.check("simclr", {"data": str(data), "budget": budget})
    if found.training < 2 or found.shorter_side is None:
        return None
    method, why = _method(found)
    tries = _Tries(method, str(data), budget, say)
    own = side_of_views(found.shorter_side)
    choices = [Choice("method", method, why)]
    best = tries(own)
    for size in reversed(SIZES[: SIZES.index(own)]):
        if best.updates >= FEW:
            break
        best = tries(size)
    choices.append(Choice("size", str(best.job.size), _why_size(found, tries.done, budget)))
    best, why = _larger(best, tries, budget)
    choices.append(Choice("backbone", best.job.run.backbone, why))
    choices.append(Choice("recipe", best.recipe, _why_recipe(best, budget)))
    best, why = _fitting(best, budget)
    choices.append(Choice("batch-size", str(best.batch), why))
    choices += _length(best, budget)
    words = ["unlabel", "pretrain", method, "--data", str(data)]
    words += [word for choice in choices[1:] if not choice.follows for word in (f"--{choice.name}", choice.value)]
    return Advice(shlex.join(words), choices, [tried.words() for tried in tries.done], _notes(best, budget))


def _method(found: Scan) -> tuple[str, str]:
    copies = {group[0]: group for group in found.duplicates}
    near = [[path for first in group for path in copies.pop(first, [first])] for group in found.near]
    inside = [
        sum(found.splits is None or found.split_of(path) == found.train for path in group)
        for group in (*near, *copies.values())
    ]
    images = found.training
    batch = min(images, recipes.choose("simclr", "auto", data="", size=0)[1]["batch_size"])
    met = sum(g * (g - 1) for g in inside) / images * (batch - 1) / (images - 1)
    if met >= COPIES:
        return "byol", (
            f"so many pictures are nearly the same that one meets {met:.1f} copies of itself in a batch, "
            "which SimCLR would push away from it; BYOL pushes nothing away"
        )
    return "simclr", (
        "of the systems that were compared in five minutes each on CIFAR-10 (SimCLR, BYOL, DINO, MAE, rotation) its "
        "features had the best kNN; docs/evidence.md has the table"
    )


def _why_size(found: Scan, done: list[_Tried], budget: str) -> str:
    own, last = done[0], done[-1]
    median = f"the shorter side of the pictures is {found.shorter_side:g} px at the median"
    suits = f"{median}, which views of {own.job.size} px suit"
    if own is last:
        return suits
    return (
        f"{suits}, but {budget} would be {_rounded(own.updates)} updates of {own.batch} images there; "
        f"at {last.job.size} px it is {_rounded(last.updates)} of {last.batch}"
    )


def _larger(best: _Tried, tries: _Tries, budget: str) -> tuple[_Tried, str]:
    """The largest network of which the budget allows plenty of updates, and why."""
    name = best.job.run.backbone
    device = "a GPU" if best.job.settings.device == "cuda" else f"{cores()} cores"
    why = f"small enough for {device}: {_rounded(best.rate)} images/s here"
    while name in LARGER and best.updates >= PLENTY:
        larger = tries(best.job.size, LARGER[name])
        if larger.updates < PLENTY:
            return (
                best,
                f"{why}; {LARGER[name]} would have {_rounded(larger.updates)} updates in {budget}, too few for it",
            )
        best, name = larger, LARGER[name]
        why = f"larger than {device} would suggest, for {budget} allow {_rounded(best.updates)} updates of it"
    return best, why


def _why_recipe(best: _Tried, budget: str) -> str:
    if best.recipe == "minutes":
        return f"for short training: {budget} are fewer than {PLENTY:,} updates"
    return f"starting values for pictures {'up to' if best.job.size <= recipes.SMALL else 'above'} {recipes.SMALL} px"


def _fitting(best: _Tried, budget: str) -> tuple[_Tried, str]:
    """The batch that fits into the memory that is free."""
    asked, batch, free = best.job.plan.batch_size, best.batch, free_memory(best.job.settings.device)
    why = "as many as there are pictures" if batch == best.job.images else "that of the recipe"
    if batch < asked:
        why = f"smaller than the recipe's {asked}, so that there are more updates"
    while free is not None and best.trial.bytes(batch) > MEMORY * free and batch > 2:
        batch //= 2
    if batch < best.batch:
        why = f"of a recipe's {asked} what takes no more than half of the free memory"
    memory = f"about {_gigabytes(best.trial.bytes(batch))}" + ("" if free is None else f" of {_gigabytes(free)} free")
    updates = best.trial.updates(seconds(budget), batch)
    return replace(best, batch=batch, updates=updates), f"{why}: {memory}"


def _length(best: _Tried, budget: str) -> list[Choice]:
    """How long to train: for the budget, and how many epochs that are, or for as many epochs as are enough."""
    images = best.job.images
    epochs, pictures = best.updates * best.batch / images, f"{images:,} pictures"
    if epochs <= MOST_EPOCHS:
        about = _rounded(epochs) if epochs >= 10 else f"{epochs:.2g}"
        why = f"in that time: about {_rounded(best.updates)} updates of {best.batch} of the {pictures} to train on"
        return [
            Choice("budget", budget, "the time that was given; training ends by itself when it is over"),
            Choice("epochs", f"about {about}", why, follows=True),
        ]
    takes = _time(MOST_EPOCHS * images * best.trial.seconds)
    why = f"{budget} would be {_rounded(epochs)} passes over {pictures}; so many are enough, in about {takes}"
    return [Choice("epochs", str(MOST_EPOCHS), why)]


def _notes(best: _Tried, budget: str) -> list[str]:
    """What speaks against the run."""
    said = []
    if best.updates < FEW:
        needed = _time(seconds(budget) * FEW / best.updates)
        said.append(
            f"{budget} are short for these pictures: about {_rounded(best.updates)} updates. {FEW:,}, as many as the "
            f"five-minute runs of the evidence had, take about {needed}"
        )
    if best.job.images < FEW_PICTURES:
        said.append(
            f"{best.job.images:,} pictures are few to learn from: the evidence is of 50,000. More of the same kind "
            "help, labelled or not; trust the network where the report has it above random weights"
        )
    return said


def _rounded(value: float) -> str:
    """Two digits: what was timed for seconds is known no better."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 1 else f"{value:.2g}"


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"


def _time(length: float) -> str:
    return f"{length / 60:,.0f} min" if length < 5400 else f"{length / 3600:,.1f} h"
