"""Two thousand embeddings on a plane, and who lies next to whom."""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from unlabel.evaluation.neighbours import neighbours
from unlabel.reporting.files import Embeddings

ROWS = 1_500  # points on the map
_FEW = 60  # below this t-SNE has too few neighbours to speak of
_SEED = 0


@dataclass(frozen=True)
class Map:
    """points [m, 2] in [0, 1], rows [m] = which embeddings they are, how = the method in words."""

    points: np.ndarray
    rows: np.ndarray
    how: str


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length one (a zero row stays zero)."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def embedding_map(embeddings: Embeddings, most: int | None = None) -> Map | None:
    """A map of at most so many embeddings (1,500), evenly taken, with a fixed seed. None below three points.

    t-SNE (van der Maaten & Hinton 2008) of the length-one embeddings after PCA to 50 directions, started from PCA, so
    that the coarse arrangement means something (Kobak & Berens 2019); PCA alone for few points and a collapsed cloud.
    """
    n, most = len(embeddings.vectors), most or ROWS
    if n < 3:
        return None
    rows = np.arange(n) if n <= most else np.linspace(0, n - 1, most).round().astype(int)
    x = unit(embeddings.vectors[rows].astype(np.float64))
    x = x - x.mean(0)
    if x.std() < 1e-7:
        return Map(np.full((len(rows), 2), 0.5), rows, "all embeddings are the same point")
    if x.shape[1] < 2:
        return Map(_framed(np.stack([x[:, 0], np.zeros(len(x))], 1)), rows, "the one feature, along a line")
    x = PCA(min(50, *x.shape), svd_solver="full", random_state=_SEED).fit_transform(x)
    # Two directions that hold something are the least that t-SNE can start from.
    if len(rows) < _FEW or x[:, 1].std() < 1e-6 * x[:, 0].std():
        return Map(_framed(x[:, :2]), rows, "PCA: the two directions of greatest variance")
    model = TSNE(
        perplexity=min(30.0, (len(rows) - 1) / 3),
        init="pca",
        learning_rate="auto",
        max_iter=500,
        angle=0.6,
        random_state=_SEED,
    )
    return Map(_framed(model.fit_transform(x)), rows, "t-SNE, started from PCA")


def others(embeddings: Embeddings, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other embeddings of each of the rows, by cosine distance 1 - cos.

    Returns (indices [m, k], distances [m, k]), nearest first; fewer columns where there are fewer others.
    """
    k = min(k, len(embeddings.vectors) - 1)
    vectors = torch.from_numpy(embeddings.vectors)
    index, distance = (found.numpy() for found in neighbours(vectors[torch.from_numpy(rows)], vectors, k + 1))
    # An image finds itself, but not always first: it may have twins. Without itself k are left, or k + 1 of k needed.
    itself = index == rows[:, None]
    order = np.argsort(itself, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(index, order, 1), np.take_along_axis(distance, order, 1)


def _framed(points: np.ndarray) -> np.ndarray:
    """Both axes on [0, 1] with one scale, centred."""
    low, high = points.min(0), points.max(0)
    scale = max((high - low).max(), 1e-12)
    return (points - (low + high) / 2) / scale + 0.5
