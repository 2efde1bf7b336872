"""Hard negatives of one's own: a row of InfoNCE gets a candidate that no other row has."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from unlabel.losses.info_nce import info_nce
from unlabel.losses.unit import unit


def with_negative(
    loss: Float[Tensor, "b"], positive: Float[Tensor, "b"], negative: Float[Tensor, "b"]
) -> Float[Tensor, "b"]:
    """InfoNCE with one more negative for each row: l' = l + log(1 + e^{s_n} / sum_j e^{s_j}).

    loss      [B] = l, of rows that have their positive among the candidates
    positive  [B] = s_p, the positive's similarity, divided by the temperature; sum_j e^{s_j} = e^{l + s_p}
    negative  [B] = s_n, the new candidate's, divided by the temperature; -inf for rows without: they stay as they are

    Never below l.  Ryali, Schwab, Morcos, arXiv 2103.12719 (BG_Swaps).
    """
    return loss + F.softplus(negative - (loss + positive))


def nt_xent_matched(
    z1: Float[Tensor, "b d"],
    z2: Float[Tensor, "b d"],
    negative: Float[Tensor, "b d"],
    matched: Bool[Tensor, "b"],
    *,
    temperature: float,
) -> Float[Tensor, ""]:
    """NT-Xent in which the anchors of the first view have a hard negative each, where they are matched with one.

    z1, z2    [B, d] two views of the same B images (of all ranks, if there are several); normalised here
    negative  [B, d] what looks like the first view and shows something else; normalised here
    matched   [B] whether there is such a thing; where not, what `negative` holds does not matter

    The mean over all 2B anchors; `nt_xent` if none is matched. log(2B - 1) + log(2B / (2B - 1)) / 2 if all are and all
    embeddings are equal.  Ryali, Schwab, Morcos, arXiv 2103.12719.
    """
    z = unit(torch.cat([z1, z2]))  # [2B, d]
    rows = torch.arange(len(z), device=z.device)
    other_view = rows.roll(len(z1))
    losses = info_nce(z, z, other_view, temperature=temperature, same=(rows, rows))
    positive = (z * z[other_view]).sum(dim=1) / temperature
    own = (z[: len(z1)] * unit(negative)).sum(dim=1) / temperature
    own = own.masked_fill(~matched, -torch.inf)
    return with_negative(losses, positive, torch.cat([own, torch.full_like(own, -torch.inf)])).mean()
