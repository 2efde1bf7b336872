"""Contrastive Learning with Stronger Augmentations (CLSA).

Wang, Qi. IEEE TPAMI 2022, arXiv 2104.07713.

A strong view must see the keys of other images as a weak view of the same image sees them.

Predecessors
    MoCo v2 pulls every view to its key. Strong augmentation distorts an image too much for that and makes the features
    worse. CLSA leaves the pull to a weak view and gives the strong view a softer aim; after 200 epochs its linear top-1
    on ImageNet is 69.4 %, that of MoCo v2 67.5.

Algorithm
    x, x', x''   = key, weak and strong view of each image                  # [N, 3, S, S], x'' may be smaller
    k            = sg n(f_k(shuffle x))                                     # [N, d], n(a) = a / ||a||
    z', z''      = n(f_q(x')), n(f_q(x''))                                  # [N, d] each
    c            = all k, then the queue                                    # [N + K, d] candidates
    p(c_j | z)   = softmax_j(z . c_j / tau)
    L_C          = mean_i -log p(k_i | z'_i)                                with tau
    L_D          = mean_i -sum_j sg p(c_j | z'_i) log p(c_j | z''_i)        with tau_s
    L            = L_C + beta L_D
    after each update of theta_q:
    theta_k      <- m theta_k + (1 - m) theta_q
    queue        <- k in the places of the oldest

    L_D is reported in two parts, the divergence of z'' from z' and the entropy that z' has anyway.

Flow
    image ─┬─ view x ─── f_k ─ sg ─ k ─┬─ queue of K ─ candidates c
           ├─ weak x' ── f_q ─ z' ─────┼─ which key is mine? ─────── L_C
           │                  └ sg p(c | z') ─┐
           └─ strong x'' f_q ─ z'' ─ p(c | z'') ─ cross-entropy ──── L_D
    f_k follows f_q; k enters the queue after the update

Symbols
    f_q        projector(backbone(x))    the backbone is kept; the projector has no batch norm
    f_k        teacher                   no gradient
    m          teacher_momentum
    tau        temperature
    tau_s      strong_temperature
    K          queue_length
    beta       beta
    d          projector_dim
    shuffle    bn_splits                 batch norm sees the batch in so many parts (in the paper 8, one a GPU),
                                         a key in other company than its query; 1: the whole batch at once

    With distributional=false the strong view is pulled to its key as the weak one is, which the paper finds worse.
    With beta=0 it is MoCo v2 whose queries also see the other keys of their batch.

Departures
    One weak view and one strong, which is of the smallest of five sizes, as in the authors' runs without multi-crop.
    The shuffle is an order that spreads each part of the queries evenly over the parts of the keys, not a random one.
    The teacher moves right after an update instead of right before the next keys, which is the same.
"""

import math
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from unlabel.distributed import gather, mine, world
from unlabel.losses import info_nce, weak_to_strong
from unlabel.losses.unit import unit
from unlabel.methods.base import Method
from unlabel.nn.ema import ema_update, teacher_of, without_graph
from unlabel.nn.heads import mlp
from unlabel.nn.queue import Queue
from unlabel.nn.split_batchnorm import apart, split_batchnorm
from unlabel.optim import Plan
from unlabel.views import Batch, Recipe, named


@final
class CLSA(Method):
    """CLSA: a strong view sees other images as a weak view does."""

    title = "CLSA"
    family = "joint-embedding"
    paper = "2104.07713"
    year = 2021
    view_range = (3, 3)
    limits: ClassVar = {
        "temperature": (1e-3, 100.0),
        "strong_temperature": (1e-3, 100.0),
        "projector_width": (1, 65536),
        "projector_dim": (1, 65536),
        "projector_layers": (1, 8),
        "queue_length": (1, 1 << 24),
        "teacher_momentum": (0.0, 1.0),
        "bn_splits": (1, 4096),
    }
    plan = Plan(optimiser="sgd", lr=0.03, weight_decay=1e-4, decay_vectors=True, batch_size=256, epochs=200)

    def __init__(
        self,
        backbone: nn.Module,
        *,
        temperature: float = 0.2,
        strong_temperature: float = 0.2,
        beta: float = 1.0,
        distributional: bool = True,
        projector_width: int = 2048,
        projector_dim: int = 128,
        projector_layers: int = 2,
        queue_length: int = 65536,
        teacher_momentum: float = 0.999,
        bn_splits: int = 8,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.strong_temperature = strong_temperature
        self.beta = beta
        self.distributional = distributional
        self.teacher_momentum = teacher_momentum
        self.bn_splits = bn_splits
        self.backbone = split_batchnorm(backbone, bn_splits)
        self.projector = mlp(
            backbone.num_features,  # type: ignore[arg-type]
            projector_width,
            projector_dim,
            layers=projector_layers,
            norm=None,
            bias=True,
            last_norm=None,
            last_bias=True,
        )
        self.teacher = teacher_of(self._student())
        self.queue = Queue(queue_length, projector_dim)

    def views(self, size: int) -> Recipe:
        """A key, a weak and a strong view."""
        return named("clsa", size)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L_C of the weak view, and beta L_D of the strong one as divergence and entropy."""
        x, x_weak, x_strong = batch.views
        k = self._keys(x)  # [N, d]
        if self.training and torch.is_grad_enabled():  # looking at a loss moves nothing
            self.queue.see(k)
        candidates = torch.cat([k, self.queue.rows])  # [N + K, d]
        own = mine(torch.arange(len(k), device=k.device))
        weak, strong = (unit(self._student()(view)) for view in (x_weak, x_strong))  # [b, d] each
        nce = info_nce(weak, candidates, own, temperature=self.temperature).mean()
        if not self.distributional:
            pulled = info_nce(strong, candidates, own, temperature=self.strong_temperature).mean()
            return {"nce": nce, "strong_nce": self.beta * pulled}
        divergence, entropy = weak_to_strong(strong, weak, candidates, temperature=self.strong_temperature)
        return {"nce": nce, "divergence": self.beta * divergence, "entropy": self.beta * entropy}

    def _keys(self, x: Tensor) -> Tensor:
        """Unit keys of all ranks' images [N, d]; batch norm sees each in other company than its query."""
        order = apart(len(x) * world(), self.bn_splits, x.device)
        k = gather(without_graph(self.teacher, mine(gather(x)[order]) if self.bn_splits > 1 else x))
        return unit(k[order.argsort()])

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """log(N + K) for the weak view, and beta times that for the strong one."""
        return {"all embeddings are equal": (1 + self.beta) * math.log(batch_size + len(self.queue.rows))}

    def after_update(self) -> None:
        """The teacher follows, and the keys that were seen go into the queue."""
        ema_update(self.teacher, self._student(), self.teacher_momentum)
        self.queue.move()

    def followed(self) -> tuple[nn.Module, nn.Module]:
        """The teacher's backbone and the student's."""
        return self.teacher[0], self.backbone

    def _student(self) -> nn.Sequential:
        """What the teacher is a copy of: backbone, then projector."""
        return nn.Sequential(self.backbone, self.projector)
