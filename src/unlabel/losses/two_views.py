"""Objectives of two views that are made of two numbers per row: how near its other view is, how near all other images.

Every embedding z_i of 2B, normalised, has its positive p (the other view of its image) and its negatives j (both views
of all other images). With s_ij = cos(z_i, z_j) / tau,

    a_i    = s_ip                        attraction
    r_i(k) = log sum_j e^{k s_ij}        repulsion, over the 2B - 2 negatives

and each objective is a function of these rows. No matrix of similarities is held (see `blockwise`).

Means over all 2B rows. z1 and z2 [B, d] are two views of the same B images, of all ranks if there are several; they
are normalised here. temperature: tau > 0.

With small crops of the images, `small` [B, d], these are the anchors and the two views the candidates: there are 2B
rows again, for each small crop has two positives, z1 and z2 of its image, and the same 2B - 2 negatives for both. No
small crop is a candidate of anybody.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unlabel.losses import blockwise
from unlabel.losses.unit import unit

Small = Float[Tensor, "b d"] | None


class _Rows:
    """a_i and r_i of two views, or of small crops that seek them."""

    def __init__(self, z1: Tensor, z2: Tensor, temperature: float, small: Tensor | None = None) -> None:
        if len(z1) < 2:
            raise ValueError("one image has no negatives: a batch must hold two at least")
        self.z = unit(torch.cat([z1, z2]))  # [2B, d], the candidates
        self.temperature = temperature
        self.negatives = len(self.z) - 2
        self.images = torch.arange(len(z1), device=z1.device).repeat(2)
        across = self.z.roll(len(z1), dims=0)
        # `other` is the candidate of the anchor's image that is not its positive: for views, they themselves.
        if small is None:
            self.anchors, positive, self.other = self.z, across, self.z
        else:
            self.anchors, positive, self.other = unit(small).repeat(2, 1), self.z, across
        self.cosine = (self.anchors * positive).sum(dim=1)  # [2B]
        self.attracted = self.cosine / temperature

    def repelled(self, k: int | float = 1, alpha: int | float = 1) -> Tensor:
        """r(k) [2B], over a share of the negatives: the nearest."""
        scale = self.z.new_tensor(k / self.temperature)
        same = (self.images, self.images)
        return blockwise.row_log_sum_exp(self.anchors, self.z, scale, same=same, least=self.least(alpha))

    def least(self, alpha: int | float) -> Tensor | None:
        """[2B] the cosine of the last of the ceil(alpha N) nearest negatives.

        Those as near as the last are kept too. None where all are.
        """
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha is the share of negatives that is kept, in (0, 1], not {alpha}")
        kept = math.ceil(alpha * self.negatives)
        if kept == self.negatives:
            return None
        return blockwise.least_of_nearest(self.anchors, self.z, kept, same=(self.images, self.images))


def dcl(
    z1: Float[Tensor, "b d"], z2: Float[Tensor, "b d"], *, temperature: float = 0.1, small: Small = None
) -> Float[Tensor, ""]:
    """Decoupled contrastive loss: l_i = -a_i + r_i(1). The positive is not in the denominator.

    NT-Xent's gradient is this one times 1 - p_i, p_i the share of the positive: small where images are few, and
    learning stops. log(2B - 2) if all embeddings are equal; unbounded below.  Yeh et al., ECCV 2022, arXiv 2110.06848.
    """
    rows = _Rows(z1, z2, temperature, small)
    return (rows.repelled() - rows.attracted).mean()


def dclw(
    z1: Float[Tensor, "b d"],
    z2: Float[Tensor, "b d"],
    *,
    temperature: float = 0.1,
    sigma: int | float = 0.5,
    small: Small = None,
) -> Float[Tensor, ""]:
    """`dcl` with weighted positives: l_i = -w_i a_i + r_i(1), w_i = 2 - e^{c_i / sigma} / mean e^{c / sigma}.

    c_i is the cosine to the positive: pairs that are far apart weigh more. Weights have mean 1 and no gradient.
    sigma > 0.  arXiv 2110.06848, section 3.
    """
    rows = _Rows(z1, z2, temperature, small)
    weight = 2 - len(rows.z) * torch.softmax(rows.cosine.detach() / sigma, dim=0)
    return (rows.repelled() - weight * rows.attracted).mean()


def flat_nce(
    z1: Float[Tensor, "b d"], z2: Float[Tensor, "b d"], *, temperature: float = 0.1, small: Small = None
) -> Float[Tensor, ""]:
    """FlatNCE: l_i = e^{v_i - sg(v_i)} - 1, v_i = r_i(1) - a_i. The gradient of `dcl`; sg stops it.

    Its own value is 0 whatever happens, so NT-Xent's value is added, without a gradient, for the eye.
    Chen et al., arXiv 2107.01152, eq. 8.
    """
    rows = _Rows(z1, z2, temperature, small)
    v = rows.repelled() - rows.attracted
    still = v.detach()
    return ((v - still).exp() - 1 + F.softplus(still)).mean()


def debiased(
    z1: Float[Tensor, "b d"],
    z2: Float[Tensor, "b d"],
    *,
    temperature: float = 0.5,
    tau_plus: float = 0.1,
    small: Small = None,
) -> Float[Tensor, ""]:
    """Debiased contrastive loss: takes the images of the anchor's own class out of the negatives, by their share.

        N_i = max( (e^{r_i(1)} - N tau_plus e^{a_i}) / (1 - tau_plus),  N e^{-1/tau} ),   N = 2B - 2
        l_i = -a_i + log(e^{a_i} + N_i)

    tau_plus  share of images that are of the anchor's class, in [0, 1); 0 is NT-Xent

    log(2B - 1) if all embeddings are equal. Where the floor holds, negatives get no gradient.
    Chuang et al., NeurIPS 2020, arXiv 2007.00224, eq. 8.
    """
    rows = _Rows(z1, z2, temperature, small)
    return _debiased(rows, rows.repelled(), tau_plus)


def hard_negatives(
    z1: Float[Tensor, "b d"],
    z2: Float[Tensor, "b d"],
    *,
    temperature: float = 0.5,
    tau_plus: float = 0.1,
    beta: int | float = 1,
    small: Small = None,
) -> Float[Tensor, ""]:
    """`debiased` with negatives weighted by how near they are: w_ij = e^{beta s_ij} / mean_k e^{beta s_ik}.

    log sum_j w_ij e^{s_ij} = r_i(1 + beta) - r_i(beta) + log N. Weights have a gradient, as in the authors' code.
    beta >= 0; 0 is `debiased`.  Robinson et al., ICLR 2021, arXiv 2010.04592, eq. 4.
    """
    rows = _Rows(z1, z2, temperature, small)
    weighted = rows.repelled(1 + beta) - rows.repelled(beta) + math.log(rows.negatives)
    return _debiased(rows, weighted, tau_plus)


def _debiased(rows: _Rows, repelled: Tensor, tau_plus: float) -> Tensor:
    if not 0 <= tau_plus < 1:
        raise ValueError(f"tau_plus is the share of a class, in [0, 1), not {tau_plus}")
    most = 1 / rows.temperature  # no exponent is larger; float64, for the floor is e^{-2 / tau} of that
    a, r = rows.attracted.double() - most, repelled.double() - most
    others = (r.exp() - rows.negatives * tau_plus * a.exp()) / (1 - tau_plus)
    floor = rows.negatives * math.exp(-2 * most)
    return ((a.exp() + others.clamp(min=floor)).log() - a).mean().to(rows.z.dtype)


def hard_contrastive(
    z1: Float[Tensor, "b d"],
    z2: Float[Tensor, "b d"],
    *,
    temperature: float = 0.3,
    alpha: float = 0.0819,
    small: Small = None,
) -> Float[Tensor, ""]:
    """NT-Xent against the hardest negatives alone: those in the upper quantile of each row.

    alpha  share of the negatives that is kept, in (0, 1], rounded up to whole ones; those as near as the last are kept
           too. 1 is NT-Xent

    Which they are is chosen without a gradient. The default is the share that the paper keeps of a memory of all
    images of CIFAR-10, 4,095 of 50,000; here the negatives are those of a batch.
    Wang and Liu, CVPR 2021, arXiv 2012.09740, eq. 9.
    """
    rows = _Rows(z1, z2, temperature, small)
    return F.softplus(rows.repelled(alpha=alpha) - rows.attracted).mean()


def simple_contrastive(
    z1: Float[Tensor, "b d"],
    z2: Float[Tensor, "b d"],
    *,
    weight: float | None = None,
    alpha: float = 1.0,
    small: Small = None,
) -> Float[Tensor, ""]:
    """The contrastive loss at infinite temperature: l_i = -c_ip + weight Σ_j c_ij, c the cosines.

    weight  None: 1 / number of negatives that are kept; of all, in proportion the limit of NT-Xent's gradient
    alpha   share of the negatives that is kept, the hardest, as in `hard_contrastive`

    The gradient does not depend on how near anything is.  arXiv 2012.09740, eq. 8 and 10.
    """
    rows = _Rows(z1, z2, 1.0, small)
    least = rows.least(alpha)
    if least is not None:
        # Each row by its own count: those as near as the last that is kept are kept too.
        repelled, count = blockwise.row_sum(rows.anchors, rows.z, same=(rows.images, rows.images), least=least)
    else:
        to_all = (rows.anchors * rows.z.sum(dim=0)).sum(dim=1)  # candidates, the two of each row's image among them
        to_others = to_all - (rows.anchors * rows.other).sum(dim=1) - rows.cosine
        repelled, count = to_others, rows.z.new_tensor(rows.negatives)
    return ((repelled / count if weight is None else weight * repelled) - rows.cosine).mean()
