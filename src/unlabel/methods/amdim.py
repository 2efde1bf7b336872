"""Learning Representations by Maximizing Mutual Information Across Views (AMDIM).

Bachman, Hjelm, Buchwalter. NeurIPS 2019, arXiv 1906.00910.

One vector of a view must find, among the local features of many images, those of another view of its own image; and
local features of one view must find those of the other. None of the local features sees the whole image.

Predecessors
    Deep InfoMax lets one vector of an image find that image's own local features, both read off the same view, so
    nothing asks that the vector survive augmentation. AMDIM takes the vector from one view and the local features, of
    two sizes, from another, and lets local features find one another as well.

Algorithm
    x1, x2         = two views of each image, flipped alike                # [B, 3, S, S] each
    h1, h5, h7     = f(x) at 1, 5 x 5 and 7 x 7 places                     # [B, d], [B, C, 5, 5], [B, C, 7, 7]
    r1, r5, r7     = h1, g5(h5), g7(h7)                                    # [B, d], [B, 25, d], [B, 49, d]
    s(i; j, l)     = <a_i, t_jl> / sqrt(d),    r = c tanh(s / c)           # score of source i and place l of image j
    nce(a, t)      = mean over i, l of -r(i; i, l) + log( e^{r(i; i, l)} + sum_{j != i, l'} e^{r(i; j, l')} )  (eq. 2)
    L(a, t)        = nce(a, t) + lambda mean s^2
    u5             = r5 at one place, drawn for each image and view        # [B, d]
    L              = mean over both directions of L(r1, r5') + L(r1, r7') + L(u5, r5'),   ' = of the other view

Flow
    image ─ flip ─┬─ view 1 ─ f ─┬─ r1 ────────── looks for itself in r5' and in r7' of all images
                  │              └─ g5 ─ u5 ───── looks for itself in r5' of all images
                  └─ view 2 ─ f ─┬─ g5 ─ r5'
                                 └─ g7 ─ r7'
    and once more with the views exchanged

Symbols
    f        encoder            a network of the paper's own, the one that is kept; evaluation sees h1
    g5, g7   heads              one for each map, thrown away
    d        embedding_dim      (n_rkhs)
    C        encoder_width      (ndf) C = 4 of it at 32 pixels, else 8
    c        score_clip
    lambda   score_penalty

    encoder_depth      (n_depth) blocks of each stage

Departures
    The place of u5 comes from the view's record instead of a generator in the loss: the loss of a batch is always the
    same, on any number of ranks.
    The warm-up is a share of training.
    The classifiers that the authors train beside it, without gradient to the encoder, are left to evaluation.
    Images are normalised with ImageNet's mean and deviation at every size.
"""

import math
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from unlabel.distributed import gather, mine, world
from unlabel.losses.local_nce import local_nce
from unlabel.methods.base import Method
from unlabel.nn.unpadded import LocalHead, UnpaddedEncoder
from unlabel.optim.plan import Plan
from unlabel.views import Batch, Recipe, named

Scales = tuple[Tensor, Tensor, Tensor, Tensor]


@final
class AMDIM(Method):
    """AMDIM: vectors and local features of two views find each other across scales."""

    title = "AMDIM"
    family = "joint-embedding"
    paper = "1906.00910"
    year = 2019
    limits: ClassVar = {
        "encoder_width": (1, 4096),
        "encoder_depth": (1, 64),
        "embedding_dim": (1, 65536),
        "score_clip": (1e-3, 1e6),
    }
    plan = Plan(
        optimiser="adam",
        lr=2e-4,
        lr_per=None,
        betas=(0.8, 0.999),
        weight_decay=1e-5,
        decay_vectors=True,
        warmup=0.0067,
        schedule="steps",
        milestones=(250 / 300, 280 / 300),
        step_rates=(0.2, 0.04),
        batch_size=200,
        epochs=300,
    )

    def __init__(
        self,
        *,
        size: int,
        encoder_width: int = 128,
        encoder_depth: int = 3,
        embedding_dim: int = 1024,
        score_clip: float = 20.0,
        score_penalty: float = 0.05,
    ) -> None:
        super().__init__()
        self.score_clip = score_clip
        self.score_penalty = score_penalty
        self.encoder = UnpaddedEncoder(size, width=encoder_width, dim=embedding_dim, depth=encoder_depth)
        self.heads = nn.ModuleDict({n: LocalHead(self.encoder.local_width, embedding_dim) for n in ("five", "seven")})

    def views(self, size: int) -> Recipe:
        """Two views with one flip; small images are moved, larger ones cropped."""
        return named("amdim", size)

    @property
    def kept(self) -> nn.Module:
        """The encoder: it makes the vector of an image by itself."""
        return self.encoder

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The three searches, and the penalty of large scores; sources are this rank's, targets those of all ranks."""
        both = [self._scales(x, record) for x, record in zip(batch.views, batch.records, strict=True)]
        own = mine(torch.arange(len(batch) * world(), device=batch.index.device))
        terms: dict[str, list[Tensor]] = {"one_to_five": [], "one_to_seven": [], "five_to_five": []}
        squares = []
        for (r1, u5, _, _), (_, _, r5, r7) in (both, both[::-1]):
            five, seven = gather(r5), gather(r7)
            for term, source, target in zip(terms, (r1, r1, u5), (five, seven, five), strict=True):
                nce, square = local_nce(source, target, own, clip=self.score_clip)
                terms[term].append(nce)
                squares.append(square)
        losses = {term: torch.stack(values).mean() for term, values in terms.items()}
        return losses | {"penalty": self.score_penalty * torch.stack(squares).sum() / 2}

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """log(1 + (B - 1) L) of each search, L = 25, 49 and 25 places; the penalty is 0."""
        return {"all scores are 0": sum(math.log(1 + (batch_size - 1) * places) for places in (25, 49, 25))}

    def _scales(self, x: Tensor, record: np.ndarray) -> Scales:
        """Of one view: r1 [B, d], u5 [B, d], r5 [B, 25, d], r7 [B, 49, d]."""
        r1, h5, h7 = self.encoder.scales(x)  # one view at a time, as batch norm sees it in the authors' code
        r5, r7 = self.heads["five"](h5), self.heads["seven"](h7)
        place = torch.from_numpy((record["seed"] % r5.shape[1]).astype(np.int64)).to(x.device)
        return r1, r5[torch.arange(len(x), device=x.device), place], r5, r7
