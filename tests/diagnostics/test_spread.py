import math

import pytest
import torch

from unlabel.diagnostics import feature_norm, feature_std, healthy_std, mean_cosine


def test_equal_embeddings_have_no_spread():
    x = torch.randn(1, 8).expand(50, 8)
    assert feature_std(x) == pytest.approx(0, abs=1e-12)
    assert mean_cosine(x) == pytest.approx(1, abs=1e-12)


def test_axes_and_their_opposites_reach_the_healthy_value_exactly():
    x = torch.cat((torch.eye(16), -torch.eye(16)))  # mean zero, every feature the same variance
    assert feature_std(x) == pytest.approx(healthy_std(16), abs=1e-12)
    assert mean_cosine(x) == pytest.approx(-1 / 31, abs=1e-12)


def test_no_cloud_is_healthier_than_healthy():
    for seed in range(5):
        x = torch.randn(40, 12, generator=torch.Generator().manual_seed(seed))
        assert feature_std(x) <= healthy_std(12)


def test_mean_cosine_is_the_loop_over_pairs():
    x = torch.randn(9, 5, dtype=torch.float64)
    cosines = [float(torch.cosine_similarity(x[i], x[j], dim=0)) for i in range(9) for j in range(9) if i != j]
    assert mean_cosine(x) == pytest.approx(sum(cosines) / len(cosines), abs=1e-12)


def test_the_length_of_rows_does_not_matter():
    x = torch.randn(30, 6, dtype=torch.float64)
    longer = x * torch.rand(30, 1, dtype=torch.float64).add(0.5)
    assert feature_std(longer) == pytest.approx(feature_std(x), abs=1e-12)
    assert mean_cosine(longer) == pytest.approx(mean_cosine(x), abs=1e-12)


def test_std_against_lightly():
    debug = pytest.importorskip("lightly.utils.debug")
    x = torch.randn(100, 32, dtype=torch.float64) + 0.3
    theirs = float(debug.std_of_l2_normalized(x)) * math.sqrt(99 / 100)  # they divide by n - 1
    assert feature_std(x) == pytest.approx(theirs, rel=1e-9)


def test_pairs_need_two_rows():
    with pytest.raises(ValueError, match="two embeddings"):
        mean_cosine(torch.randn(1, 4))


def test_lengths_by_hand():
    x = torch.tensor([[3.0, 4.0], [0.0, 1.0], [6.0, 8.0]])  # 5, 1, 10
    mean, std = feature_norm(x)
    assert mean == pytest.approx(16 / 3)
    assert std == pytest.approx(((5 - mean) ** 2 + (1 - mean) ** 2 + (10 - mean) ** 2) ** 0.5 / 3**0.5)
    assert feature_norm(torch.eye(4)) == (1, 0)
    assert feature_norm(7 * x) == pytest.approx((7 * mean, 7 * std))
