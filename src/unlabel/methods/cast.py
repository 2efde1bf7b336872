"""CASTing Your Model: Learning to Localize Improves Self-Supervised Representations (CAST).

Selvaraju, Desai, Johnson, Naik. CVPR 2021, arXiv 2012.04630.

Momentum contrast whose crops both show a salient object, and whose network must look at it: what makes query and key
alike (Grad-CAM) should be where the object is.

Predecessors
    MoCo takes any two crops of an image to show the same thing, which fails where there are several objects, and
    nothing tells its network where to look, so that it may lean on the background. CAST draws the crops by a saliency
    mask and compares the network's Grad-CAM map with that mask.

Algorithm
    x_q, x_k    = two crops, each showing at least a share of the object       # [B, 3, S, S] each
    m_q, m_k    = the object's mask in each                                    # [B, S, S]
    A           = last maps of f(x_q)                                          # [B, D, h, w]
    q           = n(g(f(x_q))),   k = sg n(g'(f'(x_k)))                        # [B, d]; n(a) = a / ||a||
    L_cont      = mean -q.k / tau + log( e^{q.k / tau} + sum_j e^{q.u_j / tau} )     u_j in the queue
    k_m         = sg n(g'(f'(x_k m_k)))                                        # the key's object alone
    alpha_c     = mean over places of d (q.k_m / tau) / d A_c                  # [B, D]
    G           = ReLU( sum_c alpha_c A_c ), then each map from 0 to 1         # [B, h, w]
    L_att       = mean 1 - cos(G, m_q at h x w)                                # in [0, 1]
    L           = (L_cont + lambda L_att) / (1 + lambda)
    after each update: f', g' <- m (f', g') + (1 - m) (f, g); k goes into the queue

    The gradient of L_att reaches f through A, and once more through alpha: a derivative of a derivative.

Flow
    image ─┬─ crop, mask ─ f ─ A ─ g ─ q ──┬─ InfoNCE with k and the queue
    mask  ─┘                   │           └─ q.k_m ─ d/dA ─ alpha ─┐
           └─ crop, mask ─┬─ f' ─ g' ─ k   └──────── A ─────────────┴─ G ─ cosine with the mask
                          └─ object alone ─ f' ─ g' ─ k_m

Symbols
    f, g     backbone, projector  projector_layers = 1 as in MoCo v1; 2 with a ReLU as in v2
    f', g'   teacher
    m        teacher_momentum
    tau      temperature
    u        queue                of queue_length keys
    lambda   attention_weight     0 is momentum contrast on the same crops

    rectified     the ReLU of Grad-CAM
    together      one cosine for the maps of a whole batch instead of one an image
    second_order  whether the loss reaches alpha
    cover         the share of the object that crops show at least

Departures
    There is one cosine for each image, and the ReLU acts; in the authors' code there is one for the batch (together),
    and the ReLU comes after the maps are stretched to [0, 1] (rectified=false).
    Masks are averaged over the cells of the maps, where the authors' code takes single pixels.
    The teacher follows after an update and not before the next keys are made, which is the same.
    No shuffling of the batch: batch norm sees all ranks' images, and no rank's keys are told apart by it.
    Masks come from whoever gives them, where the paper has DeepUSPS's.
"""

import math
from dataclasses import replace
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.utils import make_grid

from unlabel.distributed import gather
from unlabel.losses import attention_loss, queue_info_nce
from unlabel.methods.base import Method
from unlabel.nn.ema import ema_update, teacher_of, without_graph
from unlabel.nn.heads import mlp
from unlabel.nn.maps import convolutional, grad_cam, last_maps, normalised
from unlabel.nn.queue import Queue
from unlabel.optim.plan import Plan
from unlabel.views import Batch, Recipe, View, as_rgb

SHOWN = 8  # images of a picture


@final
class CAST(Method):
    """CAST: momentum contrast that looks at the object."""

    title = "CAST"
    family = "joint-embedding"
    paper = "2012.04630"
    year = 2021
    limits: ClassVar = {
        "temperature": (1e-3, 100.0),
        "queue_length": (1, 1 << 24),
        "projector_dim": (1, 65536),
        "projector_layers": (1, 8),
        "teacher_momentum": (0.0, 1.0),
        "cover": (0.0, 1.0),
    }
    plan = Plan(
        optimiser="sgd", lr=0.5, lr_per=None, weight_decay=1e-4, decay_vectors=True, clip=2.0, batch_size=256,
        epochs=200,
    )  # fmt: skip

    def __init__(
        self,
        backbone: nn.Module,
        *,
        temperature: float = 0.07,
        queue_length: int = 65536,
        projector_dim: int = 128,
        projector_layers: int = 1,
        teacher_momentum: float = 0.999,
        attention_weight: float = 3.0,
        cover: float = 0.2,
        rectified: bool = True,
        together: bool = False,
        second_order: bool = True,
    ) -> None:
        super().__init__()
        convolutional(backbone)
        self.temperature = temperature
        self.teacher_momentum = teacher_momentum
        self.attention_weight = attention_weight
        self.cover = cover
        self.rectified, self.together, self.second_order = rectified, together, second_order
        self.backbone = backbone
        width: int = backbone.num_features  # type: ignore[assignment]
        self.projector = mlp(
            width, width, projector_dim, layers=projector_layers, norm=None, bias=True, last_norm=None, last_bias=True
        )
        self.teacher = teacher_of(self._student())
        self.queue = Queue(queue_length, projector_dim)

    def views(self, size: int) -> Recipe:
        """Two crops of a fifth of the image and more that show the object, with its mask; MoCo v1's colours."""
        order = ("crop", "flip", "grey", "jitter")
        view = View(size=size, crop="salient", scale=(0.2, 1.0), grey=0.2, jitter=(0.4,) * 4, jitter_p=0.5, order=order)
        return Recipe(views=(replace(view, crop_cover=self.cover),) * 2, salient=True)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The contrast and the attention, as they are weighted; means over images, so ranks share the queue alone."""
        learning = torch.is_grad_enabled()
        k = F.normalize(without_graph(self.teacher, batch.views[1]), dim=1)
        q, heat = self._attention(batch, second_order=learning and self.second_order)
        nce = queue_info_nce(q, k, self.queue.rows, temperature=self.temperature)
        target = F.adaptive_avg_pool2d(_masks(batch)[0][:, None], (heat.shape[1], heat.shape[2]))[:, 0]
        if self.together:
            heat, target = gather(heat), gather(target)
        attention = attention_loss(heat, target, together=self.together)
        if learning and self.training:
            self.queue.see(gather(k))
        share = 1 / (1 + self.attention_weight)
        terms = {"contrast": share * nce, "attention": (1 - share) * attention}
        return terms if learning else {name: term.detach() for name, term in terms.items()}

    def _attention(self, batch: Batch, *, second_order: bool) -> tuple[Tensor, Tensor]:
        """The queries q [B, d], and where they look for the objects of their keys: G [B, h, w]."""
        x_k = batch.views[1] * _masks(batch)[1][:, None]  # 0 is the mean colour
        k_m = F.normalize(without_graph(self.teacher, x_k), dim=1)
        maps = last_maps(self.backbone, batch.views[0])
        with torch.enable_grad():  # G is made of a gradient, whether or not there will be another
            maps = maps if maps.requires_grad else maps.detach().requires_grad_()
            # `forward`, past what torch.compile may have made of the projector: that cannot be differentiated twice.
            q = F.normalize(self.projector.forward(convolutional(self.backbone).forward_head(maps)), dim=1)
            score = (q * k_m).sum(dim=1) / self.temperature
            heat = grad_cam(maps, score, rectified=self.rectified, create_graph=second_order)
            return q, normalised(heat)

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """log(1 + K), of the contrast alone: what the attention then is depends on where objects lie."""
        return {} if self.attention_weight else {"all embeddings are equal": math.log(1 + len(self.queue.rows))}

    def after_update(self) -> None:
        """The teacher follows, and the keys go into the queue."""
        ema_update(self.teacher, self._student(), self.teacher_momentum)
        self.queue.move()

    def picture(self, batch: Batch) -> dict[str, Tensor]:
        """Three rows: queries, their objects, and where the network looks."""
        shown = batch.rows(slice(SHOWN))
        with torch.inference_mode(False):
            _, heat = self._attention(shown, second_order=False)
        x, size = shown.views[0], shown.views[0].shape[-1]
        view = self.views(size).views[0].for_channels(x.shape[1])
        mean, std = (x.new_tensor(values).view(-1, 1, 1) for values in (view.mean, view.std))
        looks = F.interpolate(heat.detach()[:, None].float(), size=(size, size), mode="bilinear")
        rows = [as_rgb(x * std + mean), *(as_rgb(each) for each in (_masks(shown)[0][:, None], looks))]
        grid = make_grid(torch.cat(rows), nrow=len(x), padding=2, pad_value=1.0)
        return {"attention": (grid.clamp(0, 1) * 255).round().to(torch.uint8).cpu()}

    def followed(self) -> tuple[nn.Module, nn.Module]:
        """The teacher's backbone and the student's."""
        return self.teacher[0], self.backbone

    def _student(self) -> nn.Sequential:
        """What the teacher is a copy of."""
        return nn.Sequential(self.backbone, self.projector)


def _masks(batch: Batch) -> tuple[Tensor, Tensor]:
    """Where the object is, in both views."""
    if batch.saliency is None:
        raise ValueError("CAST needs batch.saliency: make the batch with the recipe of `views`")
    m_q, m_k = batch.saliency
    return m_q, m_k
