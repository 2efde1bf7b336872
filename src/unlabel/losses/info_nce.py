"""InfoNCE: tell the positive from the other candidates.

van den Oord, Li, Vinyals, Representation Learning with Contrastive Predictive Coding, arXiv 1807.03748, eq. 4
(without the batch mean). One kernel serves them all: SimCLR (in-batch), MoCo (candidates are keys and queue),
CLIP (two directions), decoupled contrastive learning (the positive excluded from the denominator).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unlabel.losses import blockwise
from unlabel.losses.unit import unit


def info_nce(
    anchors: Float[Tensor, "a d"],
    candidates: Float[Tensor, "c d"],
    positive: Int[Tensor, "a"] | Int[Tensor, "a p"],
    *,
    temperature: float | Float[Tensor, ""],
    same: tuple[Int[Tensor, "a"], Int[Tensor, "c"]] | None = None,
) -> Float[Tensor, "a"]:
    """Per anchor l_i = −s_ip + log Σ_{j not left out} e^{s_ij}, with s_ij = a_iᵀ c_j / τ and p its positive.

    anchors     [a, d] as they are compared: normalise them for cosine similarity
    candidates  [c, d] among which each anchor has its positives
    positive    [a] column of each anchor's positive; or [a, p] columns of several, −1 where there are fewer: then
                −s_ip is their mean
    temperature τ > 0, a number or a learnt scalar
    same        names [a] and [c]: the denominator leaves out a candidate with the anchor's own name (an anchor
                itself, other views of its image; with the positive itself it is −s⁺ + log Σ_negatives e^s, the
                decoupled loss). Names cost no a × c memory.

    Returns one loss per anchor, so that rows can be chosen, weighted or split before the mean; rows do not
    depend on each other. At least float32 whatever the precision around it. With all rows equal: log(number
    of candidates left).

    On the host, and on accelerators from 2²⁴ similarities on, the matrix is not held but made tile by tile
    (`blockwise`), with the same result in memory O((a + c) d).
    """
    with torch.autocast(anchors.device.type, enabled=False):
        precision = torch.promote_types(anchors.dtype, torch.float32)
        alike = anchors is candidates
        anchors = anchors.to(precision)
        candidates = anchors if alike else candidates.to(precision)
        columns = positive if positive.ndim == 2 else positive[:, None]
        known, columns = columns >= 0, columns.clamp(min=0)  # [a, p]
        if blockwise.held_whole(anchors, candidates):
            logits = anchors @ candidates.T / temperature  # [a, c]
            attracted = logits.gather(1, columns)  # [a, p]
            if same is not None:
                logits = logits.masked_fill(same[0][:, None] == same[1], -torch.inf)
            repelled = logits.logsumexp(dim=1)
        else:
            own = [(anchors * candidates.index_select(0, p)).sum(dim=1) for p in columns.T]
            attracted = torch.stack(own, dim=1) / temperature
            k = torch.as_tensor(temperature, dtype=precision, device=anchors.device).reciprocal()
            repelled = blockwise.row_log_sum_exp(anchors, candidates, k, same=same)
        return repelled - (attracted * known).sum(dim=1) / known.sum(dim=1)


def nt_xent(
    z1: Float[Tensor, "b d"],
    z2: Float[Tensor, "b d"],
    *,
    temperature: float = 0.1,
    small: Float[Tensor, "b d"] | None = None,
    memory: Float[Tensor, "k d"] | None = None,
) -> Float[Tensor, ""]:
    """NT-Xent: each of the 2B views must find the other view of its image among the 2B − 1 others.

    L = (1/2B) Σ_i [ −s_ip + log Σ_{k≠i} e^{s_ik} ], s_ij = cos(z_i, z_j) / τ, p the other view of i's image.

    z1, z2       [B, d] two views of the same B images (of all ranks, if there are several); normalised here
    temperature  τ > 0; as in the paper on ImageNet
    small        [B, d] a small crop of each image: then they are the anchors, and the two views the candidates. Each
                 must find z1, and z2, of its image among the 2B − 1 rows that are not the other one of the two
    memory       [k, d] unit rows of other images, which are candidates of every anchor too

    Returns the mean over all anchors and positives: log(2B − 1 + k) if all embeddings are equal. (The authors' code
    returns the sum over the two views, twice this.)  Chen et al., SimCLR, arXiv 2002.05709, eq. 1.
    """
    z = unit(torch.cat([z1, z2]))  # [2B, d]
    rows = torch.arange(len(z), device=z.device)
    other_view = rows.roll(len(z1))  # row i -> i + B mod 2B
    candidates, names, other_names = z, rows, other_view  # the very same tensors: their matrix is symmetric
    if memory is not None:
        candidates, nobody = torch.cat([z, memory.to(z.dtype)]), rows.new_full((len(memory),), -1)
        names, other_names = torch.cat([rows, nobody]), torch.cat([other_view, nobody])
    if small is None:
        return info_nce(z, candidates, other_view, temperature=temperature, same=(rows, names)).mean()
    w, images = unit(small), rows[: len(small)]
    # Candidates are named so that of an anchor's own image the other view alone has the anchor's name.
    to_first = info_nce(w, candidates, images, temperature=temperature, same=(images, other_names))
    to_second = info_nce(w, candidates, images + len(z1), temperature=temperature, same=(images, names))
    return (to_first + to_second).mean() / 2


def nt_xent_of_crops(
    z1: Float[Tensor, "b d"],
    z2: Float[Tensor, "b d"],
    small: Sequence[Float[Tensor, "b d"]],
    *,
    temperature: float,
    memory: Float[Tensor, "k d"] | None = None,
) -> Float[Tensor, ""]:
    """The mean of `nt_xent` of two large views and that of each of any number of small crops of their images."""
    first = nt_xent(z1, z2, temperature=temperature, memory=memory)
    others = [nt_xent(z1, z2, small=w, temperature=temperature, memory=memory) for w in small]
    return torch.stack([first, *others]).mean()
