"""InfoNCE against a memory: each query has its own key, and negatives that all queries share."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unlabel.losses import blockwise


def queue_nce(
    q: Float[Tensor, "b d"], k: Float[Tensor, "b d"], negatives: Float[Tensor, "n d"], *, temperature: float
) -> Float[Tensor, "b"]:
    """Per query l_i = -q_i.k_i / tau + log( e^{q_i.k_i / tau} + sum_j e^{q_i.n_j / tau} ).

    q, k       [B, d] unit vectors of two views of the same images
    negatives  [N, d] unit vectors of other images, such as a queue's rows
    tau        temperature

    One loss per query. With all vectors equal: log(1 + N). At least float32.
    He et al., MoCo, arXiv 1911.05722, eq. 1.
    """
    with torch.autocast(q.device.type, enabled=False):
        precision = torch.promote_types(q.dtype, torch.float32)
        q, k, negatives = (x.to(precision) for x in (q, k, negatives))
        positive = (q * k).sum(dim=1) / temperature
        repelled = blockwise.row_log_sum_exp(q, negatives, q.new_tensor(1 / temperature))
        return F.softplus(repelled - positive)
