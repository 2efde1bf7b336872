import math

import pytest
import torch
import torch.nn.functional as F

from unlabel.evaluation import knn
from unlabel.evaluation.knn import knn_accuracy, knn_predict


def clouds(n, classes=4, d=8, spread=1.0, seed=0):
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    centres = torch.randn(classes, d, generator=torch.Generator().manual_seed(99))
    return centres[labels] + spread * torch.randn(n, d, generator=g), labels


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (20, 0.07), (200, 0.1), (50, 1.0)])
def test_against_lightly(k, temperature):
    theirs = pytest.importorskip("lightly.utils.benchmarking").knn_predict
    m, m_labels = clouds(300)
    q, _ = clouds(100, seed=1)
    expected = theirs(F.normalize(q), F.normalize(m).T, m_labels, 4, knn_k=k, knn_t=temperature)[:, 0]
    assert torch.equal(knn_predict(m, m_labels, q, k=k, temperature=temperature), expected)


def test_one_near_neighbour_outvotes_two_far_ones_when_cold():
    m = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    labels = torch.tensor([0, 1, 1])
    q = F.normalize(torch.tensor([[1.0, 0.5]]))
    near, far = float(q[0, 0]), float(q[0, 1])
    turning = (near - far) / math.log(2)  # exp(near / T) = 2 exp(far / T)
    assert knn_predict(m, labels, q, temperature=0.99 * turning).tolist() == [0]
    assert knn_predict(m, labels, q, temperature=1.01 * turning).tolist() == [1]


def test_percent():
    m, labels = torch.eye(4), torch.arange(4)
    assert knn_accuracy(m, labels, torch.eye(4), torch.tensor([0, 1, 2, 0]), k=1) == 75.0


def test_k_is_clamped_and_length_does_not_matter():
    m, m_labels = clouds(10)
    q, q_labels = clouds(40, seed=1)
    all_ten = knn_accuracy(m, m_labels, q, q_labels, k=10)
    assert knn_accuracy(m, m_labels, q, q_labels, k=500) == all_ten
    assert knn_accuracy(7 * m, m_labels, q * 0.1, q_labels, k=10) == all_ten


def test_chunks_change_nothing(monkeypatch):
    m, m_labels = clouds(64)
    q, _ = clouds(33, seed=1)
    whole = knn_predict(m, m_labels, q)
    monkeypatch.setattr(knn, "_CHUNK", 64 * 5)
    assert torch.equal(knn_predict(m, m_labels, q), whole)


def test_very_cold_votes_do_not_overflow():
    m, m_labels = clouds(50)
    assert torch.equal(knn_predict(m, m_labels, m, temperature=1e-4), m_labels)


def test_no_images():
    with pytest.raises(ValueError, match="not 0 and 3"):
        knn_accuracy(torch.empty(0, 2), torch.empty(0, dtype=torch.int64), torch.eye(3, 2), torch.arange(3))
