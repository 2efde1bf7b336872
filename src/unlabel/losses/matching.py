"""Pairs of two kinds that must find each other, such as images and their texts."""

import torch
from jaxtyping import Float
from torch import Tensor

from unlabel.losses.info_nce import info_nce
from unlabel.losses.unit import unit


def matching(
    x: Float[Tensor, "n d"], y: Float[Tensor, "n d"], *, temperature: float | Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Both directions of InfoNCE between two kinds of vectors: x_i must find y_i among all y, and y_i x_i among all x.

    L = (1/2n) Σ_i [ −s_ii + log Σ_j e^{s_ij} ] + [ −s_ii + log Σ_j e^{s_ji} ],   s_ij = cos(x_i, y_j) / τ

    x, y         [n, d], row i of both belong together (all ranks' rows, if there are several); normalised here
    temperature  τ > 0, a number or a learnt scalar

    Returns the mean: log n if all vectors are equal; log(1 + (n − 1) e^{−n / ((n − 1) τ)}) if both kinds are a regular
    simplex; towards 0 for perfect pairs as τ falls. Where y_i = y_j (the same text twice) it is the cross-entropy with
    x_i and x_j equally likely, for −s_ii − s_jj = −s_ij − s_ji. Radford et al., CLIP, arXiv 2103.00020, figure 3.
    """
    pairs = torch.arange(len(x), device=x.device)
    x, y = unit(x), unit(y)
    there = info_nce(x, y, pairs, temperature=temperature)
    back = info_nce(y, x, pairs, temperature=temperature)
    return (there + back).mean() / 2
