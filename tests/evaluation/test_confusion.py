"""Confusion counts by hand and against scikit-learn; the most confused pairs."""

import numpy as np
from sklearn.metrics import confusion_matrix

from unlabel.evaluation.confusion import confusion, most_confused


def test_counts_by_hand() -> None:
    found = confusion(np.array([0, 1, 1, 2, 0, 0]), np.array([0, 0, 1, 2, 2, 2]), 4)
    assert found["counts"] == [[1, 1, 0, 0], [0, 1, 0, 0], [2, 0, 1, 0], [0, 0, 0, 0]]
    assert (found["images"], found["classes"], found["pairs"]) == (6, 4, None)
    assert most_confused(found["counts"]) == [
        {"truth": 2, "said": 0, "count": 2, "of": 3},
        {"truth": 0, "said": 1, "count": 1, "of": 2},
    ]


def test_as_scikit_learn_counts() -> None:
    rng = np.random.default_rng(0)
    truth, said = rng.integers(0, 100, 3_000), rng.integers(0, 100, 3_000)
    truth[0] = said[1] = 99
    assert confusion(said, truth)["counts"] == confusion_matrix(truth, said, labels=range(100)).tolist()


def test_beyond_a_hundred_classes_only_the_worst_pairs_are_kept() -> None:
    rng = np.random.default_rng(1)
    truth, said = rng.integers(0, 101, 5_000), rng.integers(0, 101, 5_000)
    truth[:3], said[:3] = 100, 7
    found = confusion(said, truth, 101)
    assert found["counts"] is None and len(found["pairs"]) == 30
    assert found["pairs"] == most_confused(confusion_matrix(truth, said, labels=range(101)).tolist())


def test_a_class_that_the_probe_does_not_know_and_no_mistake() -> None:
    assert confusion(np.array([0, 0]), np.array([0, 2]), 2)["counts"] == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert most_confused([[3, 0], [0, 2]]) == []


def test_of_equally_many_the_larger_share_comes_first() -> None:
    pairs = most_confused([[8, 2, 0], [0, 2, 2], [0, 0, 0]])
    assert [(pair["truth"], pair["of"]) for pair in pairs] == [(1, 4), (0, 10)]
    assert len(most_confused(np.ones((8, 8), int).tolist())) == 30
