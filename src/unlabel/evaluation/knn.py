"""Weighted nearest neighbours: the labels of similar images vote, and nothing is trained."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from unlabel.evaluation.largest import largest

_CHUNK = 1 << 24  # similarities held at once (64 MiB)


def knn_accuracy(
    memory: Float[Tensor, "n d"],
    memory_labels: Int[Tensor, "n"],
    queries: Float[Tensor, "m d"],
    query_labels: Int[Tensor, "m"],
    *,
    k: int = 20,
    temperature: float = 0.07,
) -> float:
    """Top-1 accuracy in per cent of the vote  argmax_c sum_{i in N_k(q)} [y_i = c] exp( cos(q, m_i) / T ).

    memory         [n, D] features whose labels are known; normalised here
    memory_labels  [n] int64 >= 0
    queries        [m, D] features that are asked about
    query_labels   [m] int64 >= 0
    k              neighbours that vote, all n where there are fewer
    temperature    T; the smaller, the more the nearest decide

    Memory use is bounded by comparing a few queries at a time. Raises ValueError without images on either side.
    Wu, Xiong, Yu and Lin, CVPR 2018, arXiv 1805.01978, section 3.4.
    """
    if not len(memory) or not len(queries):
        raise ValueError(f"kNN needs images to remember and to ask about, not {len(memory)} and {len(queries)}")
    voted = knn_predict(memory, memory_labels, queries, k=k, temperature=temperature)
    return 100 * float((voted == query_labels.to(voted.device)).double().mean())


def knn_predict(
    memory: Float[Tensor, "n d"],
    memory_labels: Int[Tensor, "n"],
    queries: Float[Tensor, "m d"],
    *,
    k: int = 20,
    temperature: float = 0.07,
) -> Int[Tensor, "m"]:
    """The label that the neighbours of each query vote for; arguments as in `knn_accuracy`."""
    k = min(k, len(memory))
    m = F.normalize(memory, dim=1)
    labels = memory_labels.to(m.device)
    classes = int(labels.max()) + 1
    voted = []
    for part in queries.split(max(1, _CHUNK // len(m))):
        q = F.normalize(part.to(m.device), dim=1)
        cosine, neighbour = largest(q @ m.T, k)  # [b, k]
        weight = ((cosine - cosine[:, :1]) / temperature).exp()  # relative to the nearest: exp(1 / T) may overflow
        votes = weight.new_zeros(len(q), classes).scatter_add_(1, labels[neighbour], weight)
        voted.append(votes.argmax(dim=1))
    return torch.cat(voted)
