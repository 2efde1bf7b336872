"""PatchNCE: a patch of the output must find the same place of the input among other places of that input.

Park, Efros, Zhang, Zhu. Contrastive Learning for Unpaired Image-to-Image Translation. ECCV 2020,
arXiv 2007.15651, eq. 2-4.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from unlabel.losses.info_nce import info_nce


def patch_nce(
    query: Float[Tensor, "b s d"], key: Float[Tensor, "b s d"], *, temperature: float = 0.07
) -> Float[Tensor, "b s"]:
    """InfoNCE of every place of every image; the negatives are other places of the same image.

    l(b, s) = -log( e^{q_bs . k_bs / tau} / sum_{s'} e^{q_bs . k_bs' / tau} )

    query        [B, S, d] unit vectors of the output's patches
    key          [B, S, d] unit vectors of the input's patches at the same places; no gradient flows into them
    temperature  tau > 0

    Returns one loss per place: log S where the places cannot be told apart, near 0 where they are found with
    certainty. Images do not depend on each other. (The paper sums over places, the authors' code averages.)
    """
    places = torch.arange(query.shape[1], device=query.device)
    images = zip(query, key.detach(), strict=True)
    return torch.stack([info_nce(q, k, places, temperature=temperature) for q, k in images])
