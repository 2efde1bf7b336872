"""Equal shares: soft assignments of samples to prototypes in which every prototype gets as much."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


@torch.no_grad()
def sinkhorn(scores: Float[Tensor, "n k"], *, epsilon: int | float = 0.05, iterations: int = 3) -> Float[Tensor, "n k"]:
    """Q = the matrix of e^{scores / epsilon} with its columns, then its rows, scaled to equal sums, `iterations` times.

    scores      [N, K] similarity of samples to prototypes (of all ranks' samples, if there are several)
    epsilon     > 0; towards 0 assignments become hard, towards infinity uniform
    iterations  at least 1; rows of Q sum to 1 exactly, columns to N / K nearly

    No gradient. Worked out in logarithms and at least float32, so no score is too large.
    Cuturi, NeurIPS 2013; Caron et al., SwAV, arXiv 2006.09882, section 3.1.
    """
    n, k = scores.shape
    log_q = scores.to(torch.promote_types(scores.dtype, torch.float32)) / epsilon
    for _ in range(iterations):
        log_q = log_q - log_q.logsumexp(dim=0, keepdim=True) + math.log(n / k)
        log_q = log_q.log_softmax(dim=1)
    return log_q.exp()
