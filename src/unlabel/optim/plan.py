"""A training plan: which optimiser, and what rate at which moment. Plain values."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import nn

from unlabel.errors import Fault, nearest
from unlabel.optim import curves
from unlabel.optim.lars import LARS

Optimiser = Literal["sgd", "lars", "adam", "adamw"]
Schedule = Literal["cosine", "constant", "linear-tail", "steps"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a method trains with: its paper's values, which the options of a run override.

    optimiser            "sgd", "lars", "adam" or "adamw"
    lr, lr_per           the peak rate, for `lr_per` images of the whole batch and in proportion to it (arXiv
                         1706.02677); `lr_per=None` does not scale it
    lr_vectors           the rate of gains, biases and other vectors, as a fraction of that of matrices and filters
    weight_decay(_end)   decay of the weights; with an end it moves there along half a cosine
    decay_vectors        whether gains, biases and other vectors are decayed too
    momentum, nesterov   of sgd and lars (nesterov: sgd only)
    betas                of adam and adamw
    warmup               fraction of training in which the rate climbs in a straight line from 0 to its peak
    schedule, final_lr   what follows, from the peak to `final_lr` times the peak; "constant" and "steps" end elsewhere
    milestones           of "steps": fractions of training, warm-up included, each the begin of another rate
    step_rates           of "steps": that rate as a fraction of the peak, one for each milestone
    clip                 largest norm of the whole gradient; None does not clip
    batch_size, epochs   how many images an update sees, and how often training sees every image
    """

    optimiser: Optimiser = "sgd"
    lr: float = 0.03
    lr_per: int | None = 256
    lr_vectors: float = 1.0
    weight_decay: float = 0.0
    weight_decay_end: float | None = None
    decay_vectors: bool = False
    momentum: float = 0.9
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float = 0.0
    schedule: Schedule = "cosine"
    final_lr: float = 0.0
    milestones: tuple[float, ...] = (0.6, 0.8)
    step_rates: tuple[float, ...] = (0.1, 0.01)
    clip: float | None = None
    batch_size: int = 256
    epochs: int = 100

    def peak(self, batch_size: int) -> float:
        """The highest rate: lr · batch_size / lr_per, `batch_size` counting the images of all ranks."""
        return self.lr if self.lr_per is None else self.lr * batch_size / self.lr_per

    def rate(self, progress: float, batch_size: int) -> float:
        """The learning rate at `progress`: warm-up from 0, then the schedule over what is left of training.

        Ask with `curves.middle(update, total_updates)`; asked with update / total_updates, a plan that warms
        up would spend its first update on a rate of 0.
        """
        peak = self.peak(batch_size)
        if progress < self.warmup:
            return peak * curves.warm_up(progress, self.warmup)
        after = (progress - self.warmup) / (1 - self.warmup) if self.warmup < 1 else 0.0
        match self.schedule:
            case "cosine":
                return curves.cosine(after, peak, peak * self.final_lr)
            case "linear-tail":
                return curves.linear_tail(after, peak, peak * self.final_lr)
            case "constant":
                return curves.constant(after, peak)
            case "steps":
                return curves.steps(progress, peak, self.milestones, self.step_rates)

    def decay(self, progress: float) -> float:
        """The weight decay at `progress`."""
        if self.weight_decay_end is None:
            return self.weight_decay
        return curves.cosine(progress, self.weight_decay, self.weight_decay_end)

    def faults(self) -> list[str]:
        """One sentence for each value that cannot be trained with; empty where all is well."""
        found = []
        for name, value, known in (
            ("optimiser", self.optimiser, get_args(Optimiser)),
            ("schedule", self.schedule, get_args(Schedule)),
        ):
            if value not in known:
                hint = nearest(str(value), known)
                found.append(f"unknown {name} `{value}`{hint} (known: {', '.join(known)})")
        rise = all(a < b for a, b in pairwise((0.0, *self.milestones, 1.0)))
        shares = all(0 <= rate <= 1 for rate in self.step_rates)
        ranges = [
            ("lr", self.lr, self.lr > 0, "above 0"),
            ("lr_per", self.lr_per, self.lr_per is None or self.lr_per > 0, "above 0, or None"),
            ("lr_vectors", self.lr_vectors, self.lr_vectors >= 0, "0 or more"),
            ("weight_decay", self.weight_decay, self.weight_decay >= 0, "0 or more"),
            (
                "weight_decay_end",
                self.weight_decay_end,
                (self.weight_decay_end or 0) >= 0,
                "0 or more, or None",
            ),
            ("momentum", self.momentum, 0 <= self.momentum < 1, "in [0, 1)"),
            ("betas", self.betas, all(0 <= beta < 1 for beta in self.betas), "two numbers in [0, 1)"),
            ("warmup", self.warmup, 0 <= self.warmup <= 1, "a fraction of training, in [0, 1]"),
            ("final_lr", self.final_lr, 0 <= self.final_lr <= 1, "a fraction of the peak rate, in [0, 1]"),
            ("milestones", self.milestones, rise, "fractions of training that rise, each in (0, 1)"),
            ("step_rates", self.step_rates, shares, "fractions of the peak rate, each in [0, 1]"),
            ("clip", self.clip, self.clip is None or self.clip > 0, "above 0, or None"),
            ("batch_size", self.batch_size, self.batch_size >= 1, "1 or more"),
            ("epochs", self.epochs, self.epochs > 0, "above 0"),
        ]
        found += [f"`{name}` is {value}; it must be {rule}" for name, value, holds, rule in ranges if not holds]
        if len(self.milestones) != len(self.step_rates):
            numbers = f"{len(self.milestones)} and {len(self.step_rates)}"
            found.append(f"`milestones` and `step_rates` have {numbers} values: each milestone needs one rate")
        if self.nesterov and self.optimiser != "sgd":
            found.append(f"`nesterov` belongs to sgd, not to {self.optimiser}: leave it out, or use sgd")
        if self.nesterov and self.optimiser == "sgd" and self.momentum == 0:
            found.append("`nesterov` needs a `momentum` above 0")
        return found


def is_vector(parameter: nn.Parameter) -> bool:
    """Whether it is a gain, a bias or another vector (or number): what is no matrix and no filter."""
    return parameter.ndim < 2


def make_optimiser(
    named_parameters: Iterable[tuple[str, nn.Parameter]], plan: Plan, batch_size: int, steady: tuple[str, ...] = ()
) -> torch.optim.Optimizer:
    """The plan's optimiser over these parameters, in groups: vectors or not, `steady` or not.

    Matrices and filters (two dimensions and more) are decayed; gains, biases and other vectors are not, unless
    `decay_vectors` says so, and lars never rescales them; `lr_vectors` is for them. Parameters whose names begin with
    one of `steady` keep their peak rate. Each group carries the marks `decayed` and `steady`, by which schedules find
    it. Rates start at the plan's peak: whoever trains sets them before each update.

    Raises Fault where there is nothing to train.
    """
    named = [(name, p) for name, p in named_parameters if p.requires_grad]
    if not named:
        raise Fault("there is nothing to train: no parameter takes a gradient")
    lr = plan.peak(batch_size)
    groups: list[dict[str, Any]] = []
    for still, vectors in ((False, False), (False, True), (True, False), (True, True)):
        chosen = [p for name, p in named if is_vector(p) == vectors and name.startswith(steady) == still]
        if chosen:
            decayed = plan.decay_vectors or not vectors
            groups.append({
                "params": chosen, "decayed": decayed, "steady": still,
                "lr": lr * plan.lr_vectors if vectors else lr, "weight_decay": plan.weight_decay if decayed else 0.0,
            })  # fmt: skip
    # Fused steps on the CPU are several times faster. On accelerators torch's default (foreach) is as fast,
    # and it leaves fp16 gradients to be unscaled before `before_update` sees them, which fused steps do not.
    fused = all(p.device.type == "cpu" and p.is_floating_point() for _, p in named) or None
    match plan.optimiser:
        case "sgd":
            sgd = torch.optim.SGD(groups, lr, momentum=plan.momentum, nesterov=plan.nesterov, fused=fused)
            # Torch's fused step fails where some momenta begin later than others, as those of prototypes that rest at
            # first. From 0 a first step is the same as without momentum.
            for _, p in named if fused and plan.momentum else ():
                sgd.state[p]["momentum_buffer"] = torch.zeros_like(p)
            return sgd
        case "adam":
            return torch.optim.Adam(groups, lr, betas=plan.betas, fused=fused)
        case "adamw":
            return torch.optim.AdamW(groups, lr, betas=plan.betas, fused=fused)
        case "lars":
            for group in groups:
                group["adapt"] = not is_vector(group["params"][0])
            return LARS(groups, lr=lr, momentum=plan.momentum)
