"""A Simple Framework for Contrastive Learning of Visual Representations.

Chen, Kornblith, Norouzi, Hinton. ICML 2020, arXiv 2002.05709.

Two views of each of B images; the two must find each other among the 2B.

Predecessors
    CPC and AMDIM need networks of their own kind; InstDisc, MoCo and PIRL need a memory of other images. SimCLR needs
    neither: any network, and the other images of the batch, as in InvaSpread. It shows what counts: crops together with
    strong changes of colour, a projector with a hidden layer, large batches and long training.

Algorithm
    x1, x2   = two views of each image              # [B, 3, S, S] each
    h        = f(x)                                 # [B, D]
    z        = g(h)                                 # [B, d]
    s(i, j)  = cos(z_i, z_j) / tau                  # over all 2B rows
    l(i, j)  = -s(i, j) + log sum_{k != i} e^{s(i, k)}        (eq. 1, NT-Xent)
    L        = mean of l(i, j) over the 2B ordered positive pairs
    with small crops x3 .. xV as well (multi-crop, arXiv 2006.09882), which are anchors and never candidates: crop w of
    an image seeks each large view u of it among those of all other images, its other large view left out,
    l(w, u)  = -s(w, u) + log [ e^{s(w, u)} + sum over the 2(B - 1) rows k of other images e^{s(w, k)} ]
    L        = mean of the NT-Xent above and, for each small crop, the mean of l(w, u) over images and u

Flow
    image ─┬─ view 1 ─ f ─ h1 ─ g ─ z1 ─┐
           └─ view 2 ─ f ─ h2 ─ g ─ z2 ─┴─ NT-Xent over all 2B rows

Symbols
    f    backbone             the network that is kept
    g    projector            thrown away; evaluation sees h, not z
    tau  temperature          None: the objective's own: 0.1 of NT-Xent, dcl, dclw and flat_nce, 0.5 of debiased and
                              hard_negatives, 0.3 of hard. Recipes choose one for NT-Xent alone
    d    projector_dim

    projector_norm    batch norm in g; it keeps a batch's embeddings from becoming one, which not every objective does

Other objectives of the same views
    objective = dcl, dclw, flat_nce, debiased, hard_negatives, hard, simple, align_uniform, drlim, triplet, n_pair; each
    is explained where it is defined (`unlabel.losses`), and so are tau_plus, beta, sigma, alpha, weight, t,
    align_weight, uniform_weight, margin, soft_margin, mining and norm_weight, which are theirs; none is the objective's
    own default. weight is that of the negatives in simple, norm_weight that of the norms in n_pair; soft_margin gives
    triplet its smooth form, which has no margin.

Hard negatives
    Where backgrounds are swapped (background=swap, arXiv 2103.12719), NT-Xent's first views have one negative more:
    another object on their own background. It goes through f and g with the views.

Departures
    The projector ends in a bias-free linear layer followed by batch norm without offset, as the authors'
    code has it (the paper does not say).
"""

from functools import partial
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from unlabel.distributed import gather
from unlabel.errors import Fault
from unlabel.losses import nt_xent_matched
from unlabel.losses.objectives import Objective, collapse_values
from unlabel.losses.objectives import objective as by_name
from unlabel.losses.pairs import Mining
from unlabel.methods.base import Method
from unlabel.nn.heads import mlp
from unlabel.nn.multicrop import multicrop
from unlabel.optim.plan import Plan
from unlabel.views import LARGE, Batch, Recipe, named


@final
class SimCLR(Method):
    """SimCLR: two views attract, all other images repel."""

    title = "SimCLR"
    family = "joint-embedding"
    paper = "2002.05709"
    year = 2020
    view_range = (2, 64)
    limits: ClassVar = {
        "temperature": (1e-3, 100.0), "projector_layers": (0, 8), "tau_plus": (0.0, 0.99), "sigma": (1e-3, 1e6),
        "alpha": (1e-4, 16.0), "t": (1e-3, 100.0), "weight": (0.0, 1e3), "norm_weight": (0.0, 1e3),
    }  # fmt: skip
    plan = Plan(optimiser="lars", lr=0.3, weight_decay=1e-6, warmup=0.1, batch_size=4096, epochs=100)

    def __init__(
        self,
        backbone: nn.Module,
        *,
        temperature: float | None = None,
        projector_width: int = 2048,
        projector_dim: int = 128,
        projector_layers: int = 2,
        projector_norm: bool = True,
        objective: Objective = "nt_xent",
        tau_plus: float | None = None,
        beta: float | None = None,
        sigma: float | None = None,
        alpha: float | None = None,
        weight: float | None = None,
        t: float | None = None,
        align_weight: float | None = None,
        uniform_weight: float | None = None,
        margin: float | None = None,
        soft_margin: bool = False,
        mining: Mining | None = None,
        norm_weight: float | None = None,
    ) -> None:
        super().__init__()
        self.takes_negatives = objective == "nt_xent"
        own = {"tau_plus": tau_plus, "beta": beta, "sigma": sigma, "alpha": alpha, "weight": weight, "t": t,
               "align_weight": align_weight, "uniform_weight": uniform_weight, "margin": margin,
               "soft_margin": soft_margin or None, "mining": mining, "norm_weight": norm_weight}  # fmt: skip
        try:
            self.objective = by_name(objective, temperature=temperature, **own)
        except ValueError as problem:
            raise Fault(str(problem)) from problem
        self.at_collapse = partial(collapse_values, objective, **own)
        self.backbone = backbone
        width: int = backbone.num_features  # type: ignore[assignment]
        self.projector = mlp(
            width, projector_width, projector_dim, layers=projector_layers,
            norm="batch" if projector_norm else None, bias=not projector_norm,
            last_norm="gain" if projector_norm else None, last_bias=not projector_norm,
        )  # fmt: skip

    def views(self, size: int) -> Recipe:
        """Two views of the same strong distribution."""
        return named("simclr", size)

    def loss(self, batch: Batch) -> Tensor:
        """The objective, NT-Xent unless another is chosen, over all ranks' images."""
        hard = [batch.negative] if self.takes_negatives and batch.negative is not None else []
        views = [*batch.views[:LARGE], *hard, *batch.views[LARGE:]]
        z = self.projector(multicrop(self.backbone, views))  # [V·B, d]; batch norm sees the two views at once
        z1, z2, *others = (gather(view) for view in z.chunk(len(views)))  # [B, d] each
        small = others[len(hard) :]
        if hard and batch.matched is not None:
            matched = gather(batch.matched.to(torch.uint8)) > 0
            temperature = self.objective.keywords["temperature"]
            first = nt_xent_matched(z1, z2, others[0], matched, temperature=temperature)
        else:
            first = self.objective(z1, z2)
        return torch.stack([first, *(self.objective(z1, z2, small=w) for w in small)]).mean()

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """Those of the objective; where backgrounds are swapped, NT-Xent's is up to 1 / 4B higher."""
        return self.at_collapse(batch_size)
