"""Contrastive Multiview Coding (CMC).

Tian, Krishnan, Isola. ECCV 2020, arXiv 1906.05849.

The lightness of an image and its colours are two sights of the same things. One network sees each; they must say the
same of an image, and so can say only what both sights show.

Predecessors
    A split-brain autoencoder predicts colours from lightness and lightness from colours, place by place, and so spends
    much of its capacity on detail. CMC lets the two vectors of an image find each other among those of many images
    instead, with a memory like that of InstDisc for each; in the paper contrast does better than prediction. It goes
    beyond two sights: depth, motion and others can join.

Algorithm
    x_i       -> Lab;  l_i = L, c_i = (a, b)                          # [B, 1, S, S], [B, 2, S, S] of one view
    z^l, z^c  = n(g_l(f_l(l))), n(g_c(f_c(c)))                        # [B, d] each, n(a) = a / |a|
    v^l, v^c  remembered of every image, [n, d] each
    p(j | z^l) = e^{v^c_j . z^l / tau} / Z_l,   p(j | z^c) = e^{v^l_j . z^c / tau} / Z_c
    NCE(z)    = -log h(i, z) - sum_k log(1 - h(j_k, z)),   h = p / (p + m / n)     j_1 .. j_m drawn uniformly
    L         = mean over i of [ NCE(z^l_i) + NCE(z^c_i) ]
    after each update:  v_i <- n(mu v_i + (1 - mu) z_i)  for both sights of the images of the batch

Flow
    image i ─ view ─ Lab ─┬─ L ──── f_l ─ g_l ─ z^l ─ which row of v^c? ─┐
                          └─ a, b ─ f_c ─ g_c ─ z^c ─ which row of v^l? ─┴─ L
    v^l and v^c follow z^l and z^c after the update

Symbols
    f_l, f_c  backbone            its `lightness` and its `colour`: both are kept; evaluation sees them side by side
    g_l, g_c  projectors          one linear layer each, to d = projector_dim
    v^l, v^c  banks               one row for each image of the training set
    m         negatives           0: the softmax over all
    tau       temperature
    mu        bank_momentum

    objective  softmax: of the own and the m drawn rows, instead of NCE; in_batch: z^l must find its z^c among those of
               the batch and the other way round, no bank

    More than two sights: `losses.core_view` and `losses.full_graph`.

Departures
    Both networks are as wide as the given backbone, as in the authors' later code (in the paper half as wide), and
    start from its weights.
    All images of a batch, on all ranks, share one draw of m negatives; the authors draw m for each.
    Z is estimated from the drawn rows alone; the authors' code counts the positive among them.
"""

import math
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from unlabel.distributed import gather
from unlabel.errors import Fault
from unlabel.losses import cross_view, instance_discrimination
from unlabel.losses.instances import uninformed
from unlabel.losses.unit import unit
from unlabel.methods.base import Method
from unlabel.nn.instances import Instances
from unlabel.nn.lab import LabPair
from unlabel.optim.plan import Plan
from unlabel.views import Batch, Recipe, named

OTHER = {"lightness": "colour", "colour": "lightness"}


@final
class CMC(Method):
    """CMC: lightness and colour must say the same."""

    title = "CMC"
    family = "joint-embedding"
    paper = "1906.05849"
    year = 2020
    view_range = (1, 1)
    limits: ClassVar = {
        "projector_dim": (1, 65536),
        "temperature": (1e-3, 100.0),
        "bank_momentum": (0.0, 1.0),
    }
    plan = Plan(
        optimiser="sgd", lr=0.03, weight_decay=1e-4, decay_vectors=True, schedule="steps",
        milestones=(120 / 240, 160 / 240, 200 / 240), step_rates=(0.1, 0.01, 0.001), batch_size=256, epochs=240,
    )  # fmt: skip

    def __init__(
        self,
        backbone: nn.Module,
        *,
        projector_dim: int = 128,
        objective: Literal["nce", "softmax", "in_batch"] = "nce",
        negatives: int = 4096,
        temperature: float = 0.07,
        bank_momentum: float = 0.5,
    ) -> None:
        super().__init__()
        self.objective = objective
        self.temperature = temperature
        try:
            self.backbone = LabPair(backbone)
        except ValueError as problem:
            raise Fault(f"CMC parts RGB images into lightness and colour, but {problem}: choose another") from problem
        width: int = backbone.num_features  # type: ignore[assignment]
        self.projectors = nn.ModuleDict({sight: nn.Linear(width, projector_dim) for sight in OTHER})
        self.banks = nn.ModuleDict(
            {sight: Instances(projector_dim, negatives=negatives, momentum=bank_momentum) for sight in OTHER}
        )

    def prepare(self, images: int) -> None:
        """Two rows for every image, unless the batch is enough."""
        if self.objective != "in_batch":
            for sight in OTHER:
                self._bank(sight).prepare(images)

    def views(self, size: int) -> Recipe:
        """One view, of the image's own colours: they are what is to be told from the lightness."""
        return named("cmc", size)

    def loss(self, batch: Batch) -> Tensor | dict[str, Tensor]:
        """Which image is it, for each sight by the bank of the other one?"""
        light, colour = self.backbone.both(batch.views[0])  # [B, D] each
        z = {"lightness": self._projected("lightness", light), "colour": self._projected("colour", colour)}
        if self.objective == "in_batch":
            return cross_view(gather(z["lightness"]), gather(z["colour"]), temperature=self.temperature)
        everyone = {sight: gather(of_sight.detach()) for sight, of_sight in z.items()}
        index, nce = gather(batch.index), self.objective == "nce"
        terms = {}
        for sight, other in OTHER.items():
            bank = self._bank(other)
            rows, drawn = bank.rows, bank.drawn(self.updates)  # [n, d], [m]
            log_z = bank.log_z(everyone[sight], drawn, temperature=self.temperature) if nce else None
            terms[sight] = instance_discrimination(
                z[sight], batch.index, rows, temperature=self.temperature, drawn=drawn, log_z=log_z
            ).mean()
            if self.training and torch.is_grad_enabled():  # looking at a loss must not move anything
                bank.see(index, everyone[other], log_z)
        return terms

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """Of both sights: where p is 1 / n for every image, or 2 log B within the batch."""
        if self.objective == "in_batch":
            return {"all embeddings are equal": 2 * math.log(batch_size)}
        bank = self._bank("colour")
        if not len(bank.bank):
            return {}  # nobody has said how many images there are
        value = uninformed(len(bank.bank), drawn=bank.negatives, nce=self.objective == "nce")
        return {"every image is as likely as any other": 2 * value}

    def after_update(self) -> None:
        """What is remembered of the batch's images follows."""
        for sight in OTHER:
            self._bank(sight).move()

    def _projected(self, sight: str, h: Tensor) -> Tensor:
        return unit(self.projectors[sight](h))

    def _bank(self, sight: str) -> Instances:
        bank = self.banks[sight]
        assert isinstance(bank, Instances)
        return bank
