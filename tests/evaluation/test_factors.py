import numpy as np
import pytest
import torch

from unlabel.evaluation.factors import chance, factor_scores, kind, word


def facts(n, seed=0):
    draw = np.random.default_rng(seed)
    return {
        "shape": draw.integers(0, 4, n),
        "size": draw.uniform(1, 5, n),
        "angle": draw.uniform(0, 2 * np.pi, n),
        "secret": draw.normal(size=n),
        "constant": np.ones(n),
    }


def features(known, seed=0):
    """All but the secret, mixed linearly."""
    columns = [known["shape"][:, None] == np.arange(4), known["size"][:, None]]
    columns += [np.sin(known["angle"])[:, None], np.cos(known["angle"])[:, None]]
    x = np.concatenate(columns, axis=1) @ np.random.default_rng(7).normal(size=(7, 12))
    return torch.from_numpy(x + 0.01 * np.random.default_rng(seed).normal(size=x.shape)).float()


def test_what_is_there_is_read_and_what_is_not_is_not():
    train, test = facts(600), facts(400, seed=1)
    found = factor_scores(features(train), train, features(test, seed=2), test)
    assert found["shape"] == 100 and found["size"] > 0.999 and found["angle"] > 0.999
    assert -0.2 < found["secret"] < 0.05
    assert "constant" not in found


def test_an_angle_is_read_round_the_circle_not_along_a_line():
    train, test = facts(600), facts(400, seed=1)
    renamed = [{"bearing": known["angle"]} for known in (train, test)]
    found = factor_scores(features(train), renamed[0], features(test), renamed[1])
    assert found["bearing"] < 0.8  # a number that jumps from 2 pi to 0


def test_ridge_is_scikit_learns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    metrics = pytest.importorskip("sklearn.metrics")
    from unlabel.evaluation.factors import PENALTIES, _ridge

    train, test = facts(60), facts(30, seed=1)
    x, y = features(train), features(test)
    target = torch.from_numpy(train["size"]).float()[:, None]
    for l2 in PENALTIES:
        ours = _ridge(x, [target], y)[l2][0][:, 0].numpy()
        theirs = linear_model.Ridge(alpha=l2 * 60).fit(x.numpy(), train["size"]).predict(y.numpy())
        np.testing.assert_allclose(ours, theirs, atol=2e-3)
    found = factor_scores(x, {"size": train["size"]}, y, {"size": test["size"]})
    assert found["size"] == pytest.approx(metrics.r2_score(test["size"], test["size"] * 0 + ours), abs=2)
    assert found["size"] <= 1


def test_the_mean_scores_zero_and_worse_is_below():
    draw = np.random.default_rng(0)
    train = {"secret": draw.normal(size=40)}
    test = {"secret": draw.normal(size=40) + 3}
    assert factor_scores(torch.randn(40, 5), train, torch.randn(40, 5), test)["secret"] < 0


def test_few_images():
    train, test = facts(6), facts(5, seed=1)
    found = factor_scores(features(train), train, features(test), test)
    assert set(found) <= {"shape", "size", "angle", "secret"}
    assert factor_scores(features(train), {}, features(test), {}) == {}


def test_kind_and_chance():
    assert (
        kind(np.array([1, 2])) == "class"
        and kind(np.array([True])) == "class"
        and kind(np.array([0.5])) == "regression"
    )
    assert chance(np.array([0, 0, 1]), np.array([0, 1, 1, 1])) == 25
    assert chance(np.array([0.1]), np.array([0.2])) == 0


@pytest.mark.parametrize(
    ("run", "random", "pixels", "expected"),
    [
        (0.9, 0.8, 0.7, "kept"),
        (0.9, 0.95, 0.5, "kept"),
        (0.8, 0.95, 0.5, "partly"),
        (0.4, 0.1, 0.2, "partly"),
        (0.4, 0.9, 0.2, "discarded"),
        (0.05, 0.0, 0.0, "discarded"),
        (-0.5, 0.3, None, "discarded"),
        (0.6, None, None, "kept"),
    ],
)
def test_words(run, random, pixels, expected):
    entry = {"run": run, "random": random, "pixels": pixels, "kind": "regression", "chance": 0.0}
    assert word(entry) == expected
    as_class = {who: None if entry[who] is None else 25 + 75 * entry[who] for who in ("run", "random", "pixels")}
    assert word(as_class | {"kind": "class", "chance": 25.0}) == expected
