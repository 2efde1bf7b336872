"""Clustering: agreement by hand, by every matching and by pairs; chance; k-means on what has one answer."""

from itertools import combinations, permutations

import numpy as np
import pytest
import torch

from tests.evaluation.test_knn import clouds
from unlabel.evaluation.clustering import agreement, by_chance, kmeans, matched


def test_names_of_clusters_do_not_matter():
    labels = np.array([0, 0, 1, 1, 2, 2])
    assert agreement(np.array([7, 7, 3, 3, 5, 5]), labels) == pytest.approx({"NMI": 100, "ARI": 100, "accuracy": 100})


def test_by_hand():
    clusters, labels = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 0])
    found = agreement(clusters, labels)
    assert found["accuracy"] == pytest.approx(100 * 4 / 6)
    information = np.log(2) - (2 / 3 * np.log(3 / 2) + 1 / 3 * np.log(3))  # both entropies are log 2
    assert found["NMI"] == pytest.approx(100 * information / np.log(2))


def test_the_adjusted_index_counts_pairs():
    draw = np.random.default_rng(0)
    clusters, labels = draw.integers(0, 4, 40), draw.integers(0, 3, 40)
    pairs = list(combinations(range(40), 2))
    same = np.array([(clusters[i] == clusters[j], labels[i] == labels[j]) for i, j in pairs])
    both, one, other = (same[:, 0] & same[:, 1]).sum(), same[:, 0].sum(), same[:, 1].sum()
    expected = one * other / len(pairs)
    assert agreement(clusters, labels)["ARI"] == pytest.approx(100 * (both - expected) / ((one + other) / 2 - expected))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_matching_is_the_best_of_all(count):
    draw = np.random.default_rng(count)
    clusters, labels = draw.integers(0, count, 30), draw.integers(0, 3, 30)
    most = max(
        np.mean([names[c] == y for c, y in zip(clusters, labels, strict=True)])
        for names in permutations(range(max(count, 3)), count)
    )
    assert matched(clusters, labels) == pytest.approx(most)


def test_clusters_that_know_nothing_score_as_by_chance():
    draw = np.random.default_rng(0)
    clusters, labels = draw.integers(0, 20, 400), draw.integers(0, 20, 400)
    found, expected = agreement(clusters, labels), by_chance(clusters, labels)
    assert found["NMI"] == pytest.approx(expected["NMI"], abs=2) and expected["NMI"] > 15
    assert found["accuracy"] == pytest.approx(expected["accuracy"], abs=2) and abs(expected["ARI"]) < 0.5
    assert by_chance(labels, labels) == by_chance(labels, labels) != by_chance(labels, labels, seed=1)
    assert by_chance(labels, labels)["accuracy"] < 20  # though they agree in everything


def test_clouds_apart_are_found_whatever_their_length():
    x, labels = clouds(120, spread=0.02)
    found = kmeans(x * torch.linspace(0.1, 30, 120)[:, None], 4)
    assert agreement(found, labels.numpy())["ARI"] == pytest.approx(100)
    assert np.array_equal(found, kmeans(x, 4))


def test_fewer_images_or_fewer_different_ones_than_clusters(recwarn):
    assert sorted(kmeans(torch.eye(3), 10)) == [0, 1, 2]
    same = kmeans(torch.ones(8, 2), 3)
    assert len(np.unique(same)) == 1
    assert agreement(same, np.arange(8) % 2) == pytest.approx({"NMI": 0, "ARI": 0, "accuracy": 50})
    assert not recwarn
