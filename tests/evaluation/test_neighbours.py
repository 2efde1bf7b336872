import numpy as np
import torch

from tests.evaluation.test_knn import clouds
from unlabel.evaluation import neighbours as module
from unlabel.evaluation.neighbours import neighbours


def test_by_brute_force():
    x, _ = clouds(60)
    q, _ = clouds(7, seed=1)
    index, distance = neighbours(q, x, 5)
    for row in range(7):
        apart = np.array([1 - float(torch.cosine_similarity(q[row], other, dim=0)) for other in x])
        np.testing.assert_array_equal(index[row].numpy(), apart.argsort()[:5])
        np.testing.assert_allclose(distance[row].numpy(), np.sort(apart)[:5], atol=1e-5)


def test_a_row_finds_itself_first():
    x, _ = clouds(30)
    index, distance = neighbours(x, x, 1)
    assert index[:, 0].tolist() == list(range(30)) and float(distance.max()) < 1e-6


def test_equal_distances_keep_their_order():
    index, _ = neighbours(torch.ones(1, 3), torch.ones(9, 3), 4)
    assert index.tolist() == [[0, 1, 2, 3]]


def test_k_is_clamped_chunks_change_nothing_and_nothing_is_asked(monkeypatch):
    x, _ = clouds(12)
    whole = neighbours(x, x, 50)
    assert whole[0].shape == (12, 12)
    monkeypatch.setattr(module, "_CHUNK", 30)
    for a, b in zip(whole, neighbours(x, x, 50), strict=True):
        torch.testing.assert_close(a, b)
    assert neighbours(x[:0], x, 3)[0].shape == (0, 3)


def test_the_first_are_those_of_a_stable_sort_of_the_whole_row():
    draw = torch.Generator().manual_seed(0)
    for kinds in (2, 40, 10**6):  # ties everywhere, at the last place of some rows, nowhere
        cosine = torch.randint(0, kinds, (50, 300), generator=draw).float()
        for k in (1, 7, 299, 300):
            wanted = cosine.sort(dim=1, descending=True, stable=True).indices[:, :k]
            assert torch.equal(module._first(cosine, k), wanted)
