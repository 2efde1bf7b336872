"""Emerging Properties in Self-Supervised Vision Transformers (DINO).

Caron, Touvron, Misra, Jégou, Mairal, Bojanowski, Joulin. ICCV 2021, arXiv 2104.14294.

A student learns, from any crop, the soft assignment that its own moving average makes of another, large crop.
Centring keeps one output from winning everywhere, sharpening keeps the outputs from becoming equal.

Predecessors
    BYOL escapes collapse by a predictor on one side, SwAV by sharing each batch out among its clusters. In DINO
    centring and sharpening of the teacher's output are enough, and student and teacher have the same layers. With
    vision transformers its nearest neighbours tell classes nearly as well as a trained linear layer (ViT-S/16: 74.5 and
    77.0 %).

Algorithm
    x_1, x_2          = two large views, x_3 .. x_V small ones     # [B, 3, S, S], [B, 3, s, s]
    t_u               = g_t(x_u), u = 1, 2                         # [B, K]  teacher, large views only
    s_v               = g_s(x_v), v = 1 .. V                       # [B, K]  student, all views
    P_u               = sg softmax((t_u - C) / tau_t)
    L                 = mean over u, v != u of mean_b -P_u . log softmax(s_v / tau_s)      (eq. 3)
    each update:
    theta_s           <- AdamW, gradients clipped parameter by parameter; prototypes frozen at first
    theta_t           <- lambda theta_t + (1 - lambda) theta_s,    lambda from lambda_0 to 1 along a cosine
    C                 <- m C + (1 - m) mean over u and b of t_u    (eq. 4)

    L is reported in two parts, L = KL + H: the divergence of the student from the teacher, and the teacher's
    entropy. KL = 0 with H = 0 or H = log K is collapse (figure 7).

Flow
    image ─┬─ 2 large crops ─┬─ teacher g_t ─ centre, sharpen ─ P ──┐
           │                 └─ student g_s ─┐                      ├─ cross-entropy of different crops
           └─ small crops ──── student g_s ──┴─ sharpen ────────────┘

Symbols
    g_s               head, backbone         head(backbone(x))
    g_t               teacher                an average; its backbone is kept
    K                 prototypes
    C, m              centre, centre_momentum
    tau_s             student_temperature
    lambda_0          teacher_momentum
    tau_t             teacher_temperature    reached in a straight line from warmup_teacher_temperature over
                                             warmup_teacher_epochs

    head_layers       layers of the head before its prototypes; head_norm=true puts batch norm between them
    teacher_momentum_end    1; where the momentum arrives along a cosine. Equal to teacher_momentum: it stays
    norm_last_layer   false: each prototype's score, a cosine, is multiplied by a number that is learnt

Departures
    The prototype layer and the loss run in float32 under mixed precision.
    Stochastic depth (student only) is added to vision transformers; other backbones keep their own.
    Positions for small crops are timm's antialiased bicubic resampling of the table, for both networks.
    The centre moves once per update, also when gradients are accumulated over several batches.
    The teacher's momentum is read after an update, the authors' before it: the same curve, one update on.
"""

import math
from typing import ClassVar, final

import torch
from timm.models import VisionTransformer
from torch import Tensor, nn

from unlabel.distributed import all_mean
from unlabel.losses import swapped_cross_entropy
from unlabel.methods.base import Method
from unlabel.nn.centre import Centre
from unlabel.nn.drop_path import add_drop_path
from unlabel.nn.ema import ema_update, teacher_of, without_graph
from unlabel.nn.heads import PrototypeHead
from unlabel.nn.multicrop import multicrop
from unlabel.optim import Plan, curves
from unlabel.views import LARGE, Batch, Recipe, named


@final
class DINO(Method):
    """DINO: self-distillation with no labels."""

    title = "DINO"
    family = "joint-embedding"
    paper = "2104.14294"
    year = 2021
    view_range = (2, 64)
    limits: ClassVar = {
        "prototypes": (1, 1 << 20),
        "head_width": (1, 65536),
        "head_layers": (1, 8),
        "bottleneck": (1, 65536),
        "student_temperature": (1e-3, 100.0),
        "teacher_temperature": (1e-3, 100.0),
        "warmup_teacher_temperature": (1e-3, 100.0),
        "teacher_momentum": (0.0, 1.0),
        "teacher_momentum_end": (0.0, 1.0),
        "centre_momentum": (0.0, 1.0),
        "drop_path": (0.0, 0.9),
    }
    plan = Plan(
        optimiser="adamw",
        lr=5e-4,
        weight_decay=0.04,
        weight_decay_end=0.4,
        warmup=0.1,
        final_lr=5e-4,
        batch_size=1024,
        epochs=100,
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        prototypes: int = 65536,
        head_width: int = 2048,
        head_layers: int = 3,
        head_norm: bool = False,
        bottleneck: int = 256,
        norm_last_layer: bool = True,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        warmup_teacher_temperature: float = 0.04,
        warmup_teacher_epochs: float = 0.0,
        teacher_momentum: float = 0.996,
        teacher_momentum_end: float = 1.0,
        centre_momentum: float = 0.9,
        centring: bool = True,
        freeze_last_layer: float = 1.0,
        clip_each: float = 3.0,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature
        self.warmup_teacher_temperature = warmup_teacher_temperature
        self.warmup_teacher_epochs = warmup_teacher_epochs
        self.teacher_momentum = teacher_momentum
        self.teacher_momentum_end = teacher_momentum_end
        self.centring = centring
        self.freeze_last_layer = freeze_last_layer
        self.clip_each = clip_each
        self.backbone = backbone
        self.head = PrototypeHead(
            backbone.num_features,  # type: ignore[arg-type]
            width=head_width,
            layers=head_layers,
            batch_norm=head_norm,
            bottleneck=bottleneck,
            prototypes=prototypes,
            gains=not norm_last_layer,
        )
        self.teacher = teacher_of(self._student())
        if isinstance(backbone, VisionTransformer) and drop_path > 0:
            add_drop_path(backbone, drop_path)
        self.centre = Centre(prototypes, momentum=centre_momentum)

    def views(self, size: int) -> Recipe:
        """Two large views, then small ones of half a side and less."""
        return named("dino", size)

    @property
    def kept(self) -> nn.Module:
        """The teacher's backbone, which is the better one throughout training (figure 6)."""
        return self.teacher["backbone"]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy over all pairs of different views, as divergence and teacher entropy."""
        # Looking at a loss, in eval mode or without gradients, must not move anything.
        learning = self.training and torch.is_grad_enabled()
        targets, entropy = self._targets(batch.views[:LARGE], learning)
        s = self.head(multicrop(self.backbone, batch.views))  # [V·B, K]
        s = s.unflatten(0, (len(batch.views), len(batch)))  # [V, B, K]
        loss = swapped_cross_entropy(targets, s, temperature=self.student_temperature)
        return {"divergence": loss - entropy, "teacher_entropy": entropy}

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """The two of figure 7: without sharpening and without centring."""
        return {
            "the teacher's output is uniform": math.log(len(self.head.prototypes)),
            "all images prefer the same prototype": 0.0,
        }

    def assigned(self, h: Tensor) -> Tensor:
        """What the teacher says, centred and sharpened."""
        t = self.teacher["head"](h)
        return ((self.centre(t) if self.centring else t) / self._teacher_temperature()).softmax(dim=-1)

    @torch.no_grad()
    def _targets(self, large: list[Tensor], learning: bool) -> tuple[Tensor, Tensor]:
        """What the teacher says of the large views: P [U, B, K], and its mean entropy."""
        t = without_graph(lambda *views: self.teacher["head"](multicrop(self.teacher["backbone"], views)), *large)
        centred = self.centre(t) if self.centring else t
        log_p = (centred / self._teacher_temperature()).log_softmax(dim=-1)
        p = log_p.exp()
        if learning:
            self.centre.see(all_mean(t.mean(dim=0)))
        return p.unflatten(0, (len(large), -1)), -(p * log_p).sum(dim=-1).mean()

    def _teacher_temperature(self) -> float:
        if self.epoch >= self.warmup_teacher_epochs:
            return self.teacher_temperature
        passed = self.epoch / self.warmup_teacher_epochs
        return curves.linear(passed, self.warmup_teacher_temperature, self.teacher_temperature)

    @torch.no_grad()
    def before_update(self) -> None:
        """Clip each parameter's gradient by itself; while the prototypes are frozen, they have none."""
        if self.epoch < self.freeze_last_layer:
            for p in self.head.last_layer():
                p.grad = None  # not zero: weight decay would still move it
        grads = [p.grad for p in self.parameters() if p.grad is not None]
        if self.clip_each > 0 and grads:
            norms = torch._foreach_norm(grads)
            torch._foreach_mul_(grads, [(self.clip_each / (norm + 1e-6)).clamp(max=1.0) for norm in norms])

    def after_update(self) -> None:
        """Teacher and centre follow."""
        momentum = curves.cosine(self.progress, self.teacher_momentum, self.teacher_momentum_end)
        ema_update(self.teacher, self._student(), momentum)
        self.centre.move()

    def project(self, h: Tensor) -> Tensor:
        """The teacher's vector whose direction is compared with the prototypes: [B, bottleneck]."""
        return self.teacher.get_submodule("head.mlp")(h)

    def followed(self) -> tuple[nn.Module, nn.Module]:
        """The teacher's backbone and the student's."""
        return self.teacher["backbone"], self.backbone

    def _student(self) -> nn.ModuleDict:
        """What the teacher is a copy of."""
        return nn.ModuleDict({"backbone": self.backbone, "head": self.head})
