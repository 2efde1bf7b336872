"""Which images are most similar?"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

_CHUNK = 1 << 24  # similarities held at once (64 MiB)


def neighbours(
    query_vectors: Float[Tensor, "m d"], vectors: Float[Tensor, "n d"], k: int
) -> tuple[Int[Tensor, "m k"], Float[Tensor, "m k"]]:
    """The k nearest rows of `vectors` for each query by cosine distance 1 - cos, nearest first.

    query_vectors  [m, D]
    vectors        [n, D] to search among
    k              how many, all n where there are fewer

    Returns (index [m, k] int64, distance [m, k] in [0, 2]). A query that is itself among `vectors` finds itself.
    Rows of equal distance come in the order in which they lie in `vectors`.
    """
    k = min(k, len(vectors))
    m = F.normalize(vectors, dim=1)
    index, distance = [], []
    for part in query_vectors.split(max(1, _CHUNK // max(1, len(m)))):
        cosine = F.normalize(part, dim=1) @ m.T  # [b, n]
        found = _first(cosine, k)
        index.append(found)
        distance.append((1 - cosine.gather(1, found)).clamp(0, 2))
    if not index:
        return torch.empty(0, k, dtype=torch.int64), query_vectors.new_empty(0, k)
    return torch.cat(index), torch.cat(distance)


def _first(cosine: Tensor, k: int) -> Tensor:
    """Positions [b, k] of the largest values; among equals the first, whatever the machine."""
    if k == cosine.shape[1]:
        return cosine.sort(dim=1, descending=True, stable=True).indices
    values, place = cosine.topk(k + 1, dim=1)
    tied = values[:, k - 1] == values[:, k]  # so that which of the equal ones are among the k is open
    first = place[:, :k].sort(dim=1).values
    first = first.gather(1, cosine.gather(1, first).sort(dim=1, descending=True, stable=True).indices)
    first[tied] = cosine[tied].sort(dim=1, descending=True, stable=True).indices[:, :k]
    return first
