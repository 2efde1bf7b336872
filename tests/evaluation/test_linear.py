import numpy as np
import pytest
import torch

from tests.evaluation.test_knn import clouds
from unlabel.evaluation.linear import fit_logistic, linear_probe, standardise


@pytest.mark.parametrize("l2", [1e-1, 1e-3])
def test_the_optimum_is_scikit_learns(l2):
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, labels = clouds(300, classes=5, d=6)
    x = x.double()
    weight, bias = fit_logistic(x, labels, 5, l2, steps=500)
    theirs = linear_model.LogisticRegression(C=1 / (l2 * len(x)), tol=1e-10, max_iter=5000).fit(
        x.numpy(), labels.numpy()
    )
    np.testing.assert_allclose(weight.numpy(), theirs.coef_, atol=2e-5)
    # Any constant may be added to all biases of a softmax.
    np.testing.assert_allclose((bias - bias.mean()).numpy(), theirs.intercept_ - theirs.intercept_.mean(), atol=2e-5)


def test_single_precision_is_close_to_double():
    x, labels = clouds(300, classes=5, d=6)
    single, _ = fit_logistic(x, labels, 5, 1e-2)
    double, _ = fit_logistic(x.double(), labels, 5, 1e-2)
    torch.testing.assert_close(single.double(), double, atol=1e-3, rtol=0)


@pytest.mark.parametrize("inside", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_mode_does_not_matter(inside):
    x, labels = clouds(60)
    expected = fit_logistic(x, labels, 4, 1e-2)
    with inside():
        found = fit_logistic(x.clone(), labels.clone(), 4, 1e-2)
    for a, b in zip(expected, found, strict=True):
        assert torch.equal(a, b) and not b.requires_grad


def test_separable_classes_are_found_and_chance_is_chance():
    x, labels = clouds(400, spread=0.05)
    y, truth = clouds(200, spread=0.05, seed=1)
    assert linear_probe(x, labels, y, truth).top1 == 100
    g = torch.Generator().manual_seed(0)
    noise = linear_probe(
        torch.randn(400, 8, generator=g), labels, torch.randn(2000, 8, generator=g), torch.arange(2000) % 4
    )
    assert 20 < noise.top1 < 30


def test_top5_only_from_six_classes_on():
    x, labels = clouds(120, classes=5)
    assert linear_probe(x, labels, x, labels).top5 is None
    x, labels = clouds(120, classes=6, spread=0.05)
    assert linear_probe(x, labels, x, labels).top5 == 100


def test_units_do_not_matter_and_dead_features_do_no_harm():
    x, labels = clouds(200)
    y, truth = clouds(100, seed=1)
    scale, shift = torch.logspace(-2, 2, 8), torch.linspace(-3, 3, 8)
    expected = linear_probe(x, labels, y, truth)
    assert linear_probe(x * scale + shift, labels, y * scale + shift, truth).top1 == pytest.approx(expected.top1, abs=1)
    dead = [torch.cat((part, torch.full((len(part), 2), 7.0)), dim=1) for part in (x, y)]
    assert linear_probe(dead[0], labels, dead[1], truth) == expected


def test_the_penalty_suits_the_data():
    g = torch.Generator().manual_seed(0)
    # Many features of noise, few images: a strong penalty wins. Clean features, classes close together: a weak one.
    labels = torch.arange(100) % 2
    noisy = torch.cat((labels[:, None] + 0.5 * torch.randn(100, 1, generator=g), torch.randn(100, 300, generator=g)), 1)
    assert linear_probe(noisy, labels, noisy, labels, l2=(10.0, 1e-4)).l2 == 10.0
    labels = torch.arange(600) % 30
    fine = torch.stack((torch.cos(labels * 0.2), torch.sin(labels * 0.2)), 1)
    fine += 0.002 * torch.randn(600, 2, generator=g)
    assert linear_probe(fine, labels, fine, labels, l2=(10.0, 1e-4)).l2 == 1e-4


def test_it_repeats_itself_and_leaves_the_generator_alone():
    x, labels = clouds(200)
    before = torch.get_rng_state()
    with torch.inference_mode():
        one = linear_probe(x, labels, x, labels)
    assert one == linear_probe(x, labels, x, labels)
    assert torch.equal(before, torch.get_rng_state())


def test_tiny_data_takes_the_middle_penalty():
    x, labels = clouds(8)
    assert linear_probe(x, labels, x, labels, l2=(1.0, 0.1, 0.01)).l2 == 0.1


def test_a_class_never_seen_is_an_error():
    x, labels = clouds(60, classes=2, spread=0.01)
    assert linear_probe(x, labels, x[:2], torch.tensor([0, 5])).top1 == 50


def test_one_class_is_no_problem_to_solve():
    x, labels = clouds(60, classes=1)
    with pytest.raises(ValueError, match="two classes"):
        linear_probe(x, labels, x, labels)


def test_standardise():
    x = torch.randn(100, 4) * 3 + 2
    z, scale = standardise(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(scale(x[:3]), z[:3])
