"""Clustering: do the groups that features fall into, without any label, agree with classes?

k-means on unit vectors gives each image a cluster c; its class is y. With mutual information I and entropy H, counted
over images,

    NMI       I(c; y) / mean(H(c), H(y))
    ARI       pairs of images on which both agree, scaled so that chance is 0 (Hubert and Arabie, Journal of
              Classification 2, 1985)
    accuracy  share of images whose cluster is matched with their class, by the one-to-one matching that makes it
              largest (Kuhn, Naval Research Logistics Quarterly 2, 1955)
"""

import warnings

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from torch import Tensor

RESTARTS = 10
SHUFFLES = 10


def kmeans(vectors: Float[Tensor, "n d"], clusters: int, *, seed: int = 0) -> Int[np.ndarray, "n"]:
    """The cluster of each vector: scikit-learn's k-means (Lloyd, from k-means++) on vectors of length 1.

    vectors   [n, D], n > 0
    clusters  how many, n where there are fewer vectors
    seed      of the starting points; of ten starts the one with the smallest squared distances counts

    Where fewer vectors than `clusters` differ, some clusters stay empty. The same every time on one machine with the
    same number of threads.
    """
    x = F.normalize(vectors, dim=1).cpu().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # equal vectors: said above
        return KMeans(min(clusters, len(x)), n_init=RESTARTS, random_state=seed).fit_predict(x)


def agreement(clusters: Int[np.ndarray, "n"], labels: Int[np.ndarray, "n"]) -> dict[str, float]:
    """{"NMI", "ARI", "accuracy"} in per cent; ARI is below zero where the two agree less than by chance."""
    return {
        "NMI": 100 * float(normalized_mutual_info_score(labels, clusters)),
        "ARI": 100 * float(adjusted_rand_score(labels, clusters)),
        "accuracy": 100 * matched(clusters, labels),
    }


def matched(clusters: Int[np.ndarray, "n"], labels: Int[np.ndarray, "n"]) -> float:
    """The share of images whose cluster is matched with their class; there may be more clusters, or more classes."""
    counts = contingency_matrix(labels, clusters)  # [classes, clusters]
    return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / counts.sum())


def by_chance(clusters: Int[np.ndarray, "n"], labels: Int[np.ndarray, "n"], *, seed: int = 0) -> dict[str, float]:
    """What clusters of these sizes score that know nothing: the mean `agreement` with shuffled labels, ten times.

    NMI and accuracy are above zero even then, the more so the more clusters there are.
    """
    draw = np.random.Generator(np.random.Philox(seed))
    found = [agreement(clusters, draw.permutation(labels)) for _ in range(SHUFFLES)]
    return {name: float(np.mean([scores[name] for scores in found])) for name in found[0]}
