"""InfoNCE over a grid of vectors: tell the place that was meant from all places of all images."""

import torch
from jaxtyping import Float
from torch import Tensor

from unlabel.losses.info_nce import info_nce


def grid_nce(
    predictions: Float[Tensor, "b r w d"], targets: Float[Tensor, "n h w d"], *, first: int = 0
) -> Float[Tensor, "b r w"]:
    """l_bij = −p_bij · z_b,i+k,j + log Σ_{n,u,v} e^{p_bij · z_nuv}: the prediction of the vector k rows below.

    predictions  [B, H − k, W, D] p; row i predicts row i + k, so k is told by how many rows there are
    targets      [N, H, W, D] z of the candidates' images: all places of all of them, the positive among them
    first        which of the N images is the first that predictions are of (ranks contribute their own)

    Products are not divided by a temperature and vectors not normalised. Returns one loss for each prediction:
    log(N H W) if all vectors are equal. At least float32.
    van den Oord, Li, Vinyals, CPC, arXiv 1807.03748, eq. 4; Hénaff et al., CPC v2, arXiv 1905.09272, eq. 3.
    """
    b, rows, width, _ = predictions.shape
    n, height, _, _ = targets.shape
    places = torch.arange(n * height * width, device=targets.device).view(n, height, width)
    positive = places[first : first + b, height - rows :].flatten()
    losses = info_nce(predictions.flatten(0, 2), targets.flatten(0, 2), positive, temperature=1.0)
    return losses.view(b, rows, width)
