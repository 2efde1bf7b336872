"""Do different images get different embeddings? Two numbers that see a complete collapse, and how long vectors are."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def feature_std(x: Float[Tensor, "n d"]) -> float:
    """How far the directions of n embeddings vary: mean_j std_i( x_i / |x_i| )_j.

    x  [n, D] embeddings of n different images; normalised here

    Returns a number in [0, 1/sqrt(D)]: 0 when all images have one embedding, `healthy_std(D)` at most, since the
    variances of unit vectors add up to 1 - |mean|². The standard deviation divides by n, not n - 1, for that bound
    to be exact. Networks that end in a ReLU keep to one orthant and stay somewhat below it even when healthy.
    Chen and He, SimSiam, CVPR 2021, arXiv 2011.10566, section 4.1.
    """
    return float(_unit(x).std(dim=0, correction=0).mean())


def healthy_std(dimensions: int) -> float:
    """The `feature_std` of directions spread evenly over the sphere: 1 / sqrt(D)."""
    return float(dimensions**-0.5)


def mean_cosine(x: Float[Tensor, "n d"]) -> float:
    """The mean cosine of two different images: ( |sum_i u_i|² - sum_i |u_i|² ) / (n (n - 1)), u = x / |x|.

    x  [n, D] embeddings of n >= 2 different images; normalised here

    Returns a number in [-1/(n - 1), 1]: 1 when all embeddings point one way, about 0 when they are spread evenly.
    Raises ValueError for a single row. No loop over pairs: n D multiplications. As a reading it is ours.
    """
    if len(x) < 2:
        raise ValueError(f"the mean cosine of pairs needs two embeddings, not {len(x)}")
    u = _unit(x)
    pairs = len(u) * (len(u) - 1)
    return float((u.sum(dim=0).square().sum() - u.square().sum()) / pairs)


def feature_norm(x: Float[Tensor, "n d"]) -> tuple[float, float]:
    """How long embeddings are, which no cosine sees: the mean and the standard deviation of |x_i|.

    x  [n, D] embeddings of n different images, as the network makes them

    Both are >= 0, the second 0 where all have one length (it divides by n). Lengths that grow without end slow down an
    objective of cosines, whose gradient falls as 1 / |x|; images that are unlike the others are often short.
    Draganov, Vadgama, Damrich, Böhm, Maes, Kobak and Bekkers, ICML 2025, arXiv 2502.09252.
    """
    lengths = x.detach().to("cpu", torch.float64).norm(dim=1)
    return float(lengths.mean()), float(lengths.std(correction=0))


def _unit(x: Tensor) -> Tensor:
    """Rows of length one, in float64 on the host: sums over thousands of rows cancel."""
    return F.normalize(x.detach().to("cpu", torch.float64), dim=1)
