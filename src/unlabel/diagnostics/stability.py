"""Do the same images stay near each other? A representation that settles down keeps its neighbours."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

NEIGHBOURS = 10


def nearest(x: Float[Tensor, "n d"], k: int = NEIGHBOURS) -> Int[Tensor, "n k"]:
    """Which k other rows have the largest cosine with each row, in no particular order.

    x  [n, D] embeddings of n >= 2 images; normalised here
    k  at least 1; all n - 1 others where there are fewer

    Returns int64 on the host. Raises ValueError for a single row. Takes n² numbers of memory.
    """
    if len(x) < 2:
        raise ValueError(f"neighbours are sought among two images or more, not {len(x)}")
    u = F.normalize(x.detach().float(), dim=1)
    cosine = (u @ u.T).fill_diagonal_(-torch.inf)
    return cosine.topk(min(k, len(x) - 1), dim=1, sorted=False).indices.cpu()


def kept_share(before: Int[Tensor, "n k"], after: Int[Tensor, "n k"]) -> float:
    """The mean share of the neighbours `before` that are among those `after`; both as `nearest` returns them."""
    return float((before[:, :, None] == after[:, None, :]).any(dim=2).double().mean())


def neighbour_stability(x: Float[Tensor, "n d"], y: Float[Tensor, "n e"], k: int = NEIGHBOURS) -> float:
    """How much of each image's neighbourhood two embeddings share: mean_i |N_k(x_i) & N_k(y_i)| / k.

    x, y  [n, D], [n, E] embeddings of the same images, row by row: by two checkpoints, or by two networks
    k     neighbours of each image, itself left out, by cosine

    Returns a number in [0, 1]: 1 where all neighbours are the same, `chance_stability(n, k)` where they have nothing to
    do with each other. Rotations and scales of either embedding change nothing.
    Huh, Cheung, Wang and Isola, ICML 2024, arXiv 2405.07987 (mutual nearest neighbours, with k = 10).
    """
    return kept_share(nearest(x, k), nearest(y, k))


def chance_stability(images: int, k: int = NEIGHBOURS) -> float:
    """The `neighbour_stability` of two embeddings that know nothing of each other: k / (n - 1), at most 1."""
    return min(1.0, k / (images - 1))
