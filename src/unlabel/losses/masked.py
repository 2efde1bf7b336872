"""Regression of what was masked."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def masked_mse(
    prediction: Float[Tensor, "b n d"], target: Float[Tensor, "b n d"], mask: Bool[Tensor, "b n"]
) -> Float[Tensor, ""]:
    """The mean squared error of the masked patches: L = Σ_bi m_bi · mean_d (ŷ_bid − y_bid)² / Σ_bi m_bi.

    prediction  [B, N, d] ŷ
    target      [B, N, d] y
    mask        [B, N] m, True = masked = counted; one average over the masked patches of the whole batch

    Returns a scalar, at least float32; 0 where nothing is masked.
    He et al., MAE, arXiv 2111.06377, section 3: "only on masked patches".
    """
    precision = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    error = (prediction.to(precision) - target.to(precision)).square().mean(dim=-1)  # [B, N]
    return (error * mask).sum() / mask.sum().clamp(min=1)
