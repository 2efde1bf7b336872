"""Pairs of two kinds that must find each other, such as images and their texts."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unlabel.losses.info_nce import info_nce
from unlabel.losses.unit import unit


def matching(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "n d"],
    *,
    temperature: float | Float[Tensor, ""],
    names: Int[Tensor, "n"] | None = None,
) -> Float[Tensor, ""]:
    """Both directions of InfoNCE between two kinds of vectors: x_i must find y_i among all y, and y_i x_i among all x.

    L = (1/2n) Σ_i [ −s_ii + log Σ_j e^{s_ij} ] + [ −s_ii + log Σ_j e^{s_ji} ],   s_ij = cos(x_i, y_j) / τ

    x, y         [n, d], row i of both belong together (all ranks' rows, if there are several); normalised here
    temperature  τ > 0, a number or a learnt scalar
    names        [n] pairs of one name are each other's positives too: −s_ii becomes the mean over the rows of i's name,
                 which is the cross-entropy with all of them equally likely

    Returns the mean: log n if all vectors are equal; log(1 + (n − 1) e^{−n / ((n − 1) τ)}) if both kinds are one regular
    simplex; towards 0 for perfect pairs as τ falls. Radford et al., CLIP, arXiv 2103.00020, figure 3.
    """
    positive = torch.arange(len(x), device=x.device) if names is None else rows_alike(names)
    x, y = unit(x), unit(y)
    there = info_nce(x, y, positive, temperature=temperature)
    back = info_nce(y, x, positive, temperature=temperature)
    return (there + back).mean() / 2


def rows_alike(names: Int[Tensor, "n"]) -> Int[Tensor, "n p"]:
    """For each row the rows of its name, in order; −1 behind them where another name has more.

    names  [n] any integers -> [n, p] with p the rows of the most frequent name
    """
    order = names.argsort(stable=True)
    _, which, counts = names.unique(return_inverse=True, return_counts=True)  # names rise, as they do in `order`
    first = (counts.cumsum(0) - counts)[which]  # [n], where each row's name begins in `order`
    place = torch.arange(int(counts.max()), device=names.device)
    rows = order[(first[:, None] + place).clamp(max=len(names) - 1)]
    return rows.masked_fill(place >= counts[which][:, None], -1)
