"""All numbers about one cloud of embeddings, for a monitor line or an evaluation."""

from jaxtyping import Float
from torch import Tensor

from unlabel.diagnostics.hypersphere import alignment, uniformity
from unlabel.diagnostics.spectrum import dimensions_for, rank_of, singular_values
from unlabel.diagnostics.spread import feature_std, mean_cosine


def measure(
    x: Float[Tensor, "n d"],
    pairs: tuple[Float[Tensor, "m d"], Float[Tensor, "m d"]] | None = None,
    spectrum: Float[Tensor, "k"] | None = None,
) -> dict[str, float]:
    """What can be said about embeddings without labels.

    x         [n, D] embeddings of n >= 2 different images
    pairs     two times [m, D], embeddings of two views of m images, for the alignment
    spectrum  `singular_values(x)`, if they are at hand

    Returns {"images": n, "dimensions": D, "dimensions_99": directions that carry 99 % of the variance, "std",
    "mean_cosine", "uniformity", "effective_rank"} and, with pairs, "alignment"; each is explained at its function.
    One decomposition serves both spectrum numbers: 2,000 x 512 take about a third of a second on one slow core.
    """
    values = singular_values(x) if spectrum is None else spectrum
    found = {
        "images": float(len(x)),
        "dimensions": float(x.shape[1]),
        "dimensions_99": float(dimensions_for(values)),
        "std": feature_std(x),
        "mean_cosine": mean_cosine(x),
        "uniformity": uniformity(x),
        "effective_rank": rank_of(values),
    }
    if pairs is not None:
        found["alignment"] = alignment(*pairs)
    return found
