"""Self-Supervised Learning of Pretext-Invariant Representations (PIRL).

Misra, van der Maaten. CVPR 2020, arXiv 1912.01991.

A jigsaw puzzle is not to be solved but to be seen through: an image and its nine shuffled pieces get the same vector,
other images get others.

Predecessors
    Tasks such as Jigsaw Puzzle and Image Rotation (RotNet) ask how an image was changed, so that features must change
    with it, while most uses want features that do not. PIRL keeps the puzzle's pieces and turns the aim around, with
    the memory of InstDisc. A ResNet-50 has 63.6 % linear top-1 on ImageNet where solving the puzzle gives 45.7.

Algorithm
    I        = a view of image i, I^t = nine pieces of it in a random order       # [B, 3, S, S], 9 x [B, 3, s, s]
    f_i      = n(f(theta(I)))                                                    # [B, d], n(a) = a / |a|
    g_i      = n(g(theta(I^t))) = n(W_2 [W_1 h_pi(1); ...; W_1 h_pi(9)])         # h_k of piece k, pi the order
    p(j | z) = e^{v_j . z / tau} / Z                                             v_j remembered, j = 1 .. n
    NCE(z)   = -log h(i, z) - sum_k log(1 - h(j_k, z)),   h = p / (p + m / n)     j_1 .. j_m drawn uniformly
    L        = mean over i of [ lambda NCE(g_i) + (1 - lambda) NCE(f_i) ]         (eq. 5)
    after each update:  v_i <- n(mu v_i + (1 - mu) f_i)  for the images of the batch

Flow
    image i ─┬─ view ────────────────── theta ─ f ─ f_i ─┬─ p(. | f_i), p(. | g_i) ─ is it image i?
             └─ nine pieces, shuffled ─ theta ─ g ─ g_i ─┤
    bank of n vectors v ─────────────────────────────────┘   (row i follows f_i alone, after the update)

Symbols
    theta    backbone             the network that is kept, the same for images and pieces
    f        projector            linear, or an MLP where projector_layers > 1 (hidden: projector_width)
    W_1, W_2  piece_projector, puzzle_projector
    v        bank                 one row for each image of the training set
    m        negatives            0: the softmax over all
    tau      temperature
    mu       bank_momentum
    lambda   puzzle_weight

    objective    softmax: of the own and the m drawn rows, instead of NCE

Departures
    h is that of instance discrimination with a constant Z of the first batch, as in the authors' code; in the paper's
    formula it is a softmax over the positive and its negatives. Z is estimated from f.
    All images of a batch and both terms share one draw of negatives, of all images; the authors draw for each.
    Pieces are cut from the picture as it is and resized once; the authors resize it first. Their photometric
    distortion (sharpness, and brightness and contrast once more) is left out.
"""

from typing import ClassVar, Literal, final

import numpy as np
import torch
from torch import Tensor, nn

from unlabel.distributed import gather
from unlabel.losses import instance_discrimination
from unlabel.losses.instances import uninformed
from unlabel.losses.unit import unit
from unlabel.methods.base import Method
from unlabel.nn.heads import mlp
from unlabel.nn.instances import Instances
from unlabel.nn.multicrop import multicrop
from unlabel.optim.plan import Plan
from unlabel.views import Batch, Recipe, named

PIECES = 9


@final
class PIRL(Method):
    """PIRL: an image and its shuffled pieces are one and the same."""

    title = "PIRL"
    family = "joint-embedding"
    paper = "1912.01991"
    year = 2020
    view_range = (1 + PIECES, 1 + PIECES)
    limits: ClassVar = {
        "projector_width": (1, 65536),
        "projector_dim": (1, 65536),
        "projector_layers": (1, 8),
        "temperature": (1e-3, 100.0),
        "puzzle_weight": (0.0, 1.0),
        "bank_momentum": (0.0, 1.0),
    }
    plan = Plan(optimiser="sgd", lr=0.03, weight_decay=1e-4, final_lr=1e-3, batch_size=1024, epochs=800)

    def __init__(
        self,
        backbone: nn.Module,
        *,
        projector_width: int = 2048,
        projector_dim: int = 128,
        projector_layers: int = 1,
        objective: Literal["nce", "softmax"] = "nce",
        negatives: int = 32000,
        temperature: float = 0.07,
        puzzle_weight: float = 0.5,
        bank_momentum: float = 0.5,
    ) -> None:
        super().__init__()
        self.objective = objective
        self.temperature = temperature
        self.puzzle_weight = puzzle_weight
        self.backbone = backbone
        self.projector, self.piece_projector = (
            mlp(
                backbone.num_features,  # type: ignore[arg-type]
                projector_width,
                projector_dim,
                layers=projector_layers,
                norm=None,
                bias=True,
                last_norm=None,
                last_bias=True,
            )
            for _ in range(2)
        )
        self.puzzle_projector = nn.Linear(PIECES * projector_dim, projector_dim)
        self.bank = Instances(projector_dim, negatives=negatives, momentum=bank_momentum)

    def prepare(self, images: int) -> None:
        """A row of the bank for every image."""
        self.bank.prepare(images)

    def views(self, size: int) -> Recipe:
        """The image, then the nine pieces from left to right and from top to bottom; `loss` shuffles them."""
        return named("pirl", size)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Which image is it, by the whole and by its pieces?"""
        f, g = self.embedded(batch)
        everyone = gather(f.detach())
        rows, drawn = self.bank.rows, self.bank.drawn(self.updates)  # [n, d], [m]
        nce = self.objective == "nce"
        log_z = self.bank.log_z(everyone, drawn, temperature=self.temperature) if nce else None
        terms = {}
        for name, share, z in (("whole", 1 - self.puzzle_weight, f), ("pieces", self.puzzle_weight, g)):
            told = instance_discrimination(z, batch.index, rows, temperature=self.temperature, drawn=drawn, log_z=log_z)
            terms[name] = share * told.mean()
        if self.training and torch.is_grad_enabled():  # looking at a loss must not move anything
            self.bank.see(gather(batch.index), everyone, log_z)
        return terms

    def embedded(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Unit vectors of the images and of their shuffled pieces, [B, d] each."""
        h = multicrop(self.backbone, batch.views)  # [10 B, D]; batch norm sees images and pieces apart
        whole, pieces = h[: len(batch)], h[len(batch) :]
        w = self.piece_projector(pieces).unflatten(0, (PIECES, len(batch))).transpose(0, 1)  # [B, 9, d]
        shuffled = torch.take_along_dim(w, orders(batch).to(w.device)[:, :, None], dim=1)
        return unit(self.projector(whole)), unit(self.puzzle_projector(shuffled.flatten(1)))

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """Where p is 1 / n for every image, of both terms."""
        if not len(self.bank.bank):
            return {}  # nobody has said how many images there are
        value = uninformed(len(self.bank.bank), drawn=self.bank.negatives, nce=self.objective == "nce")
        return {"every image is as likely as any other": value}

    def after_update(self) -> None:
        """What is remembered of the batch's images follows their whole view."""
        self.bank.move()


def orders(batch: Batch) -> Tensor:
    """A random order of each image's pieces, int64 [B, 9]: that of the random words in their records.

    So it depends on seed, epoch and image, as every view does, and on nothing else in the batch.
    """
    seeds = np.stack([record["seed"] for record in batch.records[1:]], axis=1)  # [B, 9]
    return torch.from_numpy(seeds.argsort(axis=1, kind="stable"))
