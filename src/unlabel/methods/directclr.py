"""Understanding Dimensional Collapse in Contrastive Self-Supervised Learning (DirectCLR).

Jing, Vincent, LeCun, Tian. ICLR 2022, arXiv 2110.09348.

There is no projector. The contrastive loss sees the first channels of the representation alone, and the others learn
through the residual connections below them.

Predecessors
    SimCLR without a projector empties many directions of the representation, and why a projector keeps it from that was
    not clear. The paper finds two causes, augmentation that outweighs the data in a direction and layers that align
    with one another, and puts a fixed slice in the projector's place. Its linear top-1 on ImageNet after 100 epochs is
    62.7 %; without a projector it is 51.5, with a linear one 61.1, with one of two layers 66.5.

Algorithm
    x1, x2   = two views of each image                          # [B, 3, S, S] each
    r_v      = f(x_v)                                           # [B, D]
    z_v      = n(r_v[:, :d0])                                   # [B, d0], n(a) = a / ||a||
    l(a, b)  = mean_i [ -a_i . b_i / tau + log sum_j e^{a_i . b_j / tau} ]
    L        = l(z1, z2) / 2 + l(z2, z1) / 2
    with small crops x3 .. xV too (multi-crop, arXiv 2006.09882), which seek both large views and are sought by nobody:
    L        = mean of l(z_v, z_u) over u = 1, 2 and all v != u

Flow
    image ─┬─ view 1 ─ f ─ r1 ─ first d0 channels ─ z1 ─┐
           └─ view 2 ─ f ─ r2 ─ first d0 channels ─ z2 ─┴─ InfoNCE across the views

Symbols
    f      backbone      the network that is kept; D its width, 2048 in the paper
    d0     dimensions    D is SimCLR without a projector
    tau    temperature

    same_view_negatives  true: other images' embeddings of the anchor's own view are negatives too (NT-Xent); and
                         small crops seek as SimCLR's do

Departures
    None that is known; the authors' code, unlike SimCLR, compares across the views only.
"""

import math
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from unlabel.distributed import gather
from unlabel.errors import Fault
from unlabel.losses import info_nce, nt_xent_of_crops
from unlabel.losses.unit import unit
from unlabel.methods.base import Method
from unlabel.nn.multicrop import mean_of_pairs, roles
from unlabel.optim import Plan
from unlabel.views import LARGE, Batch, Recipe, named


@final
class DirectCLR(Method):
    """DirectCLR: a contrastive loss on a slice of the representation, without a projector."""

    title = "DirectCLR"
    family = "joint-embedding"
    paper = "2110.09348"
    year = 2021
    view_range = (2, 64)
    limits: ClassVar = {"dimensions": (1, 65536), "temperature": (1e-3, 100.0)}
    plan = Plan(
        optimiser="lars", lr=4.8, lr_per=4096, weight_decay=1e-6, warmup=0.1, final_lr=1e-3, batch_size=4096, epochs=100
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        dimensions: int = 360,
        temperature: float = 0.1,
        same_view_negatives: bool = False,
    ) -> None:
        super().__init__()
        width: int = backbone.num_features  # type: ignore[assignment]
        if dimensions > width:
            raise Fault(
                f"`dimensions` is {dimensions}, but the backbone's features have {width}: choose about a fifth of that"
            )
        self.dimensions = dimensions
        self.temperature = temperature
        self.same_view_negatives = same_view_negatives
        self.backbone = backbone

    def views(self, size: int) -> Recipe:
        """BYOL's asymmetric pair."""
        return named("byol", size)

    def loss(self, batch: Batch) -> Tensor:
        """InfoNCE of every view among the large ones, all ranks' images; batch norm sees one view at a time."""
        z = [gather(self.project(self.backbone(view))) for view in batch.views]  # [B, d0] each
        if self.same_view_negatives:
            return nt_xent_of_crops(z[0], z[1], z[LARGE:], temperature=self.temperature)
        z = [unit(view) for view in z]
        own = torch.arange(len(z[0]), device=z[0].device)
        targets, anchors = roles(len(z), LARGE)
        return mean_of_pairs(
            lambda u, v: info_nce(z[v], z[u], own, temperature=self.temperature).mean(), targets, anchors
        )

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """log B, or log(2B - 1) where the own view has negatives too."""
        return {"all embeddings are equal": math.log(2 * batch_size - 1 if self.same_view_negatives else batch_size)}

    def project(self, h: Tensor) -> Tensor:
        """The channels that the loss sees."""
        return h[:, : self.dimensions]
