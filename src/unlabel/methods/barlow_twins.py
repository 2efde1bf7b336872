"""Barlow Twins: Self-Supervised Learning via Redundancy Reduction.

Zbontar, Jing, Misra, LeCun, Deny. ICML 2021, arXiv 2103.03230.

Over a batch, each dimension of one view's embedding should follow the same dimension of the other view's, and no other
dimension. A collapse is no minimum, since what is constant follows nothing.

Predecessors
    SimCLR needs many negatives, and BYOL and SimSiam escape collapse by an asymmetry: a predictor on one side, a
    teacher or a stopped gradient on the other. Barlow Twins needs none of these: both sides are alike, and dimensions
    are compared over the batch instead of images. In the paper batches of 256 do nearly as well as large ones.

Algorithm
    x1, x2   = two views of each image                          # [B, 3, S, S] each
    z_v      = g(f(x_v))                                        # [B, d]
    y_v      = (z_v - mean_b z_v) / std_b z_v                   # [B, d]
    C        = y1' y2 / B                                       # [d, d], in [-1, 1]   (eq. 2)
    L        = sum_i (1 - C_ii)²  +  lambda sum_i sum_{j != i} C_ij²                    (eq. 1)
               invariance            redundancy
    with small crops x3 .. xV too (multi-crop, arXiv 2006.09882), each of which is compared with both large views:
    L        = mean of this over the pairs (u, v), u = 1, 2 and v != u; it is symmetric, so the large pair counts twice

Flow
    image ─┬─ view 1 ─ f ─ g ─ z1 ─ standardise ─ y1 ─┐
           └─ view 2 ─ f ─ g ─ z2 ─ standardise ─ y2 ─┴─ C ─ towards the identity

Symbols
    f       backbone             the network that is kept
    g       projector            three layers, wider than the representation
    d       projector_dim
    lambda  redundancy_weight    0 leaves only the invariance, which one dimension copied d times satisfies

    invariance_weight            1; 0 leaves only the redundancy, which noise satisfies

Departures
    The weight of 0.0051 and the decay of 1e-6 are those of the authors' code; the paper has 0.005 and 1.5e-6.
"""

from itertools import product
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from unlabel.distributed import gather
from unlabel.losses import cross_correlation
from unlabel.losses.cross_correlation import correlations
from unlabel.methods.base import Method
from unlabel.nn.heads import mlp
from unlabel.optim import Plan
from unlabel.views import LARGE, Batch, Recipe, named

SHOWN = 128  # dimensions in the picture
SIDE = 512  # pixels of the picture, at least


@final
class BarlowTwins(Method):
    """Barlow Twins: the cross-correlation of two views becomes the identity."""

    title = "Barlow Twins"
    family = "joint-embedding"
    paper = "2103.03230"
    year = 2021
    view_range = (2, 64)
    pictured = 256
    pictured_together = True
    limits: ClassVar = {"projector_width": (1, 65536), "projector_dim": (2, 65536), "projector_layers": (1, 8)}
    plan = Plan(
        optimiser="lars", lr=0.2, lr_vectors=0.0048 / 0.2, weight_decay=1e-6, warmup=0.01, final_lr=1e-3,
        batch_size=2048, epochs=1000,
    )  # fmt: skip

    def __init__(
        self,
        backbone: nn.Module,
        *,
        projector_width: int = 8192,
        projector_dim: int = 8192,
        projector_layers: int = 3,
        redundancy_weight: float = 0.0051,
        invariance_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.redundancy_weight = redundancy_weight
        self.invariance_weight = invariance_weight
        self.projector_dim = projector_dim
        self.backbone = backbone
        width: int = backbone.num_features  # type: ignore[assignment]
        self.projector = mlp(width, projector_width, projector_dim, layers=projector_layers, last_norm=None)

    def views(self, size: int) -> Recipe:
        """BYOL's asymmetric pair."""
        return named("byol", size)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The two sums over the cross-correlation of all ranks' images; batch norm sees one view at a time."""
        z = [gather(self.projector(self.backbone(view))) for view in batch.views]  # [B, d] each
        pairs = [(0, 1), *product(range(LARGE), range(LARGE, len(z)))]
        sums = torch.stack([torch.stack(cross_correlation(z[u], z[v])) for u, v in pairs])  # [pairs, 2]
        weights = sums.new_tensor([2.0] + [1.0] * (len(pairs) - 1))
        invariance, redundancy = (weights @ sums) / weights.sum()
        return {"invariance": self.invariance_weight * invariance, "redundancy": self.redundancy_weight * redundancy}

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """d: what is constant correlates with nothing."""
        return {"all embeddings are equal": self.invariance_weight * self.projector_dim}

    @torch.no_grad()
    def picture(self, batch: Batch) -> dict[str, Tensor]:
        """C of these images, its first dimensions: 1 is blue, 0 white, -1 red. The diagonal should be all there is."""
        z1, z2 = (self.projector(self.backbone(view)) for view in batch.views[:LARGE])
        c = correlations(z1[:, :SHOWN], z2[:, :SHOWN]).cpu()
        pixels = 1 - torch.stack((c.clamp(min=0), c.abs(), -c.clamp(max=0)))  # red, green, blue
        whole = -(-SIDE // len(c))  # so that an entry is a square of equal pixels
        pixels = pixels.repeat_interleave(whole, dim=1).repeat_interleave(whole, dim=2)
        return {"correlations": (255 * pixels).round().clamp(0, 255).to(torch.uint8)}
