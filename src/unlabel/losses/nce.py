"""Noise-contrastive estimation: tell data from noise whose density is known, and learn the density of the data."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def nce(
    data: Float[Tensor, "b"],
    noise: Float[Tensor, "b k"],
    *,
    log_noise_density: tuple[Float[Tensor, "b"], Float[Tensor, "b k"]] | float,
) -> Float[Tensor, "b"]:
    """Per datum −log h(x) − Σ_k log(1 − h(x̃_k)), with h = σ(log p_m − log(K p_n)).

    data, noise        [B] and [B, K] log p_m, the model's unnormalised log density (a learnt log-normaliser included)
                       of each datum and of its K noise samples
    log_noise_density  log p_n of the same points; one number where noise is uniform

    The noise is drawn from p_n; a sum over K, not a mean. (K + 1) log(K + 1) − K log K where p_m = p_n.
    Gutmann and Hyvärinen, JMLR 13, 2012, eq. 8.
    """
    precision = torch.promote_types(data.dtype, torch.float32)
    of_data, of_noise = (
        log_noise_density if isinstance(log_noise_density, tuple) else (log_noise_density, log_noise_density)
    )
    k = math.log(noise.shape[1])
    return F.softplus(of_data + k - data.to(precision)) + F.softplus(noise.to(precision) - of_noise - k).sum(dim=1)
