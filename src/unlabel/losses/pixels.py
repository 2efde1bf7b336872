"""Objectives of places of two views that are known to show the same place of the image, or not to.

Each image is by itself, and gets the mean over its own places; an image whose views share nothing gets 0. The loss of a
batch is the mean over images, so that it is that of its parts: a mean over all places of a batch would not be.

x [B, N, d] and y [B, M, d] are the places of two views, compared by their cosine, at least in float32; positive
[B, N, M] says which are the same.  Xie et al., Propagate Yourself, CVPR 2021, arXiv 2011.10043.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unlabel.losses.unit import unit


def pixel_nce(
    x: Float[Tensor, "b n d"],
    y: Float[Tensor, "b m d"],
    positive: Bool[Tensor, "b n m"],
    *,
    temperature: float = 0.3,
) -> Float[Tensor, "b"]:
    """InfoNCE of every place with any number of positives; the other places of the other view are its negatives.

        l_i = -log( sum_{j in P_i} e^{s_ij} / sum_j e^{s_ij} ),    s_ij = cos(x_i, y_j) / tau

    temperature  tau > 0

    Returns per image the mean of l_i over the places that have a positive (0 where none has): in [0, inf), the mean of
    log(M / |P_i|) if all vectors are equal.  Eq. 2.
    """
    similarity = _cosines(x, y) / temperature
    matched = positive.any(dim=2)  # [B, N]
    # Where nothing is positive everything is taken to be: log 1, where an empty sum would be -inf and its gradient NaN.
    attracted = similarity.masked_fill(~positive & matched[:, :, None], -torch.inf).logsumexp(dim=2)
    each = similarity.logsumexp(dim=2) - attracted  # [B, N]
    return each.sum(dim=1) / matched.sum(dim=1).clamp(min=1)


def pixel_consistency(
    x: Float[Tensor, "b n d"], y: Float[Tensor, "b m d"], positive: Bool[Tensor, "b n m"]
) -> Float[Tensor, "b"]:
    """Per image the mean of -cos(x_i, y_j) over the pairs that are the same place: in [-1, 1], 0 where there are none.

    A constant embedding reaches -1 too: the value does not tell a solved task from a collapsed one.  Eq. 5.
    """
    agreement = (_cosines(x, y) * positive).sum(dim=(1, 2))
    return -agreement / positive.sum(dim=(1, 2)).clamp(min=1)


def _cosines(x: Tensor, y: Tensor) -> Tensor:
    """[B, N, d], [B, M, d] -> [B, N, M]."""
    with torch.autocast(x.device.type, enabled=False):
        x, y = (unit(t.flatten(0, 1)).unflatten(0, t.shape[:2]) for t in (x, y))
        return x @ y.mT
