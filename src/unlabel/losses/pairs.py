"""Objectives of distances: pairs, triplets and N pairs, from before there was a softmax over a whole batch.

Where they take `small` [B, d], a small crop of each image, its rows are the anchors and the two views all they are
compared with.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from unlabel.losses.info_nce import info_nce
from unlabel.losses.unit import unit

Mining = Literal["semi-hard", "hard", "easy", "all"]


def pairwise(
    x1: Float[Tensor, "p d"], x2: Float[Tensor, "p d"], dissimilar: Bool[Tensor, "p"], *, margin: int | float = 1
) -> Float[Tensor, "p"]:
    """DrLIM, per pair: d²/2 where they are similar, max(0, margin - d)²/2 where they are not; d = |x1 - x2|.

    x1, x2      [P, d] as they are compared: the paper does not normalise
    dissimilar  [P] the paper's Y: 1 for pairs of different things

    Hadsell, Chopra, LeCun, CVPR 2006, eq. 4.
    """
    precision = torch.promote_types(x1.dtype, torch.float32)
    squared = (x1.to(precision) - x2.to(precision)).square().sum(dim=1)
    distance = squared.clamp(min=1e-12).sqrt()  # whose gradient at 0 is undefined
    return torch.where(dissimilar, F.relu(margin - distance).square(), squared) / 2


def drlim(
    z1: Float[Tensor, "b d"],
    z2: Float[Tensor, "b d"],
    *,
    margin: int | float = 1,
    small: Float[Tensor, "b d"] | None = None,
) -> Float[Tensor, ""]:
    """`pairwise` over two normalised views of B >= 2 images: views of one image attract, of different ones repel.

    Similar and dissimilar pairs have equal weight, as if equal numbers of them were drawn. margin²/4 if all
    embeddings are equal.
    """
    if small is not None:
        return (drlim(small, z1, margin=margin) + drlim(small, z2, margin=margin)) / 2
    z1, z2 = unit(z1), unit(z2)
    images = torch.arange(len(z1), device=z1.device)
    i, j = torch.cartesian_prod(images, images).T
    losses = pairwise(z1[i], z2[j], i != j, margin=margin)
    return (losses[i == j].mean() + losses[i != j].mean()) / 2


def triplet(
    anchors: Float[Tensor, "n d"],
    positives: Float[Tensor, "n d"],
    negatives: Float[Tensor, "n d"],
    *,
    margin: int | float | None = 0.2,
    squared: bool = True,
) -> Float[Tensor, "n"]:
    """Per triplet max(0, D(a, p) - D(a, n) + margin), D the distance, squared or not.

    margin  None: the smooth form log(1 + e^{D(a, p) - D(a, n)})

    Vectors as they are compared: normalise them as FaceNet does. Equal vectors cost exactly the margin and, squared,
    have no gradient: a collapse that training does not leave.
    Schroff, Kalenichenko, Philbin, FaceNet, CVPR 2015, arXiv 1503.03832, eq. 2.
    """
    near = (anchors - positives).square().sum(dim=1)
    far = (anchors - negatives).square().sum(dim=1)
    if not squared:
        near, far = (d.clamp(min=1e-12).sqrt() for d in (near, far))
    return F.softplus(near - far) if margin is None else F.relu(near - far + margin)


def mined_triplets(
    z1: Float[Tensor, "b d"],
    z2: Float[Tensor, "b d"],
    *,
    margin: int | float = 0.2,
    soft_margin: bool = False,
    mining: Mining = "semi-hard",
    small: Float[Tensor, "b d"] | None = None,
) -> Float[Tensor, ""]:
    """`triplet`, squared, over two normalised views: each row with its other view and negatives of other images.

    soft_margin  the smooth form log(1 + e^{D(a, p) - D(a, n)}), for which `margin` does not count
    mining       which negatives: "all"; "hard": the nearest; "easy": the farthest; "semi-hard": the nearest of those
                 that are farther than the positive (and, with a margin, within it), where an anchor has any, else none

    The mean over the triplets that are chosen; 0 where there are none.
    """
    z = unit(torch.cat([z1, z2]))
    rows = torch.arange(len(z), device=z.device)
    # A small crop is the anchor of two rows, in each with one view of its image as the positive.
    anchors, positive = (z, rows.roll(len(z1))) if small is None else (unit(small).repeat(2, 1), rows)
    with torch.autocast(z.device.type, enabled=False):
        apart = (2 - 2 * anchors @ z.T).clamp(min=0)  # [2B, 2B] squared distances
    images = rows % len(z1)
    near = apart.gather(1, positive[:, None])  # [2B, 1]
    allowed = images[:, None] != images  # [2B, 2B]
    if mining == "semi-hard":
        allowed = allowed & (apart > near)
        allowed = allowed if soft_margin else allowed & (apart < near + margin)
    if mining in ("hard", "semi-hard"):
        allowed = _only(apart.detach().masked_fill(~allowed, torch.inf).argmin(dim=1), allowed)
    elif mining == "easy":
        allowed = _only(apart.detach().masked_fill(~allowed, -torch.inf).argmax(dim=1), allowed)
    worse = (near - apart)[allowed]
    losses = F.softplus(worse) if soft_margin else F.relu(worse + margin)
    return losses.sum() / max(1, len(losses))


def n_pair(
    anchors: Float[Tensor, "n d"],
    positives: Float[Tensor, "n d"],
    *,
    norm_weight: int | float = 5e-4,
    small: Float[Tensor, "n d"] | None = None,
) -> Float[Tensor, ""]:
    """N-pair loss: mean_i log(1 + Σ_{j≠i} e^{f_i·g_j - f_i·g_i}) + (norm_weight / N) Σ_i (|f_i|² + |g_i|²).

    anchors, positives [N, d] of N different images, not normalised: the penalty of norms stands in for that. One
    direction only, and no temperature. log N if all are equal, and the penalty. (The weight is TensorFlow's; the paper
    does not name one.)
    Sohn, NeurIPS 2016, eq. 8 and section 3.2.2.
    """
    if small is not None:
        return (n_pair(small, anchors, norm_weight=norm_weight) + n_pair(small, positives, norm_weight=norm_weight)) / 2
    rows = torch.arange(len(anchors), device=anchors.device)
    apart = info_nce(anchors, positives, rows, temperature=1.0).mean()
    return apart + norm_weight * (anchors.square().sum(dim=1) + positives.square().sum(dim=1)).mean()


def _only(chosen: Tensor, allowed: Tensor) -> Tensor:
    """The one allowed column of each row; rows without any have none."""
    return torch.zeros_like(allowed).scatter_(1, chosen[:, None], True) & allowed
