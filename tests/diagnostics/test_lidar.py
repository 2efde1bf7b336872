import math

import pytest
import torch
from scipy.linalg import eigh

from unlabel.diagnostics import effective_rank, lidar


def views(directions: int, noise: float, images: int = 60, count: int = 20, width: int = 12) -> torch.Tensor:
    """[images, count, width]: images differ along `directions` axes, views of one image along all."""
    centres = torch.zeros(images, 1, width, dtype=torch.float64)
    centres[:, :, :directions] = torch.randn(images, 1, directions, dtype=torch.float64)
    return centres + noise * torch.randn(images, count, width, dtype=torch.float64)


@pytest.mark.parametrize("normalise", [True, False])
def test_it_is_the_formula(normalise):
    x = views(5, 0.3)
    z = torch.nn.functional.normalize(x, dim=2) if normalise else x
    means = z.mean(dim=1)
    apart = means - means.mean(dim=0)
    s_b = (apart[:, :, None] * apart[:, None, :]).mean(dim=0)
    apart = (z - means[:, None]).flatten(0, 1)
    s_w = (apart[:, :, None] * apart[:, None, :]).mean(dim=0)
    d = 1e-2 * (s_b + s_w).diagonal().mean()
    values = torch.from_numpy(eigh(s_b.numpy(), (s_w + d * torch.eye(12)).numpy(), eigvals_only=True))
    p = values / values.sum()
    expected = float(torch.special.entr(p).sum().exp())
    assert lidar(x, delta=1e-2, normalise=normalise) == pytest.approx(expected, rel=1e-9)


def test_directions_of_noise_do_not_count():
    quiet = lidar(views(4, 1e-3), normalise=False)
    assert quiet == pytest.approx(4, abs=0.3)
    # The rank of single embeddings counts all twelve once noise is as large as what tells images apart.
    loud = views(4, 1.0, images=200, count=40)
    assert effective_rank(loud[:, 0]) > 11
    assert lidar(loud, normalise=False) < 6


def test_a_rotation_and_a_scale_change_nothing():
    x = views(5, 0.3)
    q, _ = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64))
    assert lidar(x @ q) == pytest.approx(lidar(x), rel=1e-9)
    assert lidar(1e4 * x, normalise=False) == pytest.approx(lidar(x, normalise=False), rel=1e-9)


def test_stretching_a_dimension_changes_nothing_without_delta():
    x = views(5, 0.3)
    stretched = x * torch.logspace(0, 2, 12, dtype=torch.float64)
    assert lidar(stretched, delta=0.0, normalise=False) == pytest.approx(lidar(x, delta=0.0, normalise=False), rel=1e-9)


def test_it_is_at_most_the_number_of_images_less_one():
    assert 1 <= lidar(torch.randn(4, 6, 32)) <= 3 + 1e-9


def test_equal_images_have_none():
    assert lidar(torch.ones(5, 3, 8)) == 0
    assert lidar(torch.randn(1, 1, 8).expand(6, 4, 8)) == 0


def test_bad_input():
    with pytest.raises(ValueError, match="two views"):
        lidar(torch.randn(5, 1, 3))
    with pytest.raises(ValueError, match="two images"):
        lidar(torch.randn(1, 5, 3))
    x = torch.randn(5, 3, 4)
    x[0, 0, 0] = torch.inf
    assert math.isnan(lidar(x))
