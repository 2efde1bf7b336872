"""Unsupervised Embedding Learning via Invariant and Spreading Instance Feature (InvaSpread).

Ye, Zhang, Yuen, Chang. CVPR 2019, arXiv 1904.03436.

Within a batch every image is a class of its own: a view must be recognised as its image (invariance), and must not be
taken for any other (spreading). SimCLR a year before, in small batches and without a projector.

Predecessors
    InstDisc compares an image with a vector that was remembered up to an epoch ago, when the network was another.
    InvaSpread compares fresh vectors of two views within a batch and needs no memory; on CIFAR-10 its kNN accuracy is
    83.6 % where InstDisc has 80.8.

Algorithm
    x1, x2   = two views of each image                              # [B, 3, S, S] each
    z        = n(g(f(x))) of all 2B views, n(a) = a / ||a||         # [2B, d]
    P_ij     = e^{z_i . z_j / tau} / sum_{k != i} e^{z_i . z_k / tau}
    L        = -mean_i [ log P_ip  +  sum_{j != i, p} log(1 - P_ij) ]          p: the other view of i's image
                         invariance   spread

Flow
    image ─┬─ view 1 ─ f ─ g ─ z1 ─┐
           └─ view 2 ─ f ─ g ─ z2 ─┴─ which image is it, and which is it not?

Symbols
    f    backbone         the network that is kept
    g    projector        one linear layer
    d    projector_dim
    tau  temperature

    spread_weight         1; 0 leaves NT-Xent
    detach_others         z_j and z_k are constants: only the anchor of a row moves

Departures
    All 2B views are anchors and others are constants, as in the authors' code; the paper writes B anchors, whose
    augmented views are recognised among the images themselves.
    The rate falls to 0.1, 0.05 and 0.01 of its peak, as the paper says. The authors' code asks for the first step
    before the others, and so stays at 0.1.
    What is kept and evaluated is f(x), 512 numbers in the paper's network; the paper evaluates z, 128 numbers.
"""

import math
from dataclasses import replace
from typing import ClassVar, final

from torch import Tensor, cat, nn

from unlabel.distributed import gather
from unlabel.losses import inva_spread
from unlabel.methods.base import Method
from unlabel.nn.heads import mlp
from unlabel.optim import Plan
from unlabel.views import Batch, Recipe, named


@final
class InvaSpread(Method):
    """InvaSpread: recognise your image among a batch, and mistake none for it."""

    title = "InvaSpread"
    family = "joint-embedding"
    paper = "1904.03436"
    year = 2019
    limits: ClassVar = {"temperature": (1e-3, 100.0), "projector_dim": (1, 65536)}
    plan = Plan(
        optimiser="sgd", lr=0.03, lr_per=128, weight_decay=5e-4, decay_vectors=True, schedule="steps",
        milestones=(120 / 301, 160 / 301, 200 / 301), step_rates=(0.1, 0.05, 0.01), batch_size=128, epochs=301,
    )  # fmt: skip

    def __init__(
        self,
        backbone: nn.Module,
        *,
        temperature: float = 0.1,
        projector_dim: int = 128,
        spread_weight: float = 1.0,
        detach_others: bool = True,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.spread_weight = spread_weight
        self.detach_others = detach_others
        self.backbone = backbone
        width: int = backbone.num_features  # type: ignore[assignment]
        self.projector = mlp(width, width, projector_dim, layers=1, last_norm=None, last_bias=True)

    def views(self, size: int) -> Recipe:
        """Two views of instance discrimination's distribution, jittered before they may lose their colour."""
        (view,) = named("instdisc", size).views
        return Recipe(views=(replace(view, order=("crop", "jitter", "grey", "flip")),) * 2)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Both terms, over both views of all ranks' images."""
        z1, z2 = self.projector(self.backbone(cat(batch.views))).chunk(2)  # [B, d] each; one pass, as in the code
        invariance, spread = inva_spread(
            gather(z1), gather(z2), temperature=self.temperature, detach_others=self.detach_others
        )
        return {"invariance": invariance, "spread": self.spread_weight * spread}

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """Both terms where every P_ij is 1 / (2B - 1)."""
        others = 2 * batch_size - 1
        spread = -(others - 1) * math.log1p(-1 / others)
        return {"all embeddings are equal": math.log(others) + self.spread_weight * spread}
