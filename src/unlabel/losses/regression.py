"""Regression of one unit vector on another."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unlabel.losses.unit import unit


def cosine_regression(prediction: Float[Tensor, "b d"], target: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """The squared distance of the two directions: mean_b ‖q/‖q‖ − z/‖z‖‖² = 2 − 2 cos(q, z).

    prediction  [B, d] q
    target      [B, d] z; the caller stops its gradient where the method says so

    Returns 0 for the same direction, 2 for orthogonal ones, 4 for opposite ones; at least float32. A constant
    embedding reaches 0 too: the value does not tell a solved task from a collapsed one.
    Grill et al., BYOL, arXiv 2006.07733, eq. 2.
    """
    precision = torch.promote_types(prediction.dtype, torch.float32)
    q = F.normalize(prediction.to(precision), dim=1)
    z = F.normalize(target.to(precision), dim=1)
    return (q - z).square().sum(dim=1).mean()


def negative_cosine(prediction: Float[Tensor, "b d"], target: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """D(p, z) = -mean_b cos(p, z), half of `cosine_regression` less 1.

    prediction  [B, d] p
    target      [B, d] z; the caller stops its gradient where the method says so

    Returns a number in [-1, 1]; at least float32. A constant embedding reaches -1.
    Chen and He, SimSiam, arXiv 2011.10566, eq. 1.
    """
    return -(unit(prediction) * unit(target)).sum(dim=1).mean()
