import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from unlabel.diagnostics import chance_stability, kept_share, nearest, neighbour_stability


def test_neighbours_are_those_of_scikit_learn():
    x = torch.randn(60, 8)
    search = NearestNeighbors(n_neighbors=6, metric="cosine").fit(x.numpy())
    found = search.kneighbors(return_distance=False)  # without the rows themselves
    assert [set(row) for row in nearest(x, 5).tolist()] == [set(row[:5]) for row in found.tolist()]


def test_the_same_images_keep_their_neighbours():
    x = torch.randn(50, 8)
    q, _ = torch.linalg.qr(torch.randn(8, 8))
    assert neighbour_stability(x, x) == 1
    assert neighbour_stability(x, 3 * x @ q) == pytest.approx(1, abs=0.01)  # a tie may break the other way


def test_unrelated_embeddings_keep_what_chance_keeps():
    kept = [neighbour_stability(torch.randn(200, 16), torch.randn(200, 9)) for _ in range(10)]
    assert sum(kept) / 10 == pytest.approx(chance_stability(200), abs=0.01)
    assert chance_stability(200) == pytest.approx(10 / 199) and chance_stability(4) == 1


def test_by_hand():
    before = torch.tensor([[1, 2], [0, 2], [0, 1], [2, 1]])
    after = torch.tensor([[2, 1], [3, 2], [3, 1], [0, 3]])
    assert kept_share(before, after) == pytest.approx((1 + 0.5 + 0.5 + 0) / 4)


def test_a_line_moved_a_little():
    angle = torch.linspace(0, 3, 30)
    circle = torch.stack((angle.cos(), angle.sin()), dim=1)
    angle[10] += 1.0  # one image goes elsewhere
    moved = torch.stack((angle.cos(), angle.sin()), dim=1)
    assert 0.7 < neighbour_stability(circle, moved, 4) < 1


def test_few_images_have_few_neighbours():
    assert nearest(torch.randn(3, 4), 10).shape == (3, 2)
    assert neighbour_stability(torch.randn(3, 4), torch.randn(3, 4)) == 1  # everybody is a neighbour
    with pytest.raises(ValueError, match="two images"):
        nearest(torch.randn(1, 4))
