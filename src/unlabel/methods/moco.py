"""Momentum Contrast for Unsupervised Visual Representation Learning (MoCo).

He, Fan, Wu, Xie, Girshick. CVPR 2020, arXiv 1911.05722.

A query must tell the key of its own image from keys of the last K images. A queue holds these, so that their number
does not depend on the batch; the network that makes them moves slowly, so that keys of different age can be compared.

Predecessors
    InstDisc remembers one vector of each image, made by networks of up to an epoch ago; CPC and InvaSpread have fresh
    vectors, but only those of the batch. The queue of MoCo has both virtues: many keys, and all of them recent. On
    ImageNet its linear top-1 is 60.6 %, with a memory of all images 58.0 (figure 3).

Algorithm
    x_q, x_k   = two views of each image                                    # [N, 3, S, S] each
    q          = n(f_q(x_q))                                                # [N, d], n(a) = a / ||a||
    k+         = sg n(f_k(shuffle x_k))                                     # [N, d]
    L          = mean of -log e^{q.k+/tau} / (e^{q.k+/tau} + sum over queue e^{q.k/tau})          (eq. 1)
    with small crops too (multi-crop, arXiv 2006.09882), which are queries of the same keys and never keys:
    L          = the mean of this over x_q and all small crops
    after each update of theta_q:
    theta_k    <- m theta_k + (1 - m) theta_q                               (eq. 2)
    queue      <- k+ in the places of the oldest

Flow
    image ─┬─ view 1 ─ f_q ─ q ─────────────────────┐
           │                                        ├─ which key is mine? ─ L
           └─ view 2 ─ f_k ─ sg ─ k+ ───────────────┤
                                   └─ queue of K ───┘
    f_k follows f_q; k+ enters the queue after the update

Symbols
    f_q        projector(backbone(x))    the backbone is kept; the projector is one linear layer
    f_k        teacher                   no gradient
    m          teacher_momentum
    tau        temperature
    K          queue_length              how many keys it holds
    d          projector_dim
    shuffle    bn_splits                 batch norm sees the batch in so many parts (in the paper 8, one a GPU),
                                         a key in other company than its query; 1: the whole batch at once

Hard negatives
    Where backgrounds are swapped (background=swap, arXiv 2103.12719), x_q has one negative more: the key of
    another object on its own background. It never enters the queue.

Departures
    What that negative passes through is not in the paper as it was read; here it is f_k, as all negatives do.
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
from unlabel.nn.multicrop import mean_of_pairs, roles
from unlabel.nn.queue import Queue
from unlabel.nn.split_batchnorm import apart, split_batchnorm
from unlabel.optim import Plan
from unlabel.views import LARGE, Batch, Recipe, named


@final
class MoCo(Method):
    """MoCo: find your key among those of a long queue."""

    title = "MoCo"
    family = "joint-embedding"
    paper = "1911.05722"
    year = 2019
    view_range = (2, 64)
    takes_negatives = True
    limits: ClassVar = {
        "temperature": (1e-3, 100.0),
        "projector_dim": (1, 65536),
        "queue_length": (1, 1 << 24),
        "teacher_momentum": (0.0, 1.0),
        "bn_splits": (1, 4096),
    }
    plan = Plan(
        optimiser="sgd", lr=0.03, weight_decay=1e-4, decay_vectors=True, schedule="steps", batch_size=256, epochs=200
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        temperature: float = 0.07,
        projector_dim: int = 128,
        queue_length: int = 65536,
        teacher_momentum: float = 0.999,
        bn_splits: int = 8,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.teacher_momentum = teacher_momentum
        self.bn_splits = bn_splits
        self.backbone = split_batchnorm(backbone, bn_splits)
        self.projector = nn.Linear(backbone.num_features, projector_dim)  # type: ignore[arg-type]
        self.teacher = teacher_of(self._student())
        self.queue = Queue(queue_length, projector_dim)

    def views(self, size: int) -> Recipe:
        """Two views of InstDisc's one distribution."""
        return Recipe(views=named("instdisc", size).views * 2)

    def loss(self, batch: Batch) -> Tensor:
        """InfoNCE of this rank's queries against their keys and the queue, which is the same on all ranks."""
        targets, queries = roles(len(batch.views), LARGE, symmetric=False)
        q = {v: self._student()(batch.views[v]) for v in queries}
        k, hard = self._keys(batch.views[1]), self._hard(batch)
        if self.training and torch.is_grad_enabled():  # looking at a loss moves nothing
            self.queue.see(k)
        return mean_of_pairs(lambda _, v: queue_info_nce(
            q[v], mine(k), self.queue.rows, temperature=self.temperature, hard=None if v else hard
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
        """log(1 + K), once the queue's keys are equal too; where backgrounds are swapped, up to log(2 + K)."""
        return {"all embeddings are equal": math.log(1 + len(self.queue.rows))}

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
