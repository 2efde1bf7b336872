import math

import numpy as np
import pytest
import torch

from unlabel.diagnostics import (
    covariance_spectrum,
    decay_of,
    dimensions_for,
    directions_above,
    effective_rank,
    outline,
    participation_of,
    participation_ratio,
    rank_of,
    singular_values,
    spectral_decay,
)


def test_squares_are_the_eigenvalues_of_the_covariance():
    x = torch.randn(60, 7, dtype=torch.float64) @ torch.randn(7, 7, dtype=torch.float64) + 3
    eigenvalues = torch.linalg.eigvalsh(torch.cov(x.T)).flip(0)
    torch.testing.assert_close(singular_values(x, normalise=False).square(), eigenvalues)


def test_a_common_offset_is_invisible_without_normalising():
    x = torch.randn(40, 6, dtype=torch.float64)
    torch.testing.assert_close(singular_values(x + 5, normalise=False), singular_values(x, normalise=False))


def test_rotation_changes_nothing():
    x = torch.randn(50, 8, dtype=torch.float64)
    q, _ = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))
    torch.testing.assert_close(singular_values(x @ q), singular_values(x))


def test_one_direction_has_rank_one():
    line = torch.randn(30, 1) * torch.randn(1, 10)  # after normalising: two opposite points
    values = singular_values(line)
    assert int((values > 1e-6 * values[0]).sum()) == 1
    assert effective_rank(line) == pytest.approx(1, abs=1e-5)


def test_equal_directions_have_full_rank():
    x = torch.cat((torch.eye(12), -torch.eye(12)))
    assert effective_rank(x) == pytest.approx(12, abs=1e-9)


def test_gaussian_cloud_approaches_full_rank():
    x = torch.randn(4000, 16)
    assert 15.9 < effective_rank(x) <= 16


def test_equal_rows_have_rank_zero():
    assert effective_rank(torch.randn(1, 8).expand(20, 8)) == 0


def test_rank_of_known_values():
    p = torch.tensor([0.5, 0.25, 0.25])
    assert rank_of(7 * p) == pytest.approx(math.exp(0.5 * math.log(2) + 0.5 * math.log(4)))


def test_rank_is_not_the_participation_ratio():
    values = singular_values(torch.randn(200, 20) * torch.logspace(0, -2, 20))
    assert rank_of(values) > 1.5 * participation_of(values)


def test_the_entropy_over_eigenvalues_is_a_smaller_number():
    x = torch.randn(200, 20) * torch.logspace(0, -2, 20)
    assert rank_of(covariance_spectrum(x)) < 0.8 * effective_rank(x)
    assert rank_of(torch.ones(5).square()) == pytest.approx(rank_of(torch.ones(5)))


def test_more_images_than_dimensions_and_fewer():
    assert len(singular_values(torch.randn(5, 30))) == 5
    assert singular_values(torch.randn(5, 30))[-1] == 0  # centring takes one direction
    assert effective_rank(torch.randn(5, 30)) < 4.001


@pytest.mark.parametrize(("share", "expected"), [(0.5, 1), (0.8, 2), (0.81, 3), (0.99, 3), (0.991, 4), (1.0, 4)])
def test_dimensions_for_counts_variance(share, expected):
    values = torch.tensor([0.5, 0.3, 0.19, 0.01], dtype=torch.float64).sqrt()
    assert dimensions_for(values, share) == expected


def test_dimensions_for_of_nothing_is_zero():
    assert dimensions_for(torch.zeros(4)) == 0
    assert dimensions_for(torch.full((4,), torch.nan)) == 0
    with pytest.raises(ValueError, match="share"):
        dimensions_for(torch.ones(3), 0.0)


def test_what_is_not_finite_is_said_not_raised():
    x = torch.randn(10, 4)
    x[3, 2] = torch.inf
    assert singular_values(x).isnan().all()
    assert math.isnan(effective_rank(x))


@pytest.mark.parametrize("normalise", [True, False])
def test_covariance_spectrum_is_that_of_the_covariance(normalise):
    x = torch.randn(60, 7, dtype=torch.float64) @ torch.randn(7, 7, dtype=torch.float64) + 3
    z = torch.nn.functional.normalize(x, dim=1) if normalise else x
    expected = torch.linalg.eigvalsh(torch.cov(z.T)).flip(0)
    torch.testing.assert_close(covariance_spectrum(x, normalise=normalise), expected, rtol=1e-9, atol=1e-14)


def test_directions_above_counts_against_the_largest():
    values = torch.tensor([2.0, 1.0, 1e-5, 1e-7, 0.0], dtype=torch.float64)
    assert [directions_above(values, share) for share in (0.9, 1e-3, 1e-6, 1e-9)] == [1, 2, 3, 4]
    assert directions_above(torch.zeros(3)) == directions_above(torch.full((3,), torch.nan)) == 0
    assert directions_above(torch.zeros(0)) == 0


def test_one_direction_and_an_even_cloud_are_counted():
    line = torch.randn(30, 1, dtype=torch.float64) * torch.randn(1, 10, dtype=torch.float64)
    assert directions_above(covariance_spectrum(line)) == 1
    assert directions_above(covariance_spectrum(torch.randn(200, 10, dtype=torch.float64))) == 10


def test_participation_counts_equal_directions_and_one():
    assert participation_ratio(torch.cat((torch.eye(12), -torch.eye(12)))) == pytest.approx(12, abs=1e-9)
    assert participation_ratio(torch.randn(30, 1) * torch.randn(1, 10)) == pytest.approx(1, abs=1e-5)
    assert participation_ratio(torch.randn(1, 8).expand(20, 8)) == 0


def test_participation_of_halving_variances_is_three():
    values = torch.tensor([2.0**-k for k in range(1, 40)], dtype=torch.float64).sqrt()
    assert participation_of(7 * values) == pytest.approx(3, abs=1e-9)


def test_participation_is_that_of_the_covariance():
    x = torch.randn(50, 9, dtype=torch.float64) * torch.linspace(1, 3, 9)
    z = torch.nn.functional.normalize(x, dim=1)
    covariance = np.cov(z.numpy().T)
    expected = np.trace(covariance) ** 2 / np.trace(covariance @ covariance)  # without any eigenvalue
    assert participation_ratio(x) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.5])
def test_a_power_law_has_its_exponent(power):
    values = torch.arange(1, 300, dtype=torch.float64).pow(-power / 2)
    assert decay_of(values) == pytest.approx(power, abs=1e-9)
    assert decay_of(5 * values[:40]) == pytest.approx(power, abs=1e-9)  # fewer than the ranks of the fit


def test_the_first_three_and_those_after_the_hundredth_do_not_matter():
    values = torch.arange(1, 300, dtype=torch.float64).pow(-0.5)
    other = values.clone()
    other[:3], other[100:] = 50.0, 1e-9
    assert decay_of(other) == decay_of(values)
    other[3] = 1.0
    assert decay_of(other) > decay_of(values)


def test_the_fit_is_that_of_weighted_least_squares():
    values = torch.rand(120, dtype=torch.float64).sort(descending=True).values
    k = np.arange(4, 101)
    slope, _ = np.polyfit(np.log(k), np.log(values.numpy()[3:100] ** 2), 1, w=np.sqrt(1 / k))
    assert decay_of(values) == pytest.approx(-slope, rel=1e-9)


def test_too_few_directions_have_no_decay():
    assert math.isnan(spectral_decay(torch.randn(50, 5)))  # ranks 4 and 5
    assert math.isfinite(spectral_decay(torch.randn(50, 6)))
    assert math.isnan(decay_of(torch.cat((torch.rand(5), torch.zeros(60)))))
    assert math.isnan(decay_of(torch.full((50,), torch.nan)))


def test_noise_is_flatter_than_a_narrow_cloud():
    x = torch.randn(2000, 64)
    narrow = x * torch.arange(1, 65).pow(-1.0)  # variances k^-2
    assert 0 < spectral_decay(x) < 0.3
    assert spectral_decay(narrow) == pytest.approx(2, abs=0.3)


def test_the_short_form_has_evenly_spread_ranks_and_relative_values():
    found = outline(torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5, 0.0, 0.0, 0.0]), points=4)
    assert found == {"ranks": [1, 2, 4, 8], "values": [1.0, 0.5, 0.125, 0.0]}
    found = outline(torch.linspace(2, 1, 1000))
    assert len(found["ranks"]) <= 32 and found["ranks"][0] == 1 and found["ranks"][-1] == 1000
    steps = np.diff(np.log(found["ranks"]))[-15:]
    assert steps.max() / steps.min() < 1.1  # from where rounding counts for little
    assert found["values"] == sorted(found["values"], reverse=True) and found["values"][-1] == 0.5
    assert outline(torch.tensor([3.0])) == {"ranks": [1], "values": [1.0]}


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [math.nan] * 3])
def test_nothing_has_no_short_form(values):
    assert outline(torch.tensor(values)) == {"ranks": [], "values": []}
