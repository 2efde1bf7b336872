"""How many directions tell images from each other better than they tell two views of one image?"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unlabel.diagnostics.spectrum import rank_of

DELTA = 1e-4


def lidar(x: Float[Tensor, "n v d"], *, delta: float = DELTA, normalise: bool = True) -> float:
    """LiDAR: the effective rank of the images' means, measured in units of how far views of one image are apart.

        S_w = mean_iv (z_iv - m_i)(z_iv - m_i)' + d I,   S_b = mean_i (m_i - m)(m_i - m)',   m_i = mean_v z_iv
        exp(-sum_k p_k log p_k),   p_k = l_k / sum_j l_j,   l the eigenvalues of S_w^-1/2 S_b S_w^-1/2

    x          [n, v, D] embeddings of v >= 2 views of each of n >= 2 images
    delta      d as a share of the mean variance of a dimension
    normalise  whether rows are scaled to length one first, z = x / |x|, as cosine similarity sees them

    Returns a number in [1, min(n - 1, D)], or 0 where all images have one mean. Unlike `effective_rank` it does not
    count directions in which the views of one image differ as much as images do: noise, and what the augmentation
    changes. With few views the means m_i are noisy and so it counts too many: the paper has tens of views (and a
    thousand images). Where n (v - 1) < D, S_w is little more than d I in some directions, and the number says nothing;
    an evaluation therefore shows wide networks more views, max(8, 1 + ceil(D / n)), and goes without it beyond 32.
    Thilak et al., LiDAR, ICLR 2024, arXiv 2312.04000, with two departures: rows are normalised, and its d is 1e-4
    whatever the scale of the embeddings. It has n v D² + n D² multiplications.
    Raises ValueError for a single image or a single view.
    """
    n, views, width = x.shape
    if n < 2 or views < 2:
        raise ValueError(f"LiDAR needs two images and two views of each at least, not {n} and {views}")
    z = x.detach().to("cpu", torch.float64)
    z = F.normalize(z, dim=2) if normalise else z
    if not torch.isfinite(z).all():
        return float("nan")
    means = z.mean(dim=1)  # [n, D]
    between = (means - means.mean(dim=0)) / n**0.5
    within = ((z - means[:, None]) / (n * views) ** 0.5).flatten(0, 1)
    scale = float(between.square().sum() + within.square().sum()) / width
    if scale <= 1e-24 * float(z.square().sum(dim=2).max()):  # rounding errors
        return 0.0
    spread = within.T @ within + delta * scale * torch.eye(width, dtype=z.dtype)
    # S_w = L L', and the eigenvalues of L^-1 S_b L'^-1 are those of S_w^-1/2 S_b S_w^-1/2.
    ratios = torch.linalg.svdvals(torch.linalg.solve_triangular(torch.linalg.cholesky(spread), between.T, upper=False))
    return rank_of(ratios.square())
