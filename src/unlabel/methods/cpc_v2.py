"""Data-Efficient Image Recognition with Contrastive Predictive Coding (CPC v2).

Hénaff, Srinivas, De Fauw, Razavi, Doersch, Eslami, van den Oord. ICML 2020, arXiv 1905.09272.

An image is cut into overlapping patches. What patches on one side say together must tell which patch lies some rows
farther on, among all patches of all images, from each of the four sides in turn.

Predecessors
    CPC predicted downwards only, augmented its patches little, and had a network without a norm, which is hard to train
    when large; its linear top-1 on ImageNet was 48.7 %. CPC v2 has a larger network with layer norm, larger patches
    that are augmented one by one, and predictions in all four directions. Together these reach 71.5 %.

Algorithm
    x_ij     = patches of the image, G x G of them, each augmented by itself             # [B, G, G, 3, p, p]
    z_ij     = f(x_ij)                                                                   # [B, G, G, D]
    for each of four turns R of the grid by 90 degrees:
        c    = g(R z), c_ij from (R z)_uv of all u <= i                                  # [B, G, G, D]
        y    = T R z                                                                     # [B, G, G, d]
        p_k  = 0.1 W_k c, k rows ahead, k = k_0 .. G - 1                                 # [B, G, G, d]
        l_k  = mean over i + k < G, j and the batch of
               -log e^{p_k,ij . y_i+k,j} / sum over all y of the batch of e^{p_k,ij . y}         (eq. 3)
    L        = mean of l_k over k and turns

Flow
    image ─ patches ─ augment ─ f ─ z ─ turn ─┬─ rows down to i ─ g ─ c_i ─ W_k ─ prediction ──┐
                                              └─ T ─ y of row i + k, among all y ──────────────┴─ InfoNCE

Symbols
    f      backbone         kept, together with the cutting: an image's vector is the mean of those of its patches
    g      context          RowContext, the same for all directions: context_width, context_blocks
    T, W_k  target, predictors  to d = target_dim dimensions; the 0.1 is prediction_scale
    G      grid             patches a side, overlap the share that neighbours have in common
    k_0    steps_to_ignore  plus 1: rows that still share pixels could be told by copying them; steps: the last k

Departures
    Of the augmentation of patches, dropping two of three channels (0 in their place, for every patch: the paper does
    not say how often) and mirroring are made. Shifts of colour and grey are drawn for the image instead of the patch;
    two transformations of AutoAugment, elastic deformation and shearing are left out.
    The loss is the mean over offsets, not their sum, and `steps` defaults to all rows that there are: the values in the
    paper's pseudo-code make one offset.
    The four directions share context network and predictors. Batch norms of the backbone become layer norms in place.
"""

import math
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from unlabel.distributed import gather, mine, rank, world
from unlabel.errors import Fault
from unlabel.losses import grid_nce
from unlabel.methods.base import Method
from unlabel.nn.patch_grid import PatchGrid, check_patches
from unlabel.nn.row_context import RowContext
from unlabel.optim.plan import Plan
from unlabel.views import Batch, Recipe, View
from unlabel.views.patchwise import drop_and_flip


@final
class CPCv2(Method):
    """CPC v2: predict patches from above, below, left and right."""

    title = "CPC v2"
    family = "joint-embedding"
    paper = "1905.09272"
    year = 2020
    view_range = (1, 1)
    limits: ClassVar = {
        "grid": (3, 32),
        "overlap": (0.0, 0.9),
        "steps": (1, 31),
        "steps_to_ignore": (0, 30),
        "directions": (1, 4),
        "target_dim": (1, 65536),
        "context_width": (1, 65536),
        "context_blocks": (1, 64),
        "patch_drop": (0.0, 1.0),
        "patch_flip": (0.0, 1.0),
    }
    plan = Plan(optimiser="adam", lr=4e-4, lr_per=None, schedule="constant", batch_size=512, epochs=200)

    def __init__(
        self,
        backbone: nn.Module,
        *,
        grid: int = 6,
        overlap: float = 0.55,
        steps: int | None = None,
        steps_to_ignore: int = 2,
        directions: int = 4,
        target_dim: int = 64,
        prediction_scale: float = 0.1,
        context_width: int = 256,
        context_blocks: int = 5,
        patch_drop: float = 1.0,
        patch_flip: float = 0.5,
    ) -> None:
        super().__init__()
        last = grid - 1 if steps is None else steps
        if not steps_to_ignore < last < grid:
            raise Fault(
                f"CPC v2 predicts `steps_to_ignore` + 1 = {steps_to_ignore + 1} to `steps` = {last} rows ahead in a "
                f"`grid` of {grid} rows: steps_to_ignore < steps < grid must hold"
            )
        self.offsets = range(steps_to_ignore + 1, last + 1)
        self.directions = directions
        self.prediction_scale = prediction_scale
        self.patch_drop, self.patch_flip = patch_drop, patch_flip
        self.backbone = PatchGrid(backbone, grid, overlap)
        width: int = backbone.num_features  # type: ignore[assignment]
        self.context = RowContext(width, width=context_width, blocks=context_blocks)
        # Without a bias, which would add the same to all logits of a prediction.
        self.target = nn.Linear(width, target_dim, bias=False)
        self.predictors = nn.ModuleList(nn.Linear(width, target_dim) for _ in self.offsets)

    def views(self, size: int) -> Recipe:
        """One view: a random part of 260/300 of the image's side, with shifted colours."""
        check_patches(self.backbone, size)
        colours = (0.125, 0.5, 0.5, 0.2)
        return Recipe(
            views=(View(size=size, crop="load", load_size=round(size * 300 / 260), jitter=colours, grey=0.25),)
        )

    def loss(self, batch: Batch) -> Tensor:
        """Predictions in all directions; the candidates are the patches of all ranks' images."""
        (x,) = batch.views
        patches = self.backbone.cut(x)  # [B, G, G, 3, p, p]
        if self.training:
            # Drawn for the images of all ranks, as one process would.
            u = mine(torch.rand(world() * len(x), *patches.shape[1:3], 3, device=x.device))
            patches = drop_and_flip(patches, u, drop=self.patch_drop, flip=self.patch_flip)
        return self.contrast(self.backbone.see(patches))

    def contrast(self, z: Tensor) -> Tensor:
        """The loss of a grid of vectors [B, G, G, D]."""
        everyone, first = gather(self.target(z)), rank() * len(z)
        losses = []
        for turn in range(self.directions):
            c = self.context(torch.rot90(z, turn, dims=(1, 2)))
            candidates = torch.rot90(everyone, turn, dims=(1, 2))
            for k, predict in zip(self.offsets, self.predictors, strict=True):
                p = self.prediction_scale * predict(c[:, :-k])
                losses.append(grid_nce(p, candidates, first=first).mean())
        return torch.stack(losses).mean()

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """The logarithm of how many patches a batch has."""
        return {"all patches have equal vectors": math.log(batch_size * self.backbone.grid**2)}
