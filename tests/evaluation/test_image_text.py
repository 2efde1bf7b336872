"""Naming and searching: the numbers by brute force, chance by simulation, no score for vectors that say nothing."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unlabel.evaluation import image_text as module
from unlabel.evaluation.image_text import class_vectors, retrieval, zero_shot

ONE_EACH = torch.arange(12).repeat(2, 1).T.contiguous()  # image i with text i


def vectors(n: int, d: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_zero_shot_by_brute_force(monkeypatch):
    images, classes, labels = vectors(40), vectors(9, seed=1), torch.arange(40) % 9
    cosine = torch.cosine_similarity(images[:, None], classes[None], dim=2).numpy()
    order = (-cosine).argsort(axis=1)
    for rows in (4096, 7):
        monkeypatch.setattr(module, "_ROWS", rows)
        found = zero_shot(images, labels, classes)
        hits = order == labels[:, None].numpy()
        assert found.top1 == pytest.approx(100 * hits[:, 0].mean()) and found.images == 40 and found.classes == 9
        assert found.top5 == pytest.approx(100 * hits[:, :5].any(axis=1).mean())
        assert found.chance1 == pytest.approx(100 / 9) and found.chance5 == pytest.approx(500 / 9)


def test_few_classes_have_no_top5():
    found = zero_shot(vectors(6), torch.arange(6) % 3, vectors(3, seed=1))
    assert found.top5 is None and found.chance5 is None and found.chance1 == pytest.approx(100 / 3)


@pytest.mark.parametrize("value", [1.0, float("nan")])
def test_vectors_that_say_nothing_do_not_score(value):
    same = torch.full((12, 4), value)
    assert zero_shot(same, torch.zeros(12, dtype=torch.int64), same[:9]).top1 == 0
    found = retrieval(same, same, ONE_EACH)
    for recall in (found.text_to_image, found.image_to_text):
        assert set(recall.at.values()) == {0.0}


def test_prompts_are_averaged_on_the_sphere():
    prompts = vectors(3 * 4).unflatten(0, (3, 4)) * torch.tensor([1.0, 50.0, 0.1, 3.0])[:, None]
    mean = F.normalize(prompts, dim=2).mean(dim=1)
    torch.testing.assert_close(class_vectors(prompts), mean / mean.norm(dim=1, keepdim=True))


def test_perfect_pairs_are_always_found():
    x = vectors(12)
    found = retrieval(x, 3 * x, ONE_EACH)
    assert found.text_to_image.at == found.image_to_text.at == {1: 100.0, 5: 100.0, 10: 100.0}
    assert found.text_to_image.chance == pytest.approx({1: 100 / 12, 5: 500 / 12, 10: 1000 / 12})


@pytest.mark.parametrize("chunk", [1 << 24, 30])
def test_recall_by_brute_force_with_several_partners(monkeypatch, chunk):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    images, texts = vectors(10), vectors(15, seed=1)
    pairs = torch.tensor([(i, i) for i in range(10)] + [(i, 10 + i % 5) for i in range(10)])
    pairs = pairs[torch.randperm(20)]
    belongs = {tuple(pair) for pair in pairs.tolist()}
    cosine = torch.cosine_similarity(images[:, None], texts[None], dim=2).numpy()
    found = retrieval(images, texts, pairs, ks=(1, 3))
    for k in (1, 3):
        by_image = [any((i, int(t)) in belongs for t in (-cosine[i]).argsort()[:k]) for i in range(10)]
        by_text = [any((int(i), t) in belongs for i in (-cosine[:, t]).argsort()[:k]) for t in range(15)]
        assert found.image_to_text.at[k] == pytest.approx(100 * np.mean(by_image))
        assert found.text_to_image.at[k] == pytest.approx(100 * np.mean(by_text))
    assert (found.text_to_image.queries, found.text_to_image.candidates) == (15, 10)
    assert (found.image_to_text.queries, found.image_to_text.candidates) == (10, 15)


def test_chance_is_what_guessing_gives():
    draw = np.random.default_rng(0)
    pairs = torch.tensor([(0, t) for t in range(5)] + [(1, 5), (2, 6)])
    chance = retrieval(vectors(3), vectors(7, seed=1), pairs, ks=(1, 2)).image_to_text.chance
    partners = [set(range(5)), {5}, {6}]
    for k in (1, 2):
        guessed = [bool(partners[i % 3] & set(draw.permutation(7)[:k].tolist())) for i in range(30_000)]
        assert chance[k] == pytest.approx(100 * np.mean(guessed), abs=1.0)
    assert retrieval(vectors(3), vectors(7, seed=1), pairs, ks=(50,)).image_to_text.chance[50] == pytest.approx(100)
