"""BYOL with two losses: what two views share, and what sets them apart.

What two views share is learnt by one loss. A second one of the same kind looks at features in which the channels that
differ between the views weigh more, through heads of its own.

Predecessors
    BYOL rewards only what two views share, and so forgets what the augmentations changed. The second loss is to keep
    some of it. On the slides it adds a little on CIFAR-10 (91.6 to 91.9 %) and costs a little on STL-10 and CIFAR-100.

Source
    Undated slides without a name, a paper or code. They print the gate f(dx) = exp(-|dx| / T), the re-weightings
    x + f(dx) x ("consistency") and x + (1 - f(dx)) x ("inconsistency"), and results of "loss1", "loss2" and both. Where
    the gate stands, what is detached, T and the heads are not printed; they are chosen here, as is the year.

Algorithm
    h_v      = f(x_v),   g_v = f_xi(x_v)                  # [B, C]  online; target, no gradient
    delta    = g_1 - g_2                                  # [B, C]
    a        = exp(-|delta| / (T s)), s = mean |delta|    # [B, C]  the gate, in (0, 1]; no gradient
    Cons(x)  = x + a x,   Inc(x) = x + (1 - a) x          # together 3 x
    R(u, w)  = mean_b || n(u) - n(w) ||^2                 n(u) = u / ||u||
    BYOL_F   = R(q(p(F(h_1))), p_xi(F(g_2))) + R(q(p(F(h_2))), p_xi(F(g_1)))
    L        = w1 BYOL_id + w2 BYOL_Inc                   each with p, q and p_xi of its own
    after each update: f_xi and p_xi follow f and p, as in BYOL

Flow
    image ─┬─ view 1 ─ f ──── h_1 ─┬─ p, q ─┬─ first loss        ─┬─ Inc, p, q ─┬─ second loss
           └─ view 2 ─ f_xi ─ g_2 ─┴─ p_xi ─┘                    ─┴─ Inc, p_xi ─┘
    and once more with the views exchanged; g_1 and g_2 make the gate of Inc

Symbols
    T             gate_temperature            large: Inc(x) = x; small: Inc(x) = 2 x wherever the views differ
    s             gate_scale                  "relative": as above; "absolute": 1
    a             granularity                 "channel": as above; "scalar": one number for each image, from its mean
                                              |delta|, which changes lengths and no directions: a control, without
                                              effect but for the batch norms of the heads, which do see lengths
    w1, w2        first_weight, second_weight
    BYOL_id       first_loss                  "plain"; "gated": on Cons; "off"
    BYOL_Inc      second_loss                 "inc"; "off"; "regress": in its place a small network tells from Inc(h_1)
                                              and Inc(h_2) how the views differ (crop, flip, colours), in standard
                                              deviations of the batch; mean squared error
    +             reduction                   "sum" of both directions, as in BYOL, or their "mean"
    f, p, q       backbone, projector, predictor            of the second loss second_projector, second_predictor
    f_xi, p_xi    teacher                     of teacher_momentum

    teacher_momentum_end    1; where the momentum arrives along a cosine. Equal to teacher_momentum: it stays

Departures
    The gate acts on pooled features. On maps it would need views that are aligned, and random crops are not.
    The plan is BYOL's, with the batch that the slides name for CIFAR-10.
"""

from collections.abc import Callable
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.distributed import all_mean, gather
from unlabel.errors import Fault
from unlabel.losses import cosine_regression
from unlabel.methods.base import Method
from unlabel.nn.ema import ema_update, teacher_of, without_graph
from unlabel.nn.heads import mlp
from unlabel.optim import Plan, curves
from unlabel.views import DIFFERENCES, Batch, Recipe, differences, named

Change = Callable[[Tensor], Tensor]


@final
class BYOLTwoLosses(Method):
    """BYOL with two losses: one on what the views share, one on features that weigh their differences."""

    title = "BYOL with two losses"
    family = "joint-embedding"
    paper = ""
    year = 2022
    limits: ClassVar = {
        "projector_width": (1, 65536),
        "projector_dim": (1, 65536),
        "projector_layers": (1, 8),
        "teacher_momentum": (0.0, 1.0),
        "teacher_momentum_end": (0.0, 1.0),
        "gate_temperature": (1e-6, 1e30),
    }
    plan = Plan(optimiser="lars", lr=0.2, weight_decay=1.5e-6, warmup=0.01, batch_size=512, epochs=1000)

    def __init__(
        self,
        backbone: nn.Module,
        *,
        projector_width: int = 4096,
        projector_dim: int = 256,
        projector_layers: int = 2,
        teacher_momentum: float = 0.996,
        teacher_momentum_end: float = 1.0,
        gate_temperature: float = 1.0,
        gate_scale: Literal["relative", "absolute"] = "relative",
        granularity: Literal["channel", "scalar"] = "channel",
        first_loss: Literal["plain", "gated", "off"] = "plain",
        second_loss: Literal["inc", "regress", "off"] = "inc",
        first_weight: float = 1.0,
        second_weight: float = 1.0,
        reduction: Literal["sum", "mean"] = "sum",
    ) -> None:
        super().__init__()
        if first_loss == second_loss == "off":
            raise Fault(
                "`first_loss` and `second_loss` are both off, so there is nothing to learn: leave one of them on"
            )
        self.teacher_momentum = teacher_momentum
        self.teacher_momentum_end = teacher_momentum_end
        self.gate_temperature = gate_temperature
        self.gate_scale = gate_scale
        self.granularity = granularity
        self.first_loss = first_loss
        self.second_loss = second_loss
        share = 1.0 if reduction == "sum" else 0.5
        self.weights = {"first": share * first_weight, "second": share * second_weight, "regress": second_weight}
        self.backbone = backbone
        width: int = backbone.num_features  # type: ignore[assignment]
        if first_loss != "off":
            self.projector = _mlp(width, projector_width, projector_dim, projector_layers)
            self.predictor = _mlp(projector_dim, projector_width, projector_dim)
        if second_loss == "inc":
            self.second_projector = _mlp(width, projector_width, projector_dim, projector_layers)
            self.second_predictor = _mlp(projector_dim, projector_width, projector_dim)
        if second_loss == "regress":
            self.regressor = mlp(2 * width, projector_width, len(DIFFERENCES), last_norm=None, last_bias=True)
        self.teacher = teacher_of(self._online())

    def views(self, size: int) -> Recipe:
        """BYOL's asymmetric pair."""
        return named("byol", size)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The losses that are on, weighted."""
        h = [self.backbone(view) for view in batch.views]  # [B, C] each
        g = [without_graph(self.teacher["backbone"], view) for view in batch.views]
        a = self._gate(*g)
        terms = {}
        if self.first_loss != "off":
            change: Change = (lambda x: consistent(x, a)) if self.first_loss == "gated" else (lambda x: x)
            found = _byol(h, g, change, self.projector, self.predictor, self.teacher["projector"])
            terms["first"] = self.weights["first"] * found
        if self.second_loss == "inc":
            change = lambda x: inconsistent(x, a)  # noqa: E731
            found = _byol(h, g, change, self.second_projector, self.second_predictor, self.teacher["second_projector"])
            terms["second"] = self.weights["second"] * found
        if self.second_loss == "regress":
            told = self.regressor(torch.cat([inconsistent(x, a) for x in h], dim=1))  # [B, 9]
            terms["regress"] = self.weights["regress"] * F.mse_loss(told, _made_differently(batch).to(told))
        return terms

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """0, where a task that is solved is too; not known where it is told how views differ."""
        return {} if self.second_loss == "regress" else {"all embeddings are equal": 0.0}

    def after_update(self) -> None:
        """The teacher follows, by default ever more slowly."""
        momentum = curves.cosine(self.progress, self.teacher_momentum, self.teacher_momentum_end)
        ema_update(self.teacher, self._online(), momentum)

    def project(self, h: Tensor) -> Tensor:
        """The projection of the first loss that is on, of features without a gate."""
        if self.first_loss != "off":
            return self.projector(h)
        return self.second_projector(h) if self.second_loss == "inc" else h

    def _gate(self, g1: Tensor, g2: Tensor) -> Tensor:
        """a [B, C], or [B, 1] where it is a scalar."""
        apart = (g1 - g2).abs()
        if self.granularity == "scalar":
            apart = apart.mean(dim=1, keepdim=True)
        scale = all_mean(apart.mean()) if self.gate_scale == "relative" else apart.new_ones(())
        return gate(apart, self.gate_temperature * scale)

    def followed(self) -> tuple[nn.Module, nn.Module]:
        """The teacher's backbone and the student's."""
        return self.teacher["backbone"], self.backbone

    def _online(self) -> nn.ModuleDict:
        """What the teacher is a copy of."""
        parts = {"backbone": self.backbone}
        if self.first_loss != "off":
            parts["projector"] = self.projector
        if self.second_loss == "inc":
            parts["second_projector"] = self.second_projector
        return nn.ModuleDict(parts)


def gate(apart: Tensor, temperature: Tensor) -> Tensor:
    """e^{-|delta| / temperature} of distances |delta| >= 0; 1 where they are 0, whatever the temperature."""
    return (-apart / temperature.clamp(min=torch.finfo(apart.dtype).tiny)).exp()


def consistent(x: Tensor, a: Tensor) -> Tensor:
    """Cons: what is alike in both views weighs up to twice as much."""
    return x + a * x


def inconsistent(x: Tensor, a: Tensor) -> Tensor:
    """Inc: what is different weighs up to twice as much."""
    return x + (1 - a) * x


def _byol(
    h: list[Tensor], g: list[Tensor], change: Change, projector: nn.Module, predictor: nn.Module, target: nn.Module
) -> Tensor:
    """BYOL's regression in both directions, on changed features."""
    q1, q2 = (predictor(projector(change(x))) for x in h)  # [B, d] each
    z1, z2 = (without_graph(target, change(x)) for x in g)
    return cosine_regression(q1, z2) + cosine_regression(q2, z1)


def _made_differently(batch: Batch) -> Tensor:
    """How the two views differ [B, 9], with mean 0 and deviation 1 over all ranks' images; 0 for what never differs."""
    apart = torch.from_numpy(differences(*batch.records)).to(batch.views[0])
    every = gather(apart)
    return (apart - every.mean(dim=0)) / every.std(dim=0).clamp(min=1e-6)


def _mlp(inputs: int, hidden: int, outputs: int, layers: int = 2) -> nn.Sequential:
    """The one shape of BYOL's projector and predictor: Linear, BN, ReLU, Linear without bias."""
    return mlp(inputs, hidden, outputs, layers=layers, bias=True, last_norm=None)
