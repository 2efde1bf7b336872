"""Augmenting patches of an image one by one, so that neighbours share less than their content."""

import torch
from torch import Tensor


def drop_and_flip(patches: Tensor, u: Tensor, *, drop: float, flip: float) -> Tensor:
    """Patches [B, G, G, C, p, p] of which some keep a single channel and some are mirrored left to right.

    u     [B, G, G, 3] uniform in [0, 1): which channel is kept, whether the others are dropped, whether it is mirrored
    drop  the share of patches that lose all channels but one; in their place is 0, the mean of normalised pixels
    flip  the share of patches that are mirrored

    Doersch, Gupta, Efros, arXiv 1505.05192, section 3 (colour dropping); CPC v2, arXiv 1905.09272, section 2.3.
    """
    channels = patches.shape[3]
    kept = (u[..., :1] * channels).long() == torch.arange(channels, device=u.device)  # [B, G, G, C]
    kept = kept | (u[..., 1:2] >= drop)
    mirrored = (u[..., 2] < flip)[..., None, None, None]
    return torch.where(mirrored, patches.flip(-1), patches) * kept[..., None, None]
