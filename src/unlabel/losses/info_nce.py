"""InfoNCE: tell the positive from the other candidates.

van den Oord, Li, Vinyals, Representation Learning with Contrastive Predictive Coding, arXiv 1807.03748, eq. 4
(without the batch mean). One kernel serves them all: SimCLR (in-batch), MoCo (candidates are keys and queue),
CLIP (two directions), decoupled contrastive learning (the positive excluded from the denominator).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


def info_nce(
    anchors: Float[Tensor, "a d"],
    candidates: Float[Tensor, "c d"],
    positive: Int[Tensor, "a"],
    *,
    temperature: float | Float[Tensor, ""],
    excluded: Bool[Tensor, "a c"] | None = None,
) -> Float[Tensor, "a"]:
    """Per anchor l_i = −s_ip + log Σ_{j not excluded} e^{s_ij}, with s_ij = a_iᵀ c_j / τ and p its positive.

    anchors     [a, d] as they are compared: normalise them for cosine similarity
    candidates  [c, d] among which each anchor has one positive
    positive    [a] column of each anchor's positive
    temperature τ > 0, a number or a learnt scalar
    excluded    [a, c] candidates that the denominator leaves out (an anchor itself; other images' keys when
                they are no negatives). Excluding the positive itself leaves −s⁺ + log Σ_negatives e^s, the
                decoupled loss.

    Returns one loss per anchor, so that rows can be chosen, weighted or split before the mean; rows do not
    depend on each other. At least float32 whatever the precision around it. With all rows equal: log(number
    of candidates left).
    """
    with torch.autocast(anchors.device.type, enabled=False):
        precision = torch.promote_types(anchors.dtype, torch.float32)
        logits = anchors.to(precision) @ candidates.to(precision).T / temperature  # [a, c]
        attracted = logits.gather(1, positive[:, None]).squeeze(1)  # [a]
        if excluded is not None:
            logits = logits.masked_fill(excluded, -torch.inf)
        return logits.logsumexp(dim=1) - attracted


def nt_xent(z1: Float[Tensor, "b d"], z2: Float[Tensor, "b d"], *, temperature: float) -> Float[Tensor, ""]:
    """NT-Xent: each of the 2B views must find the other view of its image among the 2B − 1 others.

    L = (1/2B) Σ_i [ −s_ip + log Σ_{k≠i} e^{s_ik} ], s_ij = cos(z_i, z_j) / τ, p the other view of i's image.

    z1, z2       [B, d] two views of the same B images (of all ranks, if there are several); normalised here
    temperature  τ > 0

    Returns the mean over all 2B anchors: log(2B − 1) if all embeddings are equal. (The authors' code returns
    the sum over the two views, twice this.)  Chen et al., SimCLR, arXiv 2002.05709, eq. 1.
    """
    precision = torch.promote_types(z1.dtype, torch.float32)
    z = F.normalize(torch.cat([z1, z2]).to(precision), dim=1)  # [2B, d]
    rows = torch.arange(len(z), device=z.device)
    itself = rows[:, None] == rows  # [2B, 2B]
    other_view = rows.roll(len(z1))  # row i -> i + B mod 2B
    return info_nce(z, z, other_view, temperature=temperature, excluded=itself).mean()
