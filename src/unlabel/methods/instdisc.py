"""Unsupervised Feature Learning via Non-Parametric Instance Discrimination (InstDisc, or NPID).

Wu, Xiong, Yu, Lin. CVPR 2018, arXiv 1805.01978.

Every image is a class of its own. Its weight vector in the classifier is not learnt but remembered: the running mean of
the image's own features.

Predecessors
    Exemplar-CNN makes a class of each image too, but learns a weight vector for every class, which is too much for a
    million images and of no use for new ones. InstDisc compares features with remembered features, so that training
    does what a search by nearest neighbours does later. NCE spares it the sum over all images.

Algorithm
    f_i      = n(g(f_theta(x_i)))                                # [B, d], n(a) = a / |a|; x_i one view of image i
    p(j | f) = e^{v_j . f / tau} / Z                             v_j in R^d remembered, j = 1 .. n
    h(j, f)  = p(j | f) / (p(j | f) + m / n)                     how likely j is data and not one of m draws
    L        = mean over i of [ -log h(i, f_i) - sum_k log(1 - h(j_k, f_i)) + lambda |f_i - v_i|^2 ]
               j_1 .. j_m drawn uniformly, with replacement; Z a constant, n mean e^{v . f / tau} of the first batch
    m = 0:     L = mean over i of [ -log p(i | f_i) + lambda |f_i - v_i|^2 ],   Z = sum_j e^{v_j . f / tau}
    after each update:  v_i <- n(mu v_i + (1 - mu) f_i)  for the images of the batch

Flow
    image i ─ view ─ f_theta ─ g ─ f_i ─┬─ p(. | f_i) ─ is it image i, or one of m others?
                                        │
    bank of n vectors v ────────────────┘   (row i follows f_i after the update)

Symbols
    f_theta  backbone         the network that is kept
    g        projector        one linear layer to d = projector_dim
    v        bank             one row for each image of the training set
    m        negatives        0: the softmax over all images instead of its estimate
    tau      temperature
    lambda   proximal         the paper's ablation has 30
    mu       bank_momentum

    objective    softmax: of the own and the m drawn rows, instead of NCE (the authors' later code)

Departures
    All images of a batch, on all ranks, share one draw of m negatives; the authors draw m for each.
    Z is estimated from the drawn rows alone, as in the paper; the authors' code counts the positive among them.
    Without the proximal term by default, as the authors' code.
"""

from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from unlabel.distributed import gather
from unlabel.losses import instance_discrimination
from unlabel.losses.instances import uninformed
from unlabel.losses.unit import unit
from unlabel.methods.base import Method
from unlabel.nn.instances import Instances
from unlabel.optim.plan import Plan
from unlabel.views import Batch, Recipe, named


@final
class InstDisc(Method):
    """InstDisc: tell every image from every other, by a bank of all of them."""

    title = "InstDisc"
    family = "joint-embedding"
    paper = "1805.01978"
    year = 2018
    view_range = (1, 1)
    limits: ClassVar = {
        "projector_dim": (1, 65536),
        "temperature": (1e-3, 100.0),
        "bank_momentum": (0.0, 1.0),
    }
    plan = Plan(
        optimiser="sgd", lr=0.03, weight_decay=1e-4, decay_vectors=True, schedule="steps", batch_size=256, epochs=200
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        projector_dim: int = 128,
        objective: Literal["nce", "softmax"] = "nce",
        negatives: int = 4096,
        temperature: float = 0.07,
        proximal: float = 0.0,
        bank_momentum: float = 0.5,
    ) -> None:
        super().__init__()
        self.objective = objective
        self.temperature = temperature
        self.proximal = proximal
        self.backbone = backbone
        self.projector = nn.Linear(backbone.num_features, projector_dim)  # type: ignore[arg-type]
        self.bank = Instances(projector_dim, negatives=negatives, momentum=bank_momentum)

    def prepare(self, images: int) -> None:
        """A row of the bank for every image."""
        self.bank.prepare(images)

    def views(self, size: int) -> Recipe:
        """One view: a crop, sometimes grey, always of other colours."""
        return named("instdisc", size)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Which image is it, and how far has it moved from what is remembered of it?"""
        f = unit(self.projector(self.backbone(batch.views[0])))  # [B, d]
        everyone = gather(f.detach())
        rows, drawn = self.bank.rows, self.bank.drawn(self.updates)  # [n, d], [m]
        nce = self.objective == "nce"
        log_z = self.bank.log_z(everyone, drawn, temperature=self.temperature) if nce else None
        told = instance_discrimination(f, batch.index, rows, temperature=self.temperature, drawn=drawn, log_z=log_z)
        terms = {"instances": told.mean()}
        if self.proximal:
            terms["proximal"] = self.proximal * (f - rows[batch.index]).square().sum(dim=1).mean()
        if self.training and torch.is_grad_enabled():  # looking at a loss must not move anything
            self.bank.see(gather(batch.index), everyone, log_z)
        return terms

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """Where p is 1 / n for every image, not counting the proximal term."""
        if not len(self.bank.bank):
            return {}  # nobody has said how many images there are
        value = uninformed(len(self.bank.bank), drawn=self.bank.negatives, nce=self.objective == "nce")
        return {"every image is as likely as any other": value}

    def after_update(self) -> None:
        """What is remembered of the batch's images follows."""
        self.bank.move()
