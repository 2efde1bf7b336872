"""Propagate Yourself: Exploring Pixel-Level Consistency for Unsupervised Visual Representation Learning (PixPro).

Xie, Lin, Zhang, Cao, Lin, Hu. CVPR 2021, arXiv 2011.10043.

What a place of one view says, smoothed over the places that are like it, must be what an average of the network says of
the same place of the image in another view.

Predecessors
    PixContrast takes other places of an image for negatives, although many of them show the same thing. PixPro has no
    negatives, as BYOL has none for whole images, and smooths one side, so that features tell places apart and yet vary
    little within a thing. With it a detector on Pascal VOC reaches 60.2 AP, 2.6 above the best before.

Algorithm
    v, v'    = two views of each image, with their crop boxes           # [B, 3, S, S] each
    x, x'    = p(f(v)), sg[ p'(f'(v')) ] at every place                 # [B, N, d]  N places of the feature map
    s(i, j)  = max(cos(x_i, x_j), 0)^gamma                              # [B, N, N]  (eq. 4)
    y_i      = sum_j s(i, j) unit(g(x_j))                               # [B, N, d]  propagation (eq. 3)
    A_ij     = 1 if dist(i, j) <= T max(diagonals of i's and j's box)   (eq. 1; distances in the image)
    l(v, v') = mean over images of the mean of -cos(y_i, x'_j) over pairs with A_ij = 1    (eq. 5)
    L        = 2 l(v, v') + 2 l(v', v)                                  in [-4, 4]
    with instance_weight > 0, to which it adds, h the mean of f(v) over places:
    L_inst   = -2 cos(q(r(h)), sg r'(h')) - 2 cos(q(r(h')), sg r'(h))   in [-4, 4]
    after each update:
    f', p'   <- m f' + (1 - m) f, likewise p' and r';   m from m_0 to 1 along a cosine

Flow
    image ─┬─ view 1 ─ f ── p ─ propagation ─ y  at N places ──┐
           │            where they lie: which are the same? ───┼─ cosine of places that are the same
           └─ view 2 ─ f' ─ p' ──── sg ────── x' at N places ──┘
    and once more with the views exchanged; f' and p' follow f and p

Symbols
    f        backbone             its last feature map; the network that is kept
    p        projector            at every place the same
    g        propagation          transform_layers (l) 1 x 1 convolutions; gamma its sharpness; on the online side only
    f', p'   teacher              an average that takes no gradient
    T        distance             in diagonals of a place's box
    r, q     instance_projector, instance_predictor
    m_0      teacher_momentum
    d        projector_dim

    teacher_momentum_end    1; where the momentum arrives along a cosine. Equal to teacher_momentum: it stays

Departures
    Distances are measured in pixels of the image, where the authors' code takes fractions of its sides, which differ
    unless it is square; and boxes reach to the edges of their pixels, not to the middles.
    An image whose views share no place counts as one of loss 0, as in the authors' code.
    The instance branch averages the feature map, then projects; the authors' code projects every place, then averages.
    The teacher follows after an update instead of before the next: the same, one line later.
    The rate warms up from 0, where the authors begin at a hundredth of its peak.
"""

from functools import partial
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.losses.pixels import pixel_consistency
from unlabel.losses.regression import cosine_regression
from unlabel.methods.base import Method
from unlabel.nn.ema import ema_update, teacher_of, without_graph
from unlabel.nn.feature_map import by_place, feature_map
from unlabel.nn.heads import mlp
from unlabel.nn.propagation import PixelPropagation
from unlabel.optim import Plan, curves
from unlabel.views import Batch, Recipe, bins, lit, named, same_places

SHOWN = 4  # images in a picture


@final
class PixPro(Method):
    """PixPro: places agree, across views, with what places like them say."""

    title = "PixPro"
    family = "joint-embedding"
    paper = "2011.10043"
    year = 2021
    pool = "mean"
    limits: ClassVar = {
        "gamma": (0.0, 100.0),
        "transform_layers": (0, 8),
        "distance": (0.0, 100.0),
        "projector_width": (1, 65536),
        "projector_dim": (1, 65536),
        "projector_layers": (1, 8),
        "teacher_momentum": (0.0, 1.0),
        "teacher_momentum_end": (0.0, 1.0),
    }
    plan = Plan(optimiser="lars", lr=1.0, weight_decay=1e-5, warmup=0.05, batch_size=1024, epochs=100)

    def __init__(
        self,
        backbone: nn.Module,
        *,
        gamma: float = 2.0,
        transform_layers: int = 1,
        distance: float = 0.7,
        instance_weight: float = 0.0,
        projector_width: int = 4096,
        projector_dim: int = 256,
        projector_layers: int = 2,
        teacher_momentum: float = 0.99,
        teacher_momentum_end: float = 1.0,
    ) -> None:
        super().__init__()
        self.distance = distance
        self.instance_weight = instance_weight
        self.teacher_momentum = teacher_momentum
        self.teacher_momentum_end = teacher_momentum_end
        head = partial(mlp, hidden=projector_width, outputs=projector_dim, bias=True, last_norm=None, last_bias=True)
        width: int = backbone.num_features  # type: ignore[assignment]
        self.backbone = backbone
        self.projector = head(width, layers=projector_layers)
        self.propagation: nn.Module = PixelPropagation(projector_dim, gamma=gamma, layers=transform_layers)
        if instance_weight > 0:
            self.instance_projector = head(width, layers=projector_layers)
            self.instance_predictor = head(projector_dim)
        self.teacher = teacher_of(self._online())

    def views(self, size: int) -> Recipe:
        """Two views of different distributions, as BYOL's; how they were cropped tells where they show the same."""
        return named("byol", size)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Both directions; means over images, each by itself, so ranks need not share rows."""
        m1, m2 = (feature_map(self.backbone, v) for v in batch.views)  # [B, D, rows, columns]
        t1, t2 = (without_graph(partial(feature_map, self.teacher["backbone"]), v) for v in batch.views)
        y1, y2 = (self.propagation(by_place(self.projector, m)) for m in (m1, m2))  # [B, N, d]
        z1, z2 = (without_graph(partial(by_place, self.teacher["projector"]), t) for t in (t1, t2))
        same = self._same(batch, m1, m2)
        terms = {"pixel": 2 * (pixel_consistency(y1, z2, same) + pixel_consistency(y2, z1, same.mT)).mean()}
        if self.instance_weight > 0:
            h1, h2, k1, k2 = (m.mean(dim=(2, 3)) for m in (m1, m2, t1, t2))
            q1, q2 = (self.instance_predictor(self.instance_projector(h)) for h in (h1, h2))
            r1, r2 = (without_graph(self.teacher["instance_projector"], k) for k in (k1, k2))
            terms["instance"] = self.instance_weight * (cosine_regression(q1, r2) + cosine_regression(q2, r1) - 4)
        return terms

    def _same(self, batch: Batch, *maps: Tensor) -> Tensor:
        """A, bool [B, N, N]: which places of the two views are the same."""
        first, second = (bins(r, (m.shape[2], m.shape[3])) for r, m in zip(batch.records, maps, strict=True))
        return same_places(first, second, distance=self.distance).to(maps[0].device)

    def after_update(self) -> None:
        """The teacher follows, by default ever more slowly."""
        momentum = curves.cosine(self.progress, self.teacher_momentum, self.teacher_momentum_end)
        ema_update(self.teacher, self._online(), momentum)

    @torch.no_grad()
    def picture(self, batch: Batch) -> dict[str, Tensor]:
        """A place of the first view, the same places in the second, and the places of the first that it takes over."""
        batch = batch.rows(slice(SHOWN))
        v1, v2 = batch.views
        m1, m2 = (feature_map(self.backbone, v) for v in batch.views)
        same, images, grid = self._same(batch, m1, m2), torch.arange(len(batch)), m1.shape[-2:]
        place = same.sum(dim=2).argmax(dim=1)  # the one with most partners
        taken = self.propagation.affinity(by_place(self.projector, m1))[images, place]  # type: ignore[operator]
        columns = [(v1, F.one_hot(place, same.shape[1])), (v2, same[images, place]), (v1, taken)]
        lighted = [(v, weight.unflatten(1, grid)) for v, weight in columns]
        return {"propagation": lit(lighted, self.views(v1.shape[-1]).views[0].for_channels(v1.shape[1]))}

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """-4 for each branch, where a task that is solved is too; nearer to 0 by the share of images whose views share
        no place.
        """
        return {"all embeddings are equal": -4.0 - 4.0 * self.instance_weight}

    def followed(self) -> tuple[nn.Module, nn.Module]:
        """The teacher's backbone and the student's."""
        return self.teacher["backbone"], self.backbone

    def _online(self) -> nn.ModuleDict:
        """What the teacher is a copy of."""
        parts = {"backbone": self.backbone, "projector": self.projector}
        if self.instance_weight > 0:
            parts["instance_projector"] = self.instance_projector
        return nn.ModuleDict(parts)
