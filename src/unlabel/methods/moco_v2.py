"""Improved Baselines with Momentum Contrastive Learning (MoCo v2).

Chen, Fan, Girshick, He. arXiv 2003.04297, 2020.

A query must tell the key of its own image from keys of the last K images, which a queue holds. Queries and keys pass
through a projector with a hidden layer, and the augmentation is strong.

Predecessors
    SimCLR did better than MoCo, but with batches that few machines can hold. MoCo v2 takes over its projector with a
    hidden layer and its stronger augmentation, adds a cosine schedule, and leaves the negatives to the queue. With
    batches of 256 and 200 epochs its linear top-1 on ImageNet is 67.5 %; that of MoCo is 60.6, and SimCLR with this
    batch has 61.9.

Algorithm
    x_1, x_2     = two views of each image                                  # [N, 3, S, S] each
    q_v, k_v     = n(f_q(x_v)), sg n(f_k(shuffle x_v))                      # [N, d], n(a) = a / ||a||
    l(q, k+)     = mean of -log e^{q.k+/tau} / (e^{q.k+/tau} + sum over queue e^{q.k/tau})        (eq. 1)
    L            = l(q_1, k_2)         or, symmetric,      l(q_1, k_2) + l(q_2, k_1)
    with small crops too (multi-crop, arXiv 2006.09882), which are queries of the same keys and never keys:
    l(., k+)     = the mean of this over the large query and all small crops
    after each update of theta_q:
    theta_k      <- m theta_k + (1 - m) theta_q
    queue        <- k_2 (and k_1) in the places of the oldest

Flow
    image ─┬─ view 1 ─ f_q ─ q ─────────────────────┐
           │                                        ├─ which key is mine? ─ L
           └─ view 2 ─ f_k ─ sg ─ k+ ───────────────┤
                                   └─ queue of K ───┘
    symmetric: and once more with the views exchanged; f_k follows f_q; k+ enters the queue after the update

Symbols
    f_q        projector(backbone(x))    the backbone is kept; the projector has no batch norm
    f_k        teacher                   no gradient
    m          teacher_momentum
    tau        temperature
    K          queue_length              how many keys it holds
    d          projector_dim
    shuffle    bn_splits                 batch norm sees the batch in so many parts (in the paper 8, one a GPU),
                                         a key in other company than its query; 1: the whole batch at once

    With projector_layers=1, temperature=0.07 and the views of InstDisc it is MoCo v1.

Hard negatives
    Where backgrounds are swapped (background=swap, arXiv 2103.12719), the query q_1 has one negative more: the key of
    another object on its own background. It never enters the queue.

Departures
    What that negative passes through is not in the paper as it was read; here it is f_k, as all negatives do.
    The symmetric loss is that of the authors' CIFAR demonstration, with one queue for the keys of both views.
    The shuffle is an order that spreads each part of the queries evenly over the parts of the keys, not a random one.
    The teacher moves right after an update instead of right before the next keys, which is the same.
"""

import math
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from unlabel.distributed import gather, mine, world
from unlabel.losses import queue_info_nce
from unlabel.losses.unit import unit
from unlabel.methods.base import Method
from unlabel.nn.ema import ema_update, teacher_of, without_graph
from unlabel.nn.heads import mlp
from unlabel.nn.multicrop import mean_of_pairs, roles
from unlabel.nn.queue import Queue
from unlabel.nn.split_batchnorm import apart, split_batchnorm
from unlabel.optim import Plan
from unlabel.views import LARGE, Batch, Recipe, named


@final
class MoCoV2(Method):
    """MoCo v2: MoCo with a hidden layer, more augmentation and a cosine."""

    title = "MoCo v2"
    family = "joint-embedding"
    paper = "2003.04297"
    year = 2020
    view_range = (2, 64)
    takes_negatives = True
    limits: ClassVar = {
        "temperature": (1e-3, 100.0),
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
        projector_width: int = 2048,
        projector_dim: int = 128,
        projector_layers: int = 2,
        queue_length: int = 65536,
        teacher_momentum: float = 0.999,
        symmetric: bool = False,
        bn_splits: int = 8,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.teacher_momentum = teacher_momentum
        self.symmetric = symmetric
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
        """Two views of one distribution: MoCo v1's with blur, and with less colour jitter less often."""
        return named("moco2", size)

    def loss(self, batch: Batch) -> Tensor:
        """InfoNCE of this rank's queries against their keys and the queue, in one direction or in both."""
        targets, queries = roles(len(batch.views), LARGE, symmetric=self.symmetric)
        q = {v: self._student()(batch.views[v]) for v in queries}
        k = {u: self._keys(batch.views[u]) for u in reversed(targets)}
        hard = self._hard(batch)
        if self.training and torch.is_grad_enabled():  # looking at a loss moves nothing
            for keys in k.values():
                self.queue.see(keys)
        return len(k) * mean_of_pairs(lambda u, v: queue_info_nce(
            q[v], mine(k[u]), self.queue.rows, temperature=self.temperature, hard=None if v else hard
        ), targets, queries)  # fmt: skip

    def _hard(self, batch: Batch) -> tuple[Tensor, Tensor] | None:
        """Keys of the hard negatives of this rank's images [B, d], and which images have one."""
        if batch.negative is None or batch.matched is None:
            return None
        return mine(self._keys(batch.negative)), batch.matched

    def _keys(self, x: Tensor) -> Tensor:
        """Unit keys of all ranks' images [N, d]; batch norm sees each in other company than its query."""
        order = apart(len(x) * world(), self.bn_splits, x.device)
        k = gather(without_graph(self.teacher, mine(gather(x)[order]) if self.bn_splits > 1 else x))
        return unit(k[order.argsort()])

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """log(1 + K) in each direction, once the queue's keys are equal; up to log(2 + K) with swapped backgrounds."""
        directions = 2 if self.symmetric else 1
        return {"all embeddings are equal": directions * math.log(1 + len(self.queue.rows))}

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
