"""Are prototypes used, and are images sure of theirs? What assignments to prototypes, or codes, look like.

Assignments p [n, K] are probabilities of n different images, rows that sum to 1; entropies are in nats. Two ways to
fail: every image says the same of all prototypes (both entropies are log K), or all images choose one (both are 0).
Learning is between them: images are sure, so the first entropy is low, and unlike each other, so the second is high.
Caron et al., DINO, ICCV 2021, arXiv 2104.14294, figure 7 (the teacher's entropy).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def assignment_entropy(p: Float[Tensor, "n k"]) -> float:
    """How unsure single images are: mean_i -sum_k p_ik log p_ik, in [0, log K]."""
    return measure_codes(p)["assignment_entropy"]


def code_entropy(p: Float[Tensor, "n k"]) -> float:
    """How evenly prototypes are used: the entropy of the mean assignment, in [`assignment_entropy`, log K].

    n images that are sure of themselves reach log n at most.
    """
    return measure_codes(p)["code_entropy"]


def codes_used(p: Float[Tensor, "n k"]) -> int:
    """How many prototypes are the likeliest one of at least one image, in [1, min(n, K)]."""
    return int(measure_codes(p)["codes_used"])


def largest_code(p: Float[Tensor, "n k"]) -> float:
    """The share of images whose likeliest prototype is the one that most images have, in [1 / min(n, K), 1]."""
    return measure_codes(p)["largest_code"]


def measure_codes(p: Float[Tensor, "n k"]) -> dict[str, float]:
    """All of it: {"assignment_entropy", "assignment_entropy_share", "code_entropy", "code_entropy_share",
    "codes" (K), "codes_used", "largest_code"}.

    The shares are those of log K; not a number with a single prototype. Raises ValueError unless rows are
    probabilities.
    """
    p = p.detach()
    if not len(p) or p.min() < 0 or (p.sum(dim=1) - 1).abs().max() > 1e-3:
        raise ValueError(
            f"assignments are probabilities whose rows sum to 1, of one image or more, not {list(p.shape)}"
        )
    most = math.log(p.shape[1])
    single = float(torch.special.entr(p).sum(dim=1).double().mean())
    together = float(torch.special.entr(p.mean(dim=0, dtype=torch.float64)).sum())
    counts = p.argmax(dim=1).bincount()
    return {
        "assignment_entropy": single,
        "assignment_entropy_share": single / most if most else math.nan,
        "code_entropy": together,
        "code_entropy_share": together / most if most else math.nan,
        "codes": p.shape[1],
        "codes_used": int((counts > 0).sum()),
        "largest_code": float(counts.max() / len(p)),
    }
