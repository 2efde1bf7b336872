"""Which image is it? The objective of methods that remember one vector of every image."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from unlabel.losses.info_nce import info_nce
from unlabel.losses.nce import nce


def instance_discrimination(
    z: Float[Tensor, "b d"],
    index: Int[Tensor, "b"],
    rows: Float[Tensor, "n d"],
    *,
    temperature: int | float,
    drawn: Int[Tensor, "m"] | None = None,
    log_z: Float[Tensor, ""] | None = None,
) -> Float[Tensor, "b"]:
    """Per anchor −log p(i | z), or an estimate of it, with p(j | z) = e^{s_j} / Z, s_j = z·v_j / τ and i its image.

    z            [b, d] unit vectors
    index        [b] which image each is of
    rows         [n, d] v_j, what is remembered of every image
    temperature  τ > 0
    drawn        [m] the images that serve as negatives, m ≥ 1 uniform draws from all n, the own one among them or not
    log_z        log Z, where it is taken for a constant

    Without `drawn`: −s_i + log Σ_j e^{s_j}, the softmax over all images.                             log n at collapse
    With `drawn`: −s_i + log(e^{s_i} + Σ_k e^{s_k}), the softmax over its own and the drawn ones.      log(1 + m)
    With `drawn` and `log_z`: noise-contrastive estimation with noise of density 1/n,
    −log h_i − Σ_k log(1 − h_k), h = p / (p + m/n); (m + 1) log(m + 1) − m log m where p = 1/n everywhere.

    At least float32 whatever the precision around it; nothing of size b × n is held. Wu, Xiong, Yu, Lin, arXiv
    1805.01978, section 3.
    """
    if drawn is None:
        return info_nce(z, rows, index, temperature=float(temperature))
    with torch.autocast(z.device.type, enabled=False):
        precision = torch.promote_types(z.dtype, torch.float32)
        z, rows = z.to(precision), rows.to(precision)
        own = (z * rows[index]).sum(dim=1) / temperature  # [b]
        others = z @ rows[drawn].T / temperature  # [b, m]
        if log_z is None:
            return F.softplus(others.logsumexp(dim=1) - own)
        return nce(own - log_z, others - log_z, log_noise_density=-math.log(len(rows)))


def uninformed(images: int, *, drawn: int, nce: bool) -> float:
    """The value of `instance_discrimination` where every image is as likely as any other: it knows nothing.

    images  n, how many are remembered
    drawn   m, how many serve as negatives; 0: all of them
    nce     noise-contrastive estimation, not the softmax, of those that are drawn
    """
    if not drawn:
        return math.log(images)
    return (drawn + 1) * math.log(drawn + 1) - drawn * math.log(drawn) if nce else math.log(1 + drawn)
