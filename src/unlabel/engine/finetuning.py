"""Fine-tuning with few labels: stage two of Big Self-Supervised Models are Strong Semi-Supervised Learners (SimCLR v2).

Chen, Kornblith, Swersky, Norouzi, Hinton. NeurIPS 2020, arXiv 2006.10029. It works with a run of any method.

Algorithm
    h       = f(x)                                   # [B, D]      f from the run
    g       = the first n layers of the run's head, each with its batch norm and activation; nothing for n = 0
    logits  = W g(h) + b                             # [B, K]      W = 0, b = 0 at first
    L       = cross-entropy of the logits and the labels; f, g, W and b are trained

Symbols
    f  backbone     n  from_head: 1 in the paper, -1 keeps all layers
    W  classifier   the last part of `head`, behind g

Departures
    The rate grows in proportion to the batch, not to its root; both agree at the paper's 1024 images.
"""

import copy
from dataclasses import replace
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.errors import Fault
from unlabel.methods import Method
from unlabel.nn.heads import first_layers
from unlabel.optim.plan import Plan
from unlabel.views import Batch, Recipe, View

SHARE = 0.1  # of the labels, unless the user says otherwise


@final
class FineTuning(Method):
    """A run's backbone, perhaps with the beginning of its head, under a new linear classifier, trained with labels.

    origin   the method of the run, whose weights are taken over
    classes  K, how many classes there are
    labels   the share of the images whose labels are used; which ones is decided where the images are
    scratch  take over the architecture, not the weights: the control of every fine-tuning
    """

    title = "Fine-tuning"
    family = "labelled"
    paper = "2006.10029"
    year = 2020
    view_range = (1, 1)
    limits: ClassVar = {"labels": (1e-6, 1.0), "from_head": (-1, 64)}
    plan = Plan(optimiser="lars", lr=0.16, lr_per=1024, batch_size=1024, epochs=60)

    def __init__(
        self,
        backbone: nn.Module,
        *,
        origin: Method,
        size: int,
        classes: int,
        labels: float = SHARE,
        from_head: int = 0,
        scratch: bool = False,
    ) -> None:
        super().__init__()
        self.labels = labels
        self.weak = weak_view(origin, size)
        self.backbone = backbone
        layers = _kept_layers(origin, from_head)
        if scratch:
            for part in layers.modules():
                if isinstance(part, nn.Linear | nn.BatchNorm1d):
                    part.reset_parameters()
        else:
            backbone.load_state_dict(origin.kept.state_dict())
        linear = [part for part in layers if isinstance(part, nn.Linear)]
        width: int = linear[-1].out_features if linear else backbone.num_features  # type: ignore[assignment]
        self.head = nn.Sequential(*layers, blank_classifier(width, classes))
        self.requires_grad_(True)

    def prepare(self, images: int) -> None:
        """Room for the class of each training image."""
        self.register_buffer("known", torch.full((images,), -1), persistent=False)

    def tell(self, labels: Tensor) -> None:
        """The class of each training image, [images] int64."""
        self.get_buffer("known").copy_(labels)

    def views(self, size: int) -> Recipe:
        """One view: a random part of the image, sometimes mirrored."""
        return Recipe(views=(replace(self.weak, size=size),))

    def classify(self, x: Tensor) -> Tensor:
        """Images [B, C, S, S] -> logits [B, K]."""
        return self.head(self.backbone(x))

    def loss(self, batch: Batch) -> Tensor:
        """Cross-entropy with the labels; log K before the first update."""
        (x,) = batch.views
        logits = self.classify(x)
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return F.cross_entropy(precise, self.get_buffer("known")[batch.index])


def weak_view(origin: Method, size: int) -> View:
    """A random crop, sometimes mirrored, normalised as the views of the run were."""
    seen = origin.views(size).views[0]
    return View(size=size, mean=seen.mean, std=seen.std)


def blank_classifier(width: int, classes: int) -> nn.Linear:
    """A linear layer that says nothing yet: all zeros."""
    layer = nn.Linear(width, classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _kept_layers(origin: Method, count: int) -> nn.Sequential:
    """A copy of the first `count` layers of the projector of `origin`; Fault where there are not so many."""
    if count == 0:
        return nn.Sequential()
    projector = dict(origin.named_children()).get("projector")
    if not isinstance(projector, nn.Sequential):
        raise Fault(f"{origin.title} has no projector to fine-tune from: leave out the option `from_head`")
    try:
        return copy.deepcopy(first_layers(projector, count)).train()  # a loaded run is in evaluation mode
    except ValueError as problem:
        raise Fault(f"option `from_head` is {count}, and {problem} in this run of {origin.title}") from problem
