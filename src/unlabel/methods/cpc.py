"""Representation Learning with Contrastive Predictive Coding (CPC), on images.

van den Oord, Li, Vinyals. 2018, arXiv 1807.03748.

An image is cut into overlapping patches. What the upper rows say together must tell which patch lies some rows below,
among all patches of all images.

Predecessors
    Models that generate what comes next spend much of their capacity on single pixels, and puzzles such as Context
    Prediction were made for images alone. CPC predicts a vector of what comes next and only has to tell the true one
    from others. The same loss serves sound, text and images.

Algorithm
    x_ij     = patches of the image, G x G of them, each sharing half with the next      # [B, G, G, 3, p, p]
    z_ij     = g_enc(x_ij), every patch by itself                                        # [B, G, G, D]
    c_ij     = g_ar(z_uv for all u <= i)                                                 # [B, G, G, D]
    f_k(z, c) = exp(z' W_k c), k = k_0 .. K rows ahead                                   (eq. 3)
    l_k      = mean over i + k < G, j and the batch of
               -log f_k(z_i+k,j, c_ij) / sum over all patches z of the batch of f_k(z, c_ij)     (eq. 4)
    L        = mean of l_k over k

Flow
    image ─ patches ─ g_enc ─ z ─┬─ rows down to i ─ g_ar ─ c_i ─ W_k ─ prediction ──┐
                                 └─ z of row i + k, among z of all patches ──────────┴─ InfoNCE

Symbols
    g_enc  backbone      kept, together with the cutting: an image's vector is the mean of those of its patches
    g_ar   context       RowContext: context_width, context_blocks
    G      grid          patches a side; their side is that of the image x 2 / (grid + 1) at overlap 1/2
    K, k_0  steps, skip  k_0 = skip + 1: rows that still share pixels with row i could be told by copying them, and
                         are all skipped by default
    W_k    predictors    a matrix for each k

Departures
    Batch norms of the backbone become layer norms: the paper's network has no norm, and batch statistics would tell
    each patch of the others. This changes the backbone that is given, in place.
    All patches of the batch, the image's own among them, are candidates; the paper samples them.
    The context network is CPC v2's, which sees rows down to its own and columns to both sides, not a gated PixelCNN.
    A quarter of the images are grey instead of all, so that evaluation may show colours.
    `steps` counts from the row itself; how long to train is not in the paper.
"""

import math
from typing import ClassVar, final

from torch import Tensor, nn, stack

from unlabel.distributed import gather, rank
from unlabel.errors import Fault
from unlabel.losses import grid_nce
from unlabel.methods.base import Method
from unlabel.nn.patch_grid import PatchGrid, check_patches, rows_shared
from unlabel.nn.row_context import RowContext
from unlabel.optim.plan import Plan
from unlabel.views import Batch, Recipe, View


@final
class CPC(Method):
    """CPC: predict the patches some rows below, among all others."""

    title = "CPC"
    family = "joint-embedding"
    paper = "1807.03748"
    year = 2018
    view_range = (1, 1)
    limits: ClassVar = {
        "grid": (3, 32),
        "overlap": (0.0, 0.9),
        "steps": (1, 31),
        "skip": (0, 30),
        "context_width": (1, 65536),
        "context_blocks": (1, 64),
    }
    plan = Plan(optimiser="adam", lr=2e-4, lr_per=None, schedule="constant", batch_size=512, epochs=300)

    def __init__(
        self,
        backbone: nn.Module,
        *,
        grid: int = 7,
        overlap: float = 0.5,
        steps: int = 5,
        skip: int | None = None,
        context_width: int = 256,
        context_blocks: int = 5,
    ) -> None:
        super().__init__()
        skip = rows_shared(overlap) if skip is None else skip
        if not skip < steps < grid:
            raise Fault(
                f"CPC predicts `skip` + 1 = {skip + 1} to `steps` = {steps} rows ahead in a `grid` of {grid} rows: "
                "skip < steps < grid must hold"
            )
        self.offsets = range(skip + 1, steps + 1)
        self.backbone = PatchGrid(backbone, grid, overlap)
        width: int = backbone.num_features  # type: ignore[assignment]
        self.context = RowContext(width, width=context_width, blocks=context_blocks)
        self.predictors = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in self.offsets)

    def views(self, size: int) -> Recipe:
        """One view: a random part of 256/300 of the image's side, sometimes mirrored, sometimes grey."""
        check_patches(self.backbone, size)
        return Recipe(views=(View(size=size, crop="load", load_size=round(size * 300 / 256), grey=0.25),))

    def loss(self, batch: Batch) -> Tensor:
        """Predictions of all offsets; the candidates are the patches of all ranks' images."""
        (x,) = batch.views
        z = self.backbone.see(self.backbone.cut(x))  # [B, G, G, D]
        c = self.context(z)  # [B, G, G, D]
        everyone, first = gather(z), rank() * len(z)
        losses = [
            grid_nce(predict(c[:, :-k]), everyone, first=first).mean()
            for k, predict in zip(self.offsets, self.predictors, strict=True)
        ]
        return stack(losses).mean()

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """The logarithm of how many patches a batch has."""
        return {"all patches have equal vectors": math.log(batch_size * self.backbone.grid**2)}
