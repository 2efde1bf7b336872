"""Bootstrap Your Own Latent: a new approach to self-supervised learning.

Grill, Strub, Altché, Tallec, Richemond, Buchatskaya, Doersch, Avila Pires, Guo, Gheshlaghi Azar, Piot,
Kavukcuoglu, Munos, Valko. NeurIPS 2020, arXiv 2006.07733.

An online network predicts what a slowly following copy of itself says of another view.

Predecessors
    SimCLR and MoCo push an image away from many others, and so need a large batch or a queue and depend much on the
    choice of augmentations. BYOL has no negatives: a predictor and a target that moves slowly stand between it and
    collapse. It loses less than SimCLR when the batch shrinks or augmentations are left out (figure 3).

Algorithm
    v, v'       = two views of each image                       # [B, 3, S, S] each
    q(v)        = q_theta(g_theta(f_theta(v)))                  # [B, d]  online
    z'(v')      = sg[ g_xi(f_xi(v')) ]                          # [B, d]  target
    l(v, v')    = mean_b || n(q(v)) - n(z'(v')) ||^2            (eq. 2; n(a) = a / ||a||)
    L           = l(v, v') + l(v', v)                           in [0, 8]
    with small crops w too (arXiv 2006.09882), which predict v and v' and are predicted by nobody:
    L           = the mean of l(., v') over v and all w, plus that of l(., v) over v' and all w
    after each update of theta:
    xi          <- tau xi + (1 - tau) theta                     (eq. 1)
    tau         = 1 - (1 - tau_base) (cos(pi k / K) + 1) / 2    k of K updates

Flow
    image ─┬─ view 1 ─ f_theta ─ g_theta ─ q_theta ─ prediction 1 ──┐
           └─ view 2 ─ f_xi ──── g_xi ──── sg ────── target 2 ──────┴─ squared distance of unit vectors
    and once more with the views exchanged; small crops pass through the upper line only; xi follows theta

Symbols
    f_theta     backbone              the network that is kept
    g_theta     projector
    q_theta     predictor             on the online side only; without it (predictor=false) all collapses
    f_xi, g_xi  teacher               no gradient; batch statistics of its own batch, as the online network's
    tau_base    teacher_momentum
    d           projector_dim

    symmetric               false: l(v, v') alone, and small crops predict v' only; in [0, 4]
    teacher_momentum_end    1; where the momentum arrives along a cosine. Equal to teacher_momentum: it stays

Departures
    The target starts as a copy of the online network; the authors' code gives it random weights of its own.
    Views go through the networks one after the other, so that batch norm sees one view at a time, as
    in the authors' code.
"""

from typing import ClassVar, final

from torch import Tensor, nn

from unlabel.losses import cosine_regression
from unlabel.methods.base import Method
from unlabel.nn.ema import ema_update, teacher_of, without_graph
from unlabel.nn.heads import mlp
from unlabel.nn.multicrop import mean_of_pairs, roles
from unlabel.optim import Plan, curves
from unlabel.views import LARGE, Batch, Recipe, named


@final
class BYOL(Method):
    """BYOL: predict a slowly moving copy of yourself, across views."""

    title = "BYOL"
    family = "joint-embedding"
    paper = "2006.07733"
    year = 2020
    view_range = (2, 64)
    limits: ClassVar = {
        "projector_width": (1, 65536),
        "projector_dim": (1, 65536),
        "projector_layers": (1, 8),
        "teacher_momentum": (0.0, 1.0),
        "teacher_momentum_end": (0.0, 1.0),
    }
    plan = Plan(optimiser="lars", lr=0.2, weight_decay=1.5e-6, warmup=0.01, batch_size=4096, epochs=1000)

    def __init__(
        self,
        backbone: nn.Module,
        *,
        projector_width: int = 4096,
        projector_dim: int = 256,
        teacher_momentum: float = 0.996,
        teacher_momentum_end: float = 1.0,
        projector_layers: int = 2,
        predictor: bool = True,
        symmetric: bool = True,
    ) -> None:
        super().__init__()
        self.teacher_momentum = teacher_momentum
        self.teacher_momentum_end = teacher_momentum_end
        self.symmetric = symmetric
        self.backbone = backbone
        width: int = backbone.num_features  # type: ignore[assignment]
        self.projector = _mlp(width, projector_width, projector_dim, projector_layers)
        self.predictor = _mlp(projector_dim, projector_width, projector_dim) if predictor else nn.Identity()
        self.teacher = teacher_of(self._online())

    def views(self, size: int) -> Recipe:
        """Two views of different distributions: the first always blurred, the second sometimes solarised."""
        return named("byol", size)

    def loss(self, batch: Batch) -> Tensor:
        """The regression from every view to the large ones; a mean over images, so ranks need not share rows."""
        online = self._online()
        targets, predictors = roles(len(batch.views), LARGE, symmetric=self.symmetric)
        q = {v: self.predictor(online(batch.views[v])) for v in predictors}  # [B, d] each
        z = {u: without_graph(self.teacher, batch.views[u]) for u in targets}
        return len(z) * mean_of_pairs(lambda u, v: cosine_regression(q[v], z[u]), targets, predictors)

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """0, where a task that is solved is too."""
        return {"all embeddings are equal": 0.0}

    def after_update(self) -> None:
        """The teacher follows, by default ever more slowly."""
        momentum = curves.cosine(self.progress, self.teacher_momentum, self.teacher_momentum_end)
        ema_update(self.teacher, self._online(), momentum)

    def followed(self) -> tuple[nn.Module, nn.Module]:
        """The teacher's backbone and the student's."""
        return self.teacher[0], self.backbone

    def _online(self) -> nn.Sequential:
        """What the teacher is a copy of: backbone, then projector."""
        return nn.Sequential(self.backbone, self.projector)


def _mlp(inputs: int, hidden: int, outputs: int, layers: int = 2) -> nn.Sequential:
    """The one shape of BYOL's projector and predictor: Linear, BN, ReLU, Linear without bias."""
    return mlp(inputs, hidden, outputs, layers=layers, bias=True, last_norm=None)
