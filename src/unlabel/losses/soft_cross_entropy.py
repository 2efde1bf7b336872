"""Cross-entropy with soft targets: of one view, and of all pairs of different views."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def soft_cross_entropy(
    targets: Float[Tensor, "b k"], logits: Float[Tensor, "b k"], *, temperature: float
) -> Float[Tensor, ""]:
    """H = −mean_b Σ_k P_bk log softmax(s_b / τ)_k.

    targets      [B, K] P, rows sum to 1; the caller stops their gradient
    logits       [B, K] s
    temperature  τ > 0

    Returns KL(P ‖ softmax) + entropy(P): log K for equal logits, whatever P; at least float32.
    """
    with torch.autocast(logits.device.type, enabled=False):
        precision = torch.promote_types(logits.dtype, torch.float32)
        log_p = F.log_softmax(logits.to(precision) / temperature, dim=-1)  # [B, K]
        return -(targets.to(precision) * log_p).sum(dim=-1).mean()


def swapped_cross_entropy(
    targets: Float[Tensor, "u b k"], logits: Float[Tensor, "v b k"], *, temperature: float
) -> Float[Tensor, ""]:
    """Every view predicts the targets of every other view: the mean of H(P_u, softmax(s_v / τ)) over u ≠ v.

    L = 1/(U(V − 1)) Σ_u Σ_{v≠u} −mean_b Σ_k P_ubk log softmax(s_vb / τ)_k.

    targets      [U, B, K] P, rows sum to 1: targets of the first U views
    logits       [V, B, K] s of all V views in the same order, V ≥ U, V ≥ 2
    temperature  τ > 0

    Returns the mean over the U(V − 1) pairs; at least float32. Caron et al., DINO, arXiv 2104.14294, eq. 3
    (there a sum over pairs; the authors' code takes the mean, and so does this).
    """
    with torch.autocast(logits.device.type, enabled=False):
        precision = torch.promote_types(logits.dtype, torch.float32)
        log_p = F.log_softmax(logits.to(precision) / temperature, dim=-1)  # [V, B, K]
        pairs = targets.to(precision).flatten(1) @ log_p.flatten(1).T  # [U, V], sums over images and entries
    u, v = pairs.shape
    same = torch.eye(u, v, dtype=torch.bool, device=pairs.device)
    return -pairs.masked_fill(same, 0).sum() / (u * (v - 1) * targets.shape[1])
