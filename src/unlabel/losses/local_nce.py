"""Across scales: a vector must find the local features of its own image among those of other images."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

HELD = 2**24
"""Up to so many scores are held at once (64 MiB in float32); of more, the backward pass makes each part again."""


def local_nce(
    source: Float[Tensor, "a d"], target: Float[Tensor, "b l d"], own: Int[Tensor, "a"], *, clip: int | float = 20
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The mean over sources i and places l of

        -r_il + log( e^{r_il} + sum_{j != own(i), l'} e^{r_ijl'} )
        r = clip tanh(s / clip),    s = <source, target> / sqrt(d)

    where r_il is the score of place l of i's own image. Each place is told from all places of all other
    images, and from no other place of its own.

    source  [A, d] vectors that look for their image; not normalised
    target  [B, L, d] features of B > 1 images at L places (of all ranks, if there are several)
    own     [A] the row of `target` that is the source's image
    clip    scores stay below it, smoothly

    Returns the loss, log(1 + (B - 1) L) if all scores are equal, and the mean of s² over all scores before they are
    clipped, which the method keeps small. At least float32 whatever the precision around it.
    Bachman, Hjelm, Buchwalter, AMDIM, NeurIPS 2019, arXiv 1906.00910, sections 3.2 and 3.3.
    """
    if len(target) < 2:
        raise ValueError("one image has no negatives: a batch must hold two at least")
    with torch.autocast(source.device.type, enabled=False):
        precision = torch.promote_types(source.dtype, torch.float32)
        source, target = source.to(precision), target.to(precision)
        scores = target.shape[0] * target.shape[1]  # of one source
        parts = list(zip(source.split(max(1, HELD // scores)), own.split(max(1, HELD // scores)), strict=True))
        if len(parts) == 1:
            loss, squares = _sums(source, target, own, clip)
        else:
            found = [checkpoint(_sums, s, target, o, clip, use_reentrant=False) for s, o in parts]
            loss, squares = (torch.stack(values).sum() for values in zip(*found, strict=True))
    return loss / (len(source) * target.shape[1]), squares / (len(source) * scores)


def _sums(source: Tensor, target: Tensor, own: Tensor, clip: int | float) -> tuple[Tensor, Tensor]:
    """The sum of the losses, and of the squared scores."""
    score = (source @ target.flatten(0, 1).T / source.shape[1] ** 0.5).unflatten(1, target.shape[:2])  # [A, B, L]
    clipped = clip * torch.tanh(score / clip)
    rows = torch.arange(len(source), device=source.device)
    mine = torch.zeros(score.shape[:2], dtype=torch.bool, device=score.device)
    mine[rows, own] = True
    others = clipped.masked_fill(mine[:, :, None], -torch.inf).flatten(1).logsumexp(dim=1)  # [A]
    attracted = clipped[rows, own]  # [A, L]
    return (torch.logaddexp(attracted, others[:, None]) - attracted).sum(), score.square().sum()
