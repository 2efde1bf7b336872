"""Propagate Yourself: Exploring Pixel-Level Consistency for Unsupervised Visual Representation Learning (PixContrast).

Xie, Lin, Zhang, Cao, Lin, Hu. CVPR 2021, arXiv 2011.10043, section 3.1.

A place of one view must recognise the same place of the image in another view, among all places of that view. Where
two crops lie tells which places are the same.

Predecessors
    SimCLR, MoCo and BYOL compare one vector of each whole image, although detection and segmentation need one for each
    place. PixContrast brings the contrast down to single places of the feature map.

Algorithm
    v, v'    = two views of each image, with their crop boxes           # [B, 3, S, S] each
    x, x'    = g(f(v)), sg[ g'(f'(v')) ] at every place                 # [B, N, d]  N places of the feature map
    A_ij     = 1 if dist(i, j) <= T max(diagonals of i's and j's box)   (eq. 1; distances in the image)
    l_i      = -log( sum_{j: A_ij = 1} e^{cos(x_i, x'_j) / tau} / sum_j e^{cos(x_i, x'_j) / tau} )    (eq. 2)
    l(v, v') = mean over images of the mean of l_i over places i that have a positive
    L        = ( l(v, v') + l(v', v) ) / 2
    after each update:
    f', g'   <- m f' + (1 - m) f, likewise g';     m from m_0 to 1 along a cosine

Flow
    image ─┬─ view 1 ─ f ── g ─────── x  at N places ──┐
           │    where they lie: which are the same? ───┼─ InfoNCE of each place among those of the other view
           └─ view 2 ─ f' ─ g' ─ sg ─ x' at N places ──┘
    and once more with the views exchanged; f' and g' follow f and g

Symbols
    f        backbone            its last feature map; the network that is kept
    g        projector           at every place the same
    f', g'   teacher             an average that takes no gradient
    T        distance            in diagonals of a place's box
    tau      temperature
    m_0      teacher_momentum
    d        projector_dim

    teacher_momentum_end    1; where the momentum arrives along a cosine. Equal to teacher_momentum: it stays

Departures
    Distances are measured in pixels of the image, where the authors' code takes fractions of its sides, which differ
    unless it is square; and boxes reach to the edges of their pixels, not to the middles.
    An image whose views share no place counts as one of loss 0.
    The teacher follows after an update instead of before the next: the same, one line later.
    The rate warms up from 0, where the authors begin at a hundredth of its peak.
"""

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.losses.pixels import pixel_nce
from unlabel.losses.unit import unit
from unlabel.methods.base import Method
from unlabel.nn.ema import ema_update, teacher_of, without_graph
from unlabel.nn.feature_map import by_place, feature_map
from unlabel.nn.heads import mlp
from unlabel.optim import Plan, curves
from unlabel.views import Batch, Recipe, bins, lit, named, same_places

SHOWN = 4  # images in a picture


@final
class PixContrast(Method):
    """PixContrast: a place must recognise itself in another view of its image.

    If all embeddings are equal, l_i is log(N / how many positives i has), which depends on how the views were cropped:
    no value of the loss that tells a collapse is known in advance.
    """

    title = "PixContrast"
    family = "joint-embedding"
    paper = "2011.10043"
    year = 2021
    pool = "mean"
    limits: ClassVar = {
        "temperature": (1e-3, 100.0),
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
        temperature: float = 0.3,
        distance: float = 0.7,
        projector_width: int = 4096,
        projector_dim: int = 256,
        projector_layers: int = 2,
        teacher_momentum: float = 0.99,
        teacher_momentum_end: float = 1.0,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.distance = distance
        self.teacher_momentum = teacher_momentum
        self.teacher_momentum_end = teacher_momentum_end
        self.backbone = backbone
        width: int = backbone.num_features  # type: ignore[assignment]
        self.projector = mlp(
            width, projector_width, projector_dim, layers=projector_layers, bias=True, last_norm=None, last_bias=True
        )  # fmt: skip
        self.teacher = teacher_of(self._online())

    def views(self, size: int) -> Recipe:
        """Two views of different distributions, as BYOL's; how they were cropped tells where they show the same."""
        return named("byol", size)

    def loss(self, batch: Batch) -> Tensor:
        """Both directions; a mean over images, each by itself, so ranks need not share rows."""
        m1, m2 = (feature_map(self.backbone, v) for v in batch.views)  # [B, D, rows, columns]
        x1, x2 = (by_place(self.projector, m) for m in (m1, m2))  # [B, N, d]
        y1, y2 = (without_graph(self._target, v) for v in batch.views)
        same = self._same(batch, m1, m2)
        there = pixel_nce(x1, y2, same, temperature=self.temperature)
        back = pixel_nce(x2, y1, same.mT, temperature=self.temperature)
        return (there + back).mean() / 2

    def _target(self, v: Tensor) -> Tensor:
        """x' of one view: [B, N, d]."""
        return by_place(self.teacher["projector"], feature_map(self.teacher["backbone"], v))

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
        """A place of the first view, the same places in the second, and the places that the network takes it for."""
        batch = batch.rows(slice(SHOWN))  # few enough to look at
        v1, v2 = batch.views
        m1, m2 = (feature_map(self.backbone, v) for v in batch.views)
        same = self._same(batch, m1, m2)
        images, grid = torch.arange(len(batch)), m2.shape[-2:]
        place = same.sum(dim=2).argmax(dim=1)  # the one with most partners
        x, y = unit(by_place(self.projector, m1)[images, place]), self._target(v2)
        similarity = torch.einsum("bd,bnd->bn", x, unit(y.flatten(0, 1)).view_as(y)) / self.temperature
        found = similarity.softmax(dim=1)
        found = found / found.amax(dim=1, keepdim=True)
        here = F.one_hot(place, same.shape[1])
        columns = [(v1, here), (v2, same[images, place]), (v2, found)]
        lighted = [(v, weight.unflatten(1, grid)) for v, weight in columns]
        return {"correspondences": lit(lighted, self.views(v1.shape[-1]).views[0].for_channels(v1.shape[1]))}

    def followed(self) -> tuple[nn.Module, nn.Module]:
        """The teacher's backbone and the student's."""
        return self.teacher["backbone"], self.backbone

    def _online(self) -> nn.ModuleDict:
        """What the teacher is a copy of."""
        return nn.ModuleDict({"backbone": self.backbone, "projector": self.projector})
