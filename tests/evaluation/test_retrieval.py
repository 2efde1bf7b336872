"""Retrieval by class: a loop over sorted lists, other libraries, closed forms, and chance by simulation."""

import numpy as np
import pytest
import torch

from tests.evaluation.test_knn import clouds
from unlabel.evaluation import retrieval as module
from unlabel.evaluation.retrieval import chance, class_retrieval


def by_hand(cosine, labels, query_labels, ks, alone=False):
    """The scores of one ranking after the other; cosine [m, n]."""
    scores = []
    for i, label in enumerate(query_labels.tolist()):
        order = [j for j in np.argsort(-cosine[i]) if not (alone and i == j)]
        hits = [bool(labels[j] == label) for j in order]
        if not any(hits):
            continue
        at = [sum(hits[: r + 1]) / (r + 1) if hit else 0.0 for r, hit in enumerate(hits)]
        several = sum(hits)
        scores.append([sum(at) / several, sum(at[:several]) / several, *(any(hits[:k]) for k in ks)])
    return 100 * np.mean(scores, axis=0), len(scores)


def check(found, expected):
    numbers, queries = expected
    assert [found.map, found.map_at_r, *found.recall.values()] == pytest.approx(list(numbers), abs=1e-6)
    assert found.queries == queries


@pytest.mark.parametrize("chunk", [1 << 22, 170])
def test_against_a_loop(monkeypatch, chunk):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    m, labels = clouds(83, spread=2.0)
    q, q_labels = clouds(30, classes=5, spread=2.0, seed=1)  # of the fifth class there is no candidate
    cosine = torch.cosine_similarity(q[:, None].double(), m[None].double(), dim=2).numpy()
    found = class_retrieval(m, labels, q, q_labels, ks=(1, 3, 10))
    check(found, by_hand(cosine, labels, q_labels, (1, 3, 10)))
    assert found.queries == 24 and list(found.recall) == [1, 3, 10]


@pytest.mark.parametrize("chunk", [1 << 22, 170])
def test_leaving_one_out_against_a_loop(monkeypatch, chunk):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    x, labels = clouds(61, spread=2.0)
    labels[7] = 9  # alone in its class
    cosine = torch.cosine_similarity(x[:, None].double(), x[None].double(), dim=2).numpy()
    check(class_retrieval(x, labels, ks=(1, 5)), by_hand(cosine, labels, labels, (1, 5), alone=True))


def test_average_precision_is_that_of_other_libraries():
    metrics = pytest.importorskip("sklearn.metrics")
    retrieval = pytest.importorskip("torchmetrics.functional.retrieval")
    m, labels = clouds(200, spread=2.0)
    q, q_labels = clouds(40, spread=2.0, seed=1)
    cosine = torch.cosine_similarity(q[:, None], m[None], dim=2)
    found = class_retrieval(m, labels, q, q_labels)
    truth = [labels == label for label in q_labels]
    theirs = [metrics.average_precision_score(t.numpy(), c.numpy()) for c, t in zip(cosine, truth, strict=True)]
    assert found.map == pytest.approx(100 * np.mean(theirs), abs=1e-4)
    hits = [retrieval.retrieval_hit_rate(c, t, top_k=5) for c, t in zip(cosine, truth, strict=True)]
    assert found.recall[5] == pytest.approx(100 * np.mean(hits), abs=1e-4)


def test_map_at_r_is_that_of_the_paper():
    calculator = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    x, labels = clouds(60, spread=2.0)
    x = torch.nn.functional.normalize(x)
    knn = pytest.importorskip("pytorch_metric_learning.utils.inference").CustomKNN(
        pytest.importorskip("pytorch_metric_learning.distances").CosineSimilarity()
    )
    theirs = calculator.AccuracyCalculator(include=("mean_average_precision_at_r", "precision_at_1"), knn_func=knn)
    expected = theirs.get_accuracy(x, labels)  # leaves one out
    found = class_retrieval(x, labels)
    assert found.map_at_r == pytest.approx(100 * expected["mean_average_precision_at_r"], abs=1e-3)
    assert found.recall[1] == pytest.approx(100 * expected["precision_at_1"], abs=1e-3)


def test_a_ranking_by_hand():
    angles = torch.tensor([0.1, 0.2, 0.3, 0.4])  # from the query
    found = class_retrieval(
        torch.stack([angles.cos(), angles.sin()], dim=1), torch.tensor([1, 0, 1, 0]),
        torch.tensor([[2.0, 0.0]]), torch.tensor([0]), ks=(1, 2, 50),
    )  # fmt: skip
    assert found.as_dict() == pytest.approx(
        {"mAP": 50.0, "mAP@R": 25.0, "recall@1": 0.0, "recall@2": 100.0, "recall@50": 100.0}
    )


def test_classes_apart_are_perfect_and_lengths_do_not_matter():
    x = torch.eye(3).repeat_interleave(4, dim=0) * torch.linspace(0.1, 9, 12)[:, None]
    labels = torch.arange(3).repeat_interleave(4)
    assert list(class_retrieval(x, labels).as_dict().values()) == pytest.approx([100.0] * 5)


@pytest.mark.parametrize("vector", [0.0, 1.0])
def test_vectors_that_say_nothing_put_all_others_first(vector):
    labels = torch.tensor([0, 0, 1, 1, 1])
    found = class_retrieval(torch.full((5, 3), vector), labels, ks=(1,))
    first = (1 / 4, (1 / 3 + 2 / 4) / 2)  # AP where one, two of four candidates come last
    assert found.map == pytest.approx(100 * (2 * first[0] + 3 * first[1]) / 5) and found.recall[1] == 0


def test_chance_is_what_random_orders_score():
    labels, q_labels = torch.tensor([0] * 9 + [1] * 3 + [2]), torch.tensor([0, 1, 1, 2, 7])
    draw = np.random.default_rng(0)
    many = [by_hand(draw.normal(size=(5, 13)), labels, q_labels, (1, 3))[0] for _ in range(1000)]
    found = chance(labels, q_labels, ks=(1, 3))
    expected = np.mean(many, axis=0)
    assert [found.map, found.map_at_r, *found.recall.values()] == pytest.approx(expected, abs=1.5)
    assert found.queries == 4
    alone = [by_hand(draw.normal(size=(13, 13)), labels, labels, (1, 3), alone=True)[0] for _ in range(400)]
    found = chance(labels, ks=(1, 3))
    assert [found.map, found.map_at_r, *found.recall.values()] == pytest.approx(np.mean(alone, axis=0), abs=1.5)
    assert found.queries == 12


def test_chance_of_one_class_is_certainty():
    labels = torch.zeros(6, dtype=torch.int64)
    assert list(chance(labels).as_dict().values()) == pytest.approx([100.0] * 5)


def test_bad_input():
    x, labels = torch.eye(3), torch.arange(3)
    for ask in (class_retrieval, lambda x, labels: chance(labels)):
        with pytest.raises(ValueError, match="candidate of its class"):
            ask(x, labels)  # each alone in its class
        with pytest.raises(ValueError, match="candidate of its class"):
            ask(x[:0], labels[:0])
    with pytest.raises(ValueError, match="finite"):
        class_retrieval(x / 0, labels, x, labels)
