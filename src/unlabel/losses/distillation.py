"""Distillation: a student says of an image what its teacher says."""

import torch
from jaxtyping import Float
from torch import Tensor

from unlabel.losses.soft_cross_entropy import soft_cross_entropy


def distillation(
    teacher: Float[Tensor, "b k"], student: Float[Tensor, "b k"], *, temperature: int | float = 1.0
) -> Float[Tensor, ""]:
    """L = −τ² mean_b Σ_k P_bk log Q_bk with P = softmax(t / τ) and Q = softmax(s / τ).

    teacher      [B, K] logits t; they get no gradient
    student      [B, K] logits s
    temperature  τ > 0; above 1 the wrong classes count for more

    Returns τ² (KL(P ‖ Q) + H(P)): τ² H(P), with gradient 0, where both say the same, and τ² log K for equal student
    logits. A softmax at τ shrinks gradients by 1/τ²; the factor makes up for it, and as τ grows the gradient becomes
    that of mean_b Σ_k (s − t)² / 2K, both centred. At least float32.
    Hinton, Vinyals, Dean, arXiv 1503.02531; Chen et al., SimCLR v2, arXiv 2006.10029, eq. 3 (there without τ²).
    """
    t = teacher.detach().to(torch.promote_types(teacher.dtype, torch.float32))
    p = (t / temperature).softmax(dim=-1)
    return temperature**2 * soft_cross_entropy(p, student, temperature=float(temperature))
