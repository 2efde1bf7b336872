"""Exploring Simple Siamese Representation Learning (SimSiam).

Chen, He. CVPR 2021, arXiv 2011.10566.

Predict the other view's projection by the same network, and do not move that projection. The stopped gradient is what
keeps it from collapsing.

Predecessors
    Against collapse SimCLR has negatives, SwAV has balanced clusters and BYOL has a slow teacher. SimSiam shows that
    BYOL's predictor and a stopped gradient are enough: no negatives, no second network, no large batch. After 100
    epochs its linear top-1 on ImageNet is 68.1 % with batches of 512 and 68.3 with 256.

Algorithm
    x1, x2   = two views of each image                 # [B, 3, S, S] each
    z_v      = g(f(x_v))                               # [B, d]
    p_v      = h(z_v)                                  # [B, d]
    D(p, z)  = -mean_b  p / ||p|| . z / ||z||                            (eq. 1)
    L        = D(p1, sg z2) / 2 + D(p2, sg z1) / 2     in [-1, 1]        (eq. 4; sg stops the gradient)
    with small crops x3 .. xV too (arXiv 2006.09882), which predict both and are predicted by nobody:
    L        = mean of D(p_v, sg z_u) over u = 1, 2 and all v != u

Flow
    image ─┬─ view 1 ─ f ─ g ─ z1 ─ h ─ p1 ──┐
           └─ view 2 ─ f ─ g ─ z2 ─── sg ────┴─ negative cosine
    and once more with the views exchanged; small crops pass through the upper line only

Symbols
    f    backbone         the network that is kept
    g    projector        three layers, batch norm after each; the last without gain and offset
    h    predictor        two layers with a bottleneck of predictor_width; predictor=false leaves it out
    sg   stop_gradient    false lets z move too, and all collapses: L goes to -1
    d    projector_dim

    symmetric             false: D(p1, sg z2) alone (section 4.6), and small crops predict z2 only
    fix_predictor_lr      the predictor's learning rate stays at its peak while that of the rest decays: it should keep
                          up with representations that still change

Departures
    The rate follows its cosine from update to update, where the authors' code moves it once an epoch.
    The last layer of g has no bias, where the authors' code has one that is frozen and that the batch norm cancels.
"""

from dataclasses import replace
from typing import ClassVar, final

from torch import Tensor, nn

from unlabel.losses import negative_cosine
from unlabel.methods.base import Method, Player
from unlabel.nn.heads import mlp
from unlabel.nn.multicrop import mean_of_pairs, roles
from unlabel.optim import Plan
from unlabel.views import LARGE, Batch, Recipe, named


@final
class SimSiam(Method):
    """SimSiam: predict the other view of yourself, which stands still."""

    title = "SimSiam"
    family = "joint-embedding"
    paper = "2011.10566"
    year = 2020
    view_range = (2, 64)
    limits: ClassVar = {
        "projector_width": (1, 65536),
        "projector_dim": (1, 65536),
        "projector_layers": (1, 8),
        "predictor_width": (1, 65536),
    }
    plan = Plan(optimiser="sgd", lr=0.05, weight_decay=1e-4, decay_vectors=True, batch_size=512, epochs=100)

    def __init__(
        self,
        backbone: nn.Module,
        *,
        projector_width: int = 2048,
        projector_dim: int = 2048,
        projector_layers: int = 3,
        predictor_width: int = 512,
        predictor: bool = True,
        stop_gradient: bool = True,
        symmetric: bool = True,
        fix_predictor_lr: bool = True,
    ) -> None:
        super().__init__()
        self.stop_gradient = stop_gradient
        self.symmetric = symmetric
        self.fix_predictor_lr = fix_predictor_lr
        self.backbone = backbone
        width: int = backbone.num_features  # type: ignore[assignment]
        self.projector = mlp(width, projector_width, projector_dim, layers=projector_layers, last_norm="plain")
        self.predictor = (
            mlp(projector_dim, predictor_width, projector_dim, last_norm=None, last_bias=True)
            if predictor
            else nn.Identity()
        )

    def views(self, size: int) -> Recipe:
        """Two views of MoCo v2's distribution."""
        return named("moco2", size)

    def loss(self, batch: Batch) -> Tensor:
        """The mean over all predictions; each view goes through by itself, for batch norm to see one at a time."""
        targets, predictors = roles(len(batch.views), LARGE, symmetric=self.symmetric)
        z = [self.projector(self.backbone(view)) for view in batch.views]  # [B, d] each
        p = {v: self.predictor(z[v]) for v in predictors}
        still = {u: z[u].detach() if self.stop_gradient else z[u] for u in targets}
        return mean_of_pairs(lambda u, v: negative_cosine(p[v], still[u]), targets, predictors)

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """-1, where a task that is solved is too."""
        return {"all embeddings are equal": -1.0}

    def players(self) -> list[Player]:
        """All parameters; those of the predictor may keep their learning rate."""
        (everything,) = super().players()
        return [replace(everything, steady=("predictor.",))] if self.fix_predictor_lr else [everything]
