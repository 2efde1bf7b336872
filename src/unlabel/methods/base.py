"""What every self-supervised method is: six verbs and a clock.

A method says which views it needs (`views`), what it minimises (`loss`), what follows an update
(`after_update`), who owns an optimiser (`players`) and what evaluation sees (`embed`). Lightning owns the
devices, the precision and the loop.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from unlabel.errors import Fault
from unlabel.optim import curves
from unlabel.optim.plan import Plan, is_vector, make_optimiser
from unlabel.views import Batch, Recipe


@dataclass(frozen=True)
class Player:
    """One owner of an optimiser: a name and the parameters, by name, that it moves.

    steady: beginnings of the names of those whose learning rate stays at its peak, whatever the schedule.
    """

    name: str
    parameters: list[tuple[str, nn.Parameter]]
    steady: tuple[str, ...] = ()


@runtime_checkable
class Translates(Protocol):
    """A method that turns images of one domain into images of another."""

    def translate(self, x: Tensor) -> Tensor:
        """Images [B, 3, H, W] as the method's views normalise them -> the same of the second domain."""
        ...


@runtime_checkable
class Reads(Protocol):
    """A method that puts images and texts into one space, where cosines compare them."""

    def image_vectors(self, x: Tensor) -> Tensor:
        """Images [B, C, S, S] as the method's views normalise them -> [B, D]."""
        ...

    def text_vectors(self, tokens: Tensor) -> Tensor:
        """Ids of tokens [B, L] -> [B, D]."""
        ...


@runtime_checkable
class Assigns(Protocol):
    """A method that assigns images to prototypes."""

    def assigned(self, h: Tensor) -> Tensor:
        """Representations [B, D], as `embed` makes them -> how likely each prototype is, [B, K], rows that sum to 1."""
        ...


@runtime_checkable
class Classifies(Protocol):
    """A method that says which class an image is of."""

    @property
    def head(self) -> nn.Module:
        """From features [B, D] to logits [B, K]."""
        ...

    def classify(self, x: Tensor) -> Tensor:
        """Images [B, C, S, S] -> logits [B, K]."""
        ...

    def tell(self, labels: Tensor) -> None:
        """The class of each training image, [images] int64, -1 where it is not known."""
        ...


class Diverged(Exception):
    """The loss became NaN or infinite.

    update: the update at which it happened; terms: the named terms of the loss at that moment.
    """

    def __init__(self, update: int, terms: dict[str, float]) -> None:
        self.update = update
        self.terms = terms
        listed = ", ".join(f"{name} = {value:g}" for name, value in terms.items())
        super().__init__(f"the loss is not a finite number at update {update} ({listed})")


class Method(pl.LightningModule, ABC):
    """One self-supervised learning system. Subclasses are final, one per file, and cite their paper or source.

    The constructor of a subclass takes the backbone and keyword-only hyperparameters with the paper's values
    as defaults; these are the method's options on the command line.
    """

    title: ClassVar[str]
    family: ClassVar[Literal["joint-embedding", "masked", "pretext", "generative", "translation", "labelled"]]
    paper: ClassVar[str]
    """arXiv identifier; "" for a system without a paper, whose docstring then has a section `Source` instead."""
    year: ClassVar[int]
    pool: ClassVar[Literal["default", "mean"]] = "default"
    """How a ViT makes its one vector: the class token, or the mean of its patch tokens."""
    view_range: ClassVar[tuple[int, int]] = (2, 2)
    """How many views of an image the loss takes, at least and at most."""
    pictured: ClassVar[int] = 8
    """How many images `picture` is given, at most."""
    pictured_together: ClassVar[bool] = False
    """Whether what `picture` draws is of all of its images at once, and of one alone would say nothing."""
    captions: ClassVar[bool] = False
    """Whether the loss looks at `batch.tokens`, texts; there are then hyperparameters `vocabulary` and `context`."""
    host: ClassVar[Literal["any", "vit"]] = "any"
    """Which backbones the method can train."""
    finetune_from: ClassVar[int] = 0
    """How many layers of the projector stay on the backbone in fine-tuning, unless the user says otherwise."""
    limits: ClassVar[dict[str, tuple[float, float]]] = {}
    """Closed ranges of hyperparameters; those not listed must be >= 0."""
    takes_negatives: bool = False
    """Whether the loss makes use of `batch.negative`, an image's hard negative."""
    plan: Plan
    """How it is optimised. The class attribute is the paper's; a run puts its own in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.updates = 0
        self.total_updates = 0  # not known yet: see `begin`
        self.total_epochs = 1.0
        self.terms: dict[str, Tensor] = {}
        self.cool_down: tuple[int, int] | None = None

    # ---------------------------------------------------------------- the six verbs

    @abstractmethod
    def views(self, size: int) -> Recipe:
        """The views that the method needs of images rendered at `size` pixels."""

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor | dict[str, Tensor]:
        """The objective of one batch: a scalar, or named scalars that add up to it.

        Touches networks, buffers, `progress`, `gather` and `mine`, and nothing of the trainer.
        """

    def after_update(self) -> None:
        """Once per real optimiser update, with `progress` already moved on: teachers follow, centres move."""
        return

    def players(self) -> list[Player]:
        """Who owns an optimiser, in order of play."""
        return [Player("all", [(n, p) for n, p in self.named_parameters() if p.requires_grad])]

    def embed(self, x: Tensor) -> Tensor:
        """The representation that evaluation sees: images [B, 3, S, S] -> [B, D]."""
        return self.kept(x)

    @property
    def progress(self) -> float:
        """How much of training is done, in [0, 1]; every schedule is a function of it. 0 until `begin`."""
        return min(self.updates / self.total_updates, 1.0) if self.total_updates else 0.0

    # ---------------------------------------------------------------- what some methods also say

    def prepare(self, images: int) -> None:
        """Once, before the first update: what is made for a training set of so many images, such as a memory bank."""
        return

    @property
    def kept(self) -> nn.Module:
        """The network that is worth keeping; heads, and for some methods students, are thrown away."""
        return self.get_submodule("backbone")

    def project(self, h: Tensor) -> Tensor:
        """What the loss compares: representations [B, D], as `embed` makes them, -> embeddings [B, d].

        That is what the module called `projector` makes of them; without one they are the representations themselves.
        """
        projector = dict(self.named_children()).get("projector")
        return h if projector is None else projector(h)

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """What the loss is where learning failed: {what is the case there: value}, such as "all embeddings are equal".

        batch_size  B > 1, the images of a batch, of all ranks

        Empty where no such value is known in advance. It is the sum of all terms; one at which a loss sits does not
        prove the failure, for BYOL's is also that of a task that is solved.
        """
        return {}

    def followed(self) -> tuple[nn.Module, nn.Module] | None:
        """The backbones of the teacher and of the student that it is an average of; None without a teacher.

        Both turn images [B, C, S, S] into representations [B, D] and have parameters of the same names.
        """
        return None

    def before_update(self) -> None:
        """Gradients are ready and the optimiser has not moved yet: the place to cancel or clip some of them."""
        return

    def picture(self, batch: Batch) -> dict[str, Tensor]:
        """Named pictures, uint8 [3, H, W], that show what the method does with these views."""
        return {}

    @property
    def epoch(self) -> float:
        """Epochs done so far, as a fraction: progress times the length of training."""
        return self.progress * self.total_epochs

    # ---------------------------------------------------------------- the update

    def begin(self, *, images: int, updates: int, batch_size: int) -> None:
        """Once, before the first update, in a loop of your own: on how many images, how long, how many in a batch.

        Schedules, the learning rate for such a batch and memory banks go by it. `unlabel.pretrain` sees to it itself,
        and so does `fit` of a trainer whose data come from torch's DataLoader.
        """
        self.plan = replace(self.plan, batch_size=batch_size)
        self.total_updates, self.total_epochs = updates, updates * batch_size / images
        self.prepare(images)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """One automatic step: Lightning descends on what this returns."""
        return self.total(self.loss(batch))

    def total(self, loss: Tensor | dict[str, Tensor]) -> Tensor:
        """The sum of the terms of a loss, noted for the log; raises Diverged unless it is finite."""
        terms = loss if isinstance(loss, dict) else {"loss": loss}
        total = torch.stack([value.float() for value in terms.values()]).sum()
        self.terms = {name: value.detach() for name, value in terms.items()}
        if not torch.isfinite(total):
            raise Diverged(self.updates, {name: float(value) for name, value in self.terms.items()})
        return total

    def descend(self, player: str, loss: Tensor) -> None:
        """One player's move, for methods with several: clear its gradients, backward, step."""
        optimisers = self.optimizers()
        position = [p.name for p in self.players()].index(player)
        optimiser = optimisers[position] if isinstance(optimisers, list) else optimisers
        optimiser.zero_grad()
        self.manual_backward(loss)
        self.before_update()
        if self.plan.clip is not None:
            self.clip_gradients(optimiser, self.plan.clip, "norm")  # type: ignore[arg-type]
        optimiser.step()

    def advance(self) -> None:
        """An update is done: the clock moves, then what follows an update."""
        self.updates += 1
        self.after_update()

    def set_rates(self, optimisers: list[Optimizer]) -> None:
        """Put this moment's learning rate and weight decay into the optimisers."""
        now = curves.middle(self.updates, self.total_updates)
        peak = self.plan.peak(self.plan.batch_size)
        rate = self.plan.rate(now, self.plan.batch_size)
        if self.cool_down is not None:  # training was shortened: everything but the rate goes on as it was planned
            rate *= curves.cool_down(self.updates, *self.cool_down)
        decay = self.plan.decay(now)
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = peak if group["steady"] else rate
                if group["decayed"]:
                    group["weight_decay"] = decay
                if is_vector(group["params"][0]):
                    group["lr"] *= self.plan.lr_vectors

    # ---------------------------------------------------------------- Lightning's hooks

    def setup(self, stage: str) -> None:
        """In a trainer of the user's own nobody has called `begin`: the trainer knows how long training is."""
        if stage != "fit" or self.total_updates:
            return
        updates = self.trainer.estimated_stepping_batches  # which sets the data up
        loader = self.trainer.train_dataloader
        if not isinstance(loader, DataLoader) or loader.batch_size is None or not math.isfinite(updates):
            raise Fault(
                "schedules need to know how long training is: give the trainer max_epochs or max_steps, and a "
                "DataLoader with a batch_size; or call `begin` before `fit`"
            )
        together = self.trainer.accumulate_grad_batches * self.trainer.world_size
        images = len(loader.dataset)  # type: ignore[arg-type]
        self.begin(images=images, updates=int(updates), batch_size=loader.batch_size * together)

    def on_train_epoch_start(self) -> None:
        """Every epoch has views of its own, where `unlabel.data.Views` draws them."""
        dataset = getattr(self.trainer.train_dataloader, "dataset", None)
        if callable(tell := getattr(dataset, "set_epoch", None)):
            tell(self.trainer.current_epoch)

    def configure_optimizers(self) -> list[Optimizer]:
        """One optimiser for each player, as the plan says."""
        return [make_optimiser(p.parameters, self.plan, self.plan.batch_size, p.steady) for p in self.players()]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Schedules move before each step, so that they depend on nothing but progress."""
        self.set_rates(self.trainer.optimizers)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Lightning's name for `before_update` (manual steps come through `descend`)."""
        if self.automatic_optimization:
            self.before_update()

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """A real update of automatic optimisation (not an accumulated one): step, then the clock."""
        super().optimizer_step(*args, **kwargs)
        self.advance()

    def get_extra_state(self) -> dict[str, float]:
        """The clock, saved with the weights."""
        return {
            "updates": self.updates,
            "total_updates": self.total_updates,
            "total_epochs": self.total_epochs,
        }

    def set_extra_state(self, state: dict[str, float]) -> None:
        """Set the clock to what was saved."""
        self.updates = int(state["updates"])
        self.total_updates = int(state["total_updates"])
        self.total_epochs = float(state["total_epochs"])


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """While inside, the parameters of `module` collect no gradient (another player is moving)."""
    before = [p.requires_grad for p in module.parameters()]
    module.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, flag in zip(module.parameters(), before, strict=True):
            parameter.requires_grad_(flag)
