import numpy as np
import pytest
from scipy.spatial.distance import cdist

from unlabel.reporting.embedding_map import embedding_map, others
from unlabel.reporting.files import Embeddings


def embeddings(vectors: np.ndarray) -> Embeddings:
    n = len(vectors)
    return Embeddings([str(i) for i in range(n)], np.full(n, -1), vectors.astype(np.float32), np.arange(n))


def test_clusters_stay_together_and_the_map_repeats() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    vectors = 3 * np.eye(16)[labels] + 0.4 * rng.normal(size=(120, 16))
    found = embedding_map(embeddings(vectors))
    assert found is not None
    assert "t-SNE" in found.how
    assert found.points.min() >= 0
    assert found.points.max() <= 1
    apart = cdist(found.points, found.points) + 9 * np.eye(120)
    assert (labels[apart.argmin(1)] == labels).mean() > 0.95
    again = embedding_map(embeddings(vectors))
    assert again is not None
    np.testing.assert_allclose(again.points, found.points, atol=1e-6)


def test_many_rows_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlabel.reporting.embedding_map.ROWS", 20)
    found = embedding_map(embeddings(np.random.default_rng(0).normal(size=(200, 4))))
    assert found is not None
    assert len(found.points) == len(found.rows) == 20
    assert (found.rows[0], found.rows[-1]) == (0, 199)
    assert set(np.diff(found.rows)) <= {10, 11}


def test_few_points_lie_by_pca() -> None:
    found = embedding_map(embeddings(np.random.default_rng(0).normal(size=(10, 8))))
    assert found is not None
    assert "PCA" in found.how
    assert np.isfinite(found.points).all()


@pytest.mark.parametrize(
    "vectors",
    [
        np.ones((80, 8)),  # collapsed
        np.zeros((80, 8)),
        np.random.default_rng(0).normal(size=(80, 1)),
        np.outer(np.linspace(0.1, 1, 80), np.eye(8)[0]) + np.eye(8)[1],  # an arc: one direction and a bit
        np.concatenate([np.eye(8)[:1].repeat(40, 0), np.eye(8)[1:2].repeat(40, 0)]),  # two points
    ],
)
def test_degenerate_clouds_have_a_finite_map(vectors: np.ndarray) -> None:
    found = embedding_map(embeddings(vectors))
    assert found is not None
    assert found.points.shape == (80, 2)
    assert np.isfinite(found.points).all()


def test_no_map_of_two_points() -> None:
    assert embedding_map(embeddings(np.eye(2))) is None


def test_others_agree_with_the_slow_formula_and_leave_out_the_image_itself() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    vectors[[7, 8, 9, 10, 11]] = vectors[3]  # twins: five images at distance zero
    rows = np.array([3, 11, 20])
    nearest, distance = others(embeddings(vectors), rows, 4)
    exact = cdist(vectors[rows].astype(np.float64), vectors.astype(np.float64), "cosine")
    for i, row in enumerate(rows):
        assert row not in nearest[i]
        expected = np.sort(np.delete(exact[i], row))[:4]
        np.testing.assert_allclose(distance[i], expected, atol=1e-6)
        np.testing.assert_allclose(exact[i][nearest[i]], expected, atol=1e-6)


def test_others_of_few() -> None:
    nearest, _ = others(embeddings(np.eye(3)), np.arange(3), 8)
    assert nearest.tolist() == [[1, 2], [0, 2], [0, 1]]
