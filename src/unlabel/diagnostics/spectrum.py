"""How many directions carry the embeddings? The spectrum sees a collapse onto a few dimensions, which a mean cannot."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

FITTED = (4, 100)
"""The first and the last rank that `spectral_decay` looks at."""


def singular_values(x: Float[Tensor, "n d"], *, normalise: bool = True) -> Float[Tensor, "k"]:
    """The singular values of the centred embeddings, largest first.

        U S V' = (Z - mean Z) / sqrt(n - 1),   Z_i = x_i / |x_i|

    x          [n, D] embeddings of n >= 2 different images
    normalise  whether rows are scaled to length one first, as cosine similarity sees them

    Returns [min(n, D)] float64 on the host. Their squares are the eigenvalues of the covariance, so that the values
    do not depend on n except through sampling; at most n - 1 of them are above zero. Values below 1e-12 of the
    longest row are rounding errors and become 0; embeddings that are not finite give NaN.
    Jing, Vincent, LeCun and Tian, ICLR 2022, arXiv 2110.09348, section 3 (who show the eigenvalues).
    Raises ValueError for a single row.
    """
    if len(x) < 2:
        raise ValueError(f"a spectrum needs two embeddings or more, not {len(x)}")
    z = x.detach().to("cpu", torch.float64)
    z = F.normalize(z, dim=1) if normalise else z
    if not torch.isfinite(z).all():
        return torch.full((min(z.shape),), torch.nan, dtype=torch.float64)
    values = torch.linalg.svdvals((z - z.mean(dim=0)) / (len(z) - 1) ** 0.5)
    return torch.where(values > 1e-12 * z.norm(dim=1).max(), values, 0.0)


def covariance_spectrum(x: Float[Tensor, "n d"], *, normalise: bool = True) -> Float[Tensor, "k"]:
    """The eigenvalues of the embeddings' covariance, largest first: C = 1/(n - 1) sum_i (z_i - mean)(z_i - mean)'.

    x          [n, D] embeddings of n >= 2 different images: representations or what the loss compared. Spectra compare
               where n is the same, taken in evaluation mode
    normalise  whether rows are scaled to length one first, z_i = x_i / |x_i|

    Returns [min(n, D)] float64, the squares of `singular_values`. Where many fall by orders of magnitude, embeddings
    fill a part of the dimensions only (dimensional collapse); `directions_above` counts those that are left.
    Jing, Vincent, LeCun and Tian, ICLR 2022, arXiv 2110.09348, section 3.
    """
    return singular_values(x, normalise=normalise).square()


def directions_above(values: Float[Tensor, "k"], share: float = 1e-6) -> int:
    """How many values of a spectrum are above this share of the largest; 0 where all are zero or NaN.

    values  [K] of `covariance_spectrum` or `singular_values`; a share of 1e-6 of the former is 1e-3 of the latter

    The count and its share are ours; Jing et al., ICLR 2022, show the spectrum that is counted.
    """
    return int((values > share * values.max()).sum()) if len(values) else 0


def effective_rank(x: Float[Tensor, "n d"]) -> float:
    """RankMe: how many directions the embeddings use, exp(-sum_k p_k log p_k) with p_k = s_k / sum_j s_j.

    x  [n, D] embeddings of n >= 2 different images

    Returns a number in [1, min(n - 1, D)], or 0 where all rows are equal. One direction gives 1, D equal ones D.
    Garrido, Balestriero, Najman and LeCun, ICML 2023, arXiv 2210.02885, equations 1 and 2, with one departure: rows
    are normalised and centred first (`singular_values`), for an offset that all images share tells nothing about any.
    The paper takes singular values: the entropy over the covariance's own eigenvalues, which are their squares and are
    what Jing et al. show, would be `rank_of(covariance_spectrum(x))`, a smaller number unless all are equal.
    `participation_ratio` is another number: built from variances, it is never larger on the same data and far less
    moved by weak directions.
    Read it beside `feature_std`: the rounding errors of a complete collapse have a high rank too.
    """
    return rank_of(singular_values(x))


def rank_of(values: Float[Tensor, "k"]) -> float:
    """The effective rank of singular values that are already there; see `effective_rank`."""
    total = values.sum()
    if total <= 0:
        return 0.0
    return float(torch.special.entr(values / total).sum().exp())


def outline(values: Float[Tensor, "k"], points: int = 32) -> dict[str, list[int] | list[float]]:
    """The short form of a spectrum that a reading keeps: enough to draw it over logarithmic axes.

    values  [K] singular values, largest first
    points  how many ranks at most

    Returns {"ranks": r_1 = 1 < ... < r_m = K, evenly spread on a logarithmic scale and rounded (fewer than `points`
    where rounding makes them equal), "values": s_r / s_1 in [0, 1], to four significant digits}. Both lists are empty
    where all values are zero or NaN. The form is ours, made for small files.
    """
    if not len(values) or not values[0] > 0:
        return {"ranks": [], "values": []}
    ranks = torch.logspace(0, math.log10(len(values)), points, dtype=torch.float64).round().long().unique()
    relative = (values[ranks - 1] / values[0]).tolist()
    return {"ranks": ranks.tolist(), "values": [float(f"{value:.4g}") for value in relative]}


def dimensions_for(values: Float[Tensor, "k"], variance: float = 0.99) -> int:
    """The fewest directions that carry this share of the variance: min k with sum_{j<=k} s_j² >= share sum_j s_j².

    values    [K] singular values, largest first
    variance  the share, in (0, 1]

    Returns a number in [1, K], or 0 where all values are zero or NaN. Principal components are
    commonly counted so; to count embeddings' directions by it, and at 0.99, is ours.
    """
    if not 0 < variance <= 1:
        raise ValueError(f"a share of the variance lies in (0, 1], not {variance}")
    carried = values.double().square().cumsum(dim=0)
    if not len(carried) or not carried[-1] > 0:
        return 0
    # A relative margin far below any share: the last sum and its share 1.0 must not differ by rounding.
    return int((carried < carried[-1] * variance * (1 - 1e-12)).sum()) + 1


def participation_ratio(x: Float[Tensor, "n d"]) -> float:
    """How many directions share the variance: (sum_k l_k)² / sum_k l_k², l the eigenvalues of the covariance.

    x  [n, D] embeddings of n >= 2 different images

    Returns a number in [1, min(n - 1, D)], or 0 where all rows are equal. One direction gives 1, D equal ones D, and
    D directions of which the k-th has variance 2^-k about 3. Few images make it smaller: it compares where n is the
    same. Rows are normalised and centred first (`singular_values`).
    Gao, Trautmann, Yu, Santhanam, Ryu, Shenoy and Ganguli, A theory of multineuronal dimensionality, dynamics and
    measurement, bioRxiv 214262, 2017.
    """
    return participation_of(singular_values(x))


def participation_of(values: Float[Tensor, "k"]) -> float:
    """The participation ratio of singular values that are already there; see `participation_ratio`."""
    variances = values.double().square()
    total = variances.sum()
    return 0.0 if total <= 0 else float((variances / total).square().sum().reciprocal())


def spectral_decay(x: Float[Tensor, "n d"]) -> float:
    """alpha-ReQ: how fast the spectrum falls, the alpha of l_k ~ k^-alpha, l_1 >= l_2 >= ... the eigenvalues of the
    covariance.

    x  [n, D] embeddings of n >= 2 different images

    Returns -1 times the slope of log l_k over log k, at least squares with weights 1 / k over the ranks k = 4 .. 100,
    or as many as are above zero; not a number where these are fewer than three. 0 is a flat spectrum, which noise has;
    a large alpha means that few directions carry nearly everything. The paper finds the best representations near 1.
    Few images make it larger: it compares where n is the same.
    Agrawal, Mondal, Ghosh and Richards, alpha-ReQ, NeurIPS 2022 (volume 35, pages 17626 to 17638). The paper does not
    say which ranks it fits; ranks and weights are those of the authors' code, which has them from Stringer et al.,
    Nature 571, 2019. One departure: rows are normalised first (`singular_values`).
    """
    return decay_of(singular_values(x))


def decay_of(values: Float[Tensor, "k"], ranks: tuple[int, int] = FITTED) -> float:
    """The alpha of singular values that are already there, largest first; see `spectral_decay`.

    ranks  the first and the last rank of the fit, counted from 1
    """
    first, last = ranks
    fitted = values[first - 1 : last].double().cpu()
    fitted = fitted[fitted > 0]  # those that are not come last
    if len(fitted) < 3:
        return math.nan
    k = torch.arange(first, first + len(fitted), dtype=torch.float64)
    weight = (1 / k) / (1 / k).sum()
    x, y = k.log(), 2 * fitted.log()
    apart = x - (weight * x).sum()
    return float(-(weight * apart * y).sum() / (weight * apart.square()).sum())
