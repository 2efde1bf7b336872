"""An Empirical Study of Training Self-Supervised Vision Transformers (MoCo v3).

Chen, Xie, He. ICCV 2021, arXiv 2104.02057.

A query, which passes through a predictor, must tell the key of its own image from those of the other images in a large
batch; a slowly moving network makes the keys. A vision transformer's patch projection stays as it was drawn.

Predecessors
    The queue of MoCo v2 gains little once batches are large, and contrastive training of vision transformers fails in
    part without any sign but a lower accuracy. MoCo v3 takes its keys from the batch, as SimCLR does, and a predictor
    from BYOL. It freezes the patch projection, where the paper sees the failures begin.

Algorithm
    x_1, x_2     = two views of each image                                  # [N, 3, S, S] each
    q_v          = n(p(g(f(x_v))))                                          # [N, d], n(a) = a / ||a||
    k_v          = sg n(g_m(f_m(x_v)))                                      # [N, d]
    ctr(q, k)    = 2 tau mean_i -log e^{q_i.k_i/tau} / sum_j e^{q_i.k_j/tau}          (algorithm 1)
    L            = ctr(q_1, k_2) + ctr(q_2, k_1)                            4 tau log N if all are equal
    with small crops w too (arXiv 2006.09882), which are queries and never keys:
    L            = the mean of ctr(., k_2) over q_1 and all q_w, plus that of ctr(., k_1) over q_2 and all q_w
    after each update of theta:
    theta_m      <- m theta_m + (1 - m) theta,      m = 1 - (1 - m_0) (cos(pi t / T) + 1) / 2     t of T updates

Flow
    image ─┬─ view 1 ─ f ─ g ─ p ─ q_1 ─────┐
           │                                ├─ which of the batch's keys is mine? ─ ctr
           └─ view 2 ─ f_m ─ g_m ─ sg ─ k_2 ┘
    and once more with the views exchanged; f_m, g_m follow f, g

Symbols
    f          backbone              kept
    g          projector             batch norm after each layer, the last without gain and offset; projector_layers,
                                     or 3 for a vision transformer and 2 for other networks
    p          predictor             2 layers likewise, without the last batch norm if no transformer; false: none
    f_m, g_m   teacher               no gradient
    m_0        teacher_momentum
    tau        temperature           the paper takes 1 for ResNet-50
    d          projector_dim

    teacher_momentum_end    1; where the momentum arrives along a cosine. Equal to teacher_momentum: it stays

    symmetric=false leaves the queries of k_2.
    A vision transformer gets fixed sine-cosine positions and Xavier-uniform layers (queries, keys and values each as a
    matrix of its own); frozen_patches=false trains its patch projection.

Departures
    The defaults are those of vision transformers; the authors train ResNet-50 with LARS (lr=0.6, weight_decay=1e-6).
    The teacher moves right after an update instead of right before the next keys, which is the same.
"""

import math
from typing import ClassVar, final

import torch
from timm.layers import PatchEmbed
from timm.models import VisionTransformer
from torch import Tensor, nn

from unlabel.distributed import gather, mine
from unlabel.errors import Fault
from unlabel.losses import key_info_nce
from unlabel.methods.base import Method
from unlabel.nn.backbones import is_vit
from unlabel.nn.ema import ema_update, teacher_of, without_graph
from unlabel.nn.heads import mlp
from unlabel.nn.multicrop import mean_of_pairs, roles
from unlabel.nn.vit import fix_positions
from unlabel.optim import Plan, curves
from unlabel.views import LARGE, Batch, Recipe, named


@final
class MoCoV3(Method):
    """MoCo v3: momentum contrast for vision transformers, without a queue."""

    title = "MoCo v3"
    family = "joint-embedding"
    paper = "2104.02057"
    year = 2021
    view_range = (2, 64)
    limits: ClassVar = {
        "temperature": (1e-3, 100.0),
        "projector_width": (1, 65536),
        "projector_dim": (1, 65536),
        "projector_layers": (1, 8),
        "teacher_momentum": (0.0, 1.0),
        "teacher_momentum_end": (0.0, 1.0),
    }
    plan = Plan(
        optimiser="adamw", lr=1.5e-4, weight_decay=0.1, decay_vectors=True, warmup=40 / 300, batch_size=4096, epochs=300
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        temperature: float = 0.2,
        projector_width: int = 4096,
        projector_dim: int = 256,
        projector_layers: int | None = None,
        predictor: bool = True,
        symmetric: bool = True,
        teacher_momentum: float = 0.99,
        teacher_momentum_end: float = 1.0,
        frozen_patches: bool = True,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.symmetric = symmetric
        self.teacher_momentum = teacher_momentum
        self.teacher_momentum_end = teacher_momentum_end
        if vit := is_vit(backbone):
            _initialise(backbone, frozen_patches)
        self.backbone = backbone
        width: int = backbone.num_features  # type: ignore[assignment]
        layers = projector_layers or (3 if vit else 2)
        self.projector = mlp(width, projector_width, projector_dim, layers=layers, last_norm="plain")
        self.predictor = (
            mlp(projector_dim, projector_width, projector_dim, last_norm="plain" if vit else None)
            if predictor
            else nn.Identity()
        )
        self.teacher = teacher_of(self._online())

    def views(self, size: int) -> Recipe:
        """BYOL's two: the first always blurred, the second sometimes solarised."""
        return named("byol", size)

    def loss(self, batch: Batch) -> Tensor:
        """Both directions of this rank's queries against all ranks' keys, or one."""
        online = self._online()
        targets, predictors = roles(len(batch.views), LARGE, symmetric=self.symmetric)
        q = {v: self.predictor(online(batch.views[v])) for v in predictors}  # [b, d] each
        k = {u: gather(without_graph(self.teacher, batch.views[u])) for u in targets}  # [N, d] each
        own = mine(torch.arange(len(k[targets[-1]]), device=self.device))
        return len(k) * mean_of_pairs(
            lambda u, v: key_info_nce(q[v], k[u], own, temperature=self.temperature), targets, predictors
        )

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """4 tau log N, half of it in one direction."""
        directions = LARGE if self.symmetric else 1
        return {"all embeddings are equal": directions * 2 * self.temperature * math.log(batch_size)}

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


@torch.no_grad()
def _initialise(vit: VisionTransformer, frozen_patches: bool) -> None:
    """A vision transformer's start as in the authors' code, with its patch projection frozen or not."""
    if vit.embed_dim % 4:
        raise Fault(f"MoCo v3's positions need a ViT of a width that 4 divides, not {vit.embed_dim}")
    for name, layer in vit.named_modules():
        if isinstance(layer, nn.Linear):
            for matrix in layer.weight.chunk(3) if name.endswith("qkv") else (layer.weight,):
                nn.init.xavier_uniform_(matrix)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    if vit.cls_token is not None:
        nn.init.normal_(vit.cls_token, std=1e-6)
    if vit.pos_embed is not None:
        fix_positions(vit)
    if type(vit.patch_embed) is PatchEmbed:
        patches = vit.patch_embed.proj
        bound = math.sqrt(6 / (patches.weight[0].numel() + vit.embed_dim))  # Xavier's, of the matrix that it is
        nn.init.uniform_(patches.weight, -bound, bound)
        if patches.bias is not None:
            nn.init.zeros_(patches.bias)
        patches.requires_grad_(not frozen_patches)
