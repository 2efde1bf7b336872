"""Big Self-Supervised Models are Strong Semi-Supervised Learners (SimCLR v2).

Chen, Kornblith, Swersky, Norouzi, Hinton. NeurIPS 2020, arXiv 2006.10029.

Large networks with a deep projector learn to find the two views of an image among those of a batch. This is the first
of three stages; `unlabel finetune` and `unlabel distil` are the others.

Predecessors
    SimCLR throws its whole projector away before fine-tuning, and its largest networks do best with few labels but are
    costly to use. SimCLR v2 has still larger ones, a deeper projector, of which the first layer stays for fine-tuning,
    if wanted the memory of MoCo, and distillation into a small network. Fine-tuned with 1 % of ImageNet's labels its
    ResNet-50 has 57.9 %, that of SimCLR 48.3.

Algorithm
    1. pre-train without labels
       z       = g(f(x)) of two views of each image, unit vectors           # [2B, d]
       M       = the last K of g_t(f_t(x)), the teacher's                   # [K, d]
       s(i, j) = z_i . z_j / tau
       L       = mean over i of -s(i, p) + log sum over j != i and M of e^{s(i, j)}      (eq. 1)
       with small crops too (multi-crop, arXiv 2006.09882): as SimCLR's, with M among the rows of other images
       after each update:  f_t, g_t <- m f_t, g_t + (1 - m) f, g
    2. fine-tune with few labels from the middle of the head: `unlabel finetune RUN --labels 0.1 --from-head 1`
       logits  = W g_1(f(x)), g_1 the first of the head's layers with its batch norm, W = 0 at first
    3. distil into a student without further labels: `unlabel distil RUN`
       L       = -sum over y of P_T(y | x; tau) log P_S(y | x; tau)                      (eq. 3)

Flow
    image ─┬─ view 1 ─ f ─ h1 ─ g ─ z1 ─┐
           └─ view 2 ─ f ─ h2 ─ g ─ z2 ─┴─ NT-Xent over all 2B rows, and the memory of the teacher's earlier rows

Symbols
    f         backbone            kept; larger and selective-kernel networks by their names in timm, such as skresnet50
    g         projector           projector_layers = 3
    tau       temperature
    K, M      queue_length, queue  0: no memory and no teacher
    m         teacher_momentum
    d         projector_dim

Departures
    Views as SimCLR's. The rate grows in proportion to the batch, not to its root; both agree at 4096 images.
    The projector's hidden layers are as wide as for a ResNet-50 (projector_width), not as wide as the backbone.
    The memory takes in both views of each image; how it is filled is not in the paper.
"""

import math
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, cat, nn

from unlabel.distributed import gather
from unlabel.losses import nt_xent_of_crops
from unlabel.methods.base import Method
from unlabel.nn.ema import ema_update, teacher_of, without_graph
from unlabel.nn.heads import mlp
from unlabel.nn.multicrop import multicrop
from unlabel.nn.queue import Queue
from unlabel.optim.plan import Plan
from unlabel.views import LARGE, Batch, Recipe, named


@final
class SimCLRv2(Method):
    """SimCLR v2: a deeper projector, whose first layer stays for fine-tuning; negatives from a memory if wanted."""

    title = "SimCLR v2"
    family = "joint-embedding"
    paper = "2006.10029"
    year = 2020
    finetune_from = 1
    view_range = (2, 64)
    limits: ClassVar = {
        "temperature": (1e-3, 100.0),
        "projector_layers": (1, 8),
        "queue_length": (0, 1 << 24),
        "teacher_momentum": (0.0, 1.0),
    }
    plan = Plan(
        optimiser="lars", lr=6.4, lr_per=4096, weight_decay=1e-4, warmup=0.05, batch_size=4096, epochs=800
    )  # fmt: skip

    def __init__(
        self,
        backbone: nn.Module,
        *,
        temperature: float = 0.1,
        projector_width: int = 2048,
        projector_dim: int = 128,
        projector_layers: int = 3,
        queue_length: int = 0,
        teacher_momentum: float = 0.999,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.teacher_momentum = teacher_momentum
        self.backbone = backbone
        width: int = backbone.num_features  # type: ignore[assignment]
        self.projector = mlp(width, projector_width, projector_dim, layers=projector_layers)
        self.queue = Queue(queue_length, projector_dim) if queue_length else None
        self.teacher = teacher_of(self._student()) if queue_length else None

    def views(self, size: int) -> Recipe:
        """Two views of the same strong distribution."""
        return named("simclr", size)

    def loss(self, batch: Batch) -> Tensor:
        """NT-Xent over both views of all ranks' images, with the memory among the negatives."""
        z = self.projector(multicrop(self.backbone, batch.views))  # [V·B, d]; batch norm sees the two views at once
        z1, z2, *small = (gather(view) for view in z.chunk(len(batch.views)))  # [N, d] each
        memory = None if self.queue is None else self.queue.rows
        if self.queue is not None and self.teacher is not None and self.training and torch.is_grad_enabled():
            rows = F.normalize(without_graph(self.teacher, cat(batch.views[:LARGE])), dim=1)
            self.queue.see(cat([gather(view) for view in rows.chunk(LARGE)]))  # in one order on any number of ranks
        return nt_xent_of_crops(z1, z2, small, temperature=self.temperature, memory=memory)

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """log(2B - 1 + K), once the memory's rows are equal too."""
        remembered = 0 if self.queue is None else len(self.queue.rows)
        return {"all embeddings are equal": math.log(2 * batch_size - 1 + remembered)}

    def after_update(self) -> None:
        """The teacher follows, and its new rows go into the memory."""
        if self.queue is not None and self.teacher is not None:
            ema_update(self.teacher, self._student(), self.teacher_momentum)
            self.queue.move()

    def followed(self) -> tuple[nn.Module, nn.Module] | None:
        """The teacher's backbone and the student's, where there is a memory."""
        return None if self.teacher is None else (self.teacher[0], self.backbone)

    def _student(self) -> nn.Sequential:
        """What the teacher is a copy of: backbone, then projector."""
        return nn.Sequential(self.backbone, self.projector)
