"""Unsupervised Learning of Visual Features by Contrasting Cluster Assignments (SwAV).

Caron, Misra, Mairal, Goyal, Bojanowski, Joulin. NeurIPS 2020, arXiv 2006.09882.

From any crop of an image predict the cluster that another, large crop of it is assigned to. Assignments (codes) share
the images of a batch out among all clusters equally, so that nothing is gained by making all images alike.

Predecessors
    SimCLR and MoCo compare features pair by pair, with large batches or a queue; DeepCluster stops to cluster all
    images again before each epoch. SwAV compares cluster assignments, which it makes batch by batch. It also brings
    small crops: after 400 epochs its linear top-1 on ImageNet is 74.6 % with them and 70.1 without.

Algorithm
    x_1, x_2  = two large views, x_3 .. x_V small ones           # [B, 3, S, S], [B, 3, s, s]
    z_v       = g(f(x_v)) / |g(f(x_v))|                          # [B, d]
    s_v       = z_v C^T                                          # [B, K]   C: K unit vectors, learnt
    Q_u       = sg Diag(a) exp(s_u / epsilon) Diag(b), u = 1, 2  # [B, K]   rows sum to 1, columns to B / K (eq. 5)
    l(v, u)   = mean_b -Q_u . log softmax(s_v / tau)             # (eq. 2)
    L         = mean of l(v, u) over u = 1, 2 and all v != u     # (eq. 6)
    each update:
    C        <- its rows, moved by the optimiser (but for the first epochs) and made unit vectors again
    queue    <- z_1, z_2 of all images, in place of the oldest; once full, they are assigned together with the batch's

    a and b come of `sinkhorn_iterations` scalings of columns and rows. L is reported in three parts, L = divergence +
    balance + sharpness: the divergence of predictions from codes; the entropy of the mean code, log K where all
    prototypes get as much; and how far single codes' entropy is below that, -log K where they are sure of themselves.

Flow
    image ─┬─ 2 large crops ─ f ─ g ─ z ─┬─ C ─ scores, and the queue's ─ Sinkhorn ─ codes ─┐
           │                             └─ C ─┐                                            ├─ cross-entropy of
           └─ small crops ─── f ─ g ─ z ─── C ─┴─ softmax ─ predictions ────────────────────┘  different crops

Symbols
    f        backbone      the network that is kept
    g        projector     of projector_layers; thrown away
    C, K     prototypes    its rows, their number
    d        projector_dim
    tau      temperature
    epsilon  epsilon       how soft codes are
    queue    queue         queue_length images of earlier batches, kept from epoch queue_from on; for batches smaller
                           than K

    freeze_prototypes      epochs in which C rests

Departures
    The rate warms up from 0, where the authors begin at a sixteenth of its peak.
    LARS decays gains and biases but does not rescale them. Its ratio has the norm of gradient and decay together below
    it, where the authors' has the sum of both norms.
    No bias in front of the projector's batch norm, which would take it away.
    Every rank assigns the gathered images of all, where the authors add up sums across ranks: the same codes.
    The queue may have any length; the authors' is cut to whole batches.
"""

import math
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.distributed import gather, mine
from unlabel.losses import sinkhorn, swapped_cross_entropy
from unlabel.losses.unit import unit
from unlabel.methods.base import Method
from unlabel.nn.heads import mlp
from unlabel.nn.multicrop import multicrop
from unlabel.nn.queue import Queue
from unlabel.optim import Plan
from unlabel.views import LARGE, Batch, Recipe, named


@final
class SwAV(Method):
    """SwAV: swap the cluster assignments of two crops."""

    title = "SwAV"
    family = "joint-embedding"
    paper = "2006.09882"
    year = 2020
    view_range = (2, 64)
    limits: ClassVar = {
        "projector_width": (1, 65536), "projector_dim": (1, 65536), "projector_layers": (1, 8),
        "prototypes": (2, 1 << 20), "temperature": (1e-3, 100.0), "epsilon": (1e-3, 1e6),
        "sinkhorn_iterations": (1, 10_000), "queue_length": (0, 1 << 20),
    }  # fmt: skip
    plan = Plan(
        optimiser="lars", lr=0.3, weight_decay=1e-6, decay_vectors=True, warmup=0.0125, final_lr=1e-3, batch_size=4096,
        epochs=800,
    )  # fmt: skip

    def __init__(
        self,
        backbone: nn.Module,
        *,
        projector_width: int = 2048,
        projector_dim: int = 128,
        projector_layers: int = 2,
        prototypes: int = 3000,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        sinkhorn_iterations: int = 3,
        queue_length: int = 0,
        queue_from: float = 15.0,
        freeze_prototypes: float = 1.0,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.epsilon = epsilon
        self.sinkhorn_iterations = sinkhorn_iterations
        self.queue_from = queue_from
        self.freeze_prototypes = freeze_prototypes
        self.backbone = backbone
        width: int = backbone.num_features  # type: ignore[assignment]
        self.projector = mlp(
            width, projector_width, projector_dim, layers=projector_layers, last_norm=None, last_bias=True
        )  # fmt: skip
        self.prototypes = nn.Parameter(unit(torch.randn(prototypes, projector_dim)))
        self.queue = Queue(queue_length, LARGE * projector_dim)  # a row: both large views of an image

    def views(self, size: int) -> Recipe:
        """Two large views and six small ones of three sevenths of the side."""
        return named("multicrop", size)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The swapped cross-entropy over all pairs of different views, in three parts."""
        # Looking at a loss, in eval mode or without gradients, must not move anything.
        learning = self.training and torch.is_grad_enabled()
        z = unit(self.projector(multicrop(self.backbone, batch.views)))  # [V·B, d]
        s = self.scores(z).unflatten(0, (len(batch.views), len(batch)))  # [V, B, K]
        codes, balance = self._codes(z[: LARGE * len(batch)].detach().unflatten(0, (LARGE, len(batch))), learning)
        loss = swapped_cross_entropy(codes, s, temperature=self.temperature)
        entropy = torch.special.entr(codes).sum(dim=-1).mean()
        return {"divergence": loss - entropy, "balance": balance, "sharpness": entropy - balance}

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """log K: codes and predictions are even for every image."""
        return {"no image prefers a prototype": math.log(len(self.prototypes))}

    def assigned(self, h: Tensor) -> Tensor:
        """The predictions of what is seen alone: codes would share the images out among all prototypes."""
        return (self.scores(unit(self.projector(h))) / self.temperature).softmax(dim=1)

    def scores(self, z: Tensor) -> Tensor:
        """Cosines of unit rows [N, d] to the prototypes: [N, K], at least float32 like the rows."""
        with torch.autocast(z.device.type, enabled=False):
            return F.linear(z, self.prototypes)

    @torch.no_grad()
    def _codes(self, z: Tensor, learning: bool) -> tuple[Tensor, Tensor]:
        """The codes [2, B, K] of large views z [2, B, d], and the entropy of the mean code of all that was assigned."""
        images = gather(z.transpose(0, 1).flatten(1))  # [N, 2d], of all ranks
        past = self.queue.rows
        full = len(past) > 0 and self.queue.filled == len(past)
        known = torch.cat([past, images]) if full else images
        codes = torch.stack([
            sinkhorn(self.scores(view), epsilon=self.epsilon, iterations=self.sinkhorn_iterations)
            for view in known.chunk(LARGE, dim=1)
        ])  # fmt: skip
        if learning and len(past) and self.epoch >= self.queue_from:
            self.queue.see(images)
        own = torch.stack([mine(view) for view in codes[:, -len(images) :]])
        return own, torch.special.entr(codes.mean(dim=(0, 1))).sum()

    def before_update(self) -> None:
        """During their first epochs prototypes have no gradient: not zero, or weight decay would still move them."""
        if self.epoch < self.freeze_prototypes:
            self.prototypes.grad = None

    @torch.no_grad()
    def after_update(self) -> None:
        """Prototypes are unit vectors again, and the queue takes in what the step saw."""
        self.prototypes.copy_(unit(self.prototypes))
        self.queue.move()
