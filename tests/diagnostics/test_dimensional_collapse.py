"""Two linear networks in which a contrastive loss empties directions, as arXiv 2110.09348 finds (sections 4 and 5).

Data are x ~ N(0, I) in 16 dimensions; the loss is InfoNCE of embeddings that are not normalised, at temperature 0.1;
plain SGD without weight decay on 128 rows at a time. The authors' 4,000 updates are 1,000 at four times their rates
here. Spectra are those of the embeddings of clean data.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.diagnostics import covariance_spectrum, directions_above, effective_rank

WIDTH, ROWS, UPDATES = 16, 128, 1_000


def trained(network: nn.Module, noise: Tensor, lr: float) -> Tensor:
    """The spectrum after training on pairs of views that differ by Gaussian noise of these deviations [16]."""
    draw = torch.Generator().manual_seed(0)
    x, own = torch.randn(10_000, WIDTH, generator=draw), torch.arange(ROWS)
    optimiser = torch.optim.SGD(network.parameters(), lr)
    for _ in range(UPDATES):
        clean = x[torch.randint(len(x), (ROWS,), generator=draw)]
        views = clean.repeat(2, 1) + noise * torch.randn(2 * ROWS, WIDTH, generator=draw)
        z1, z2 = network(views).chunk(2)
        optimiser.zero_grad()
        F.cross_entropy(z1 @ z2.T / 0.1, own).backward()
        optimiser.step()
    with torch.no_grad():
        return covariance_spectrum(network(torch.randn(1_000, WIDTH, generator=draw)), normalise=False)


def test_augmentation_that_varies_less_than_the_data_keeps_all_directions() -> None:
    """One layer; noise on the last 8 dimensions alone."""
    values = trained(nn.Linear(WIDTH, WIDTH), torch.cat([torch.zeros(8), torch.full((8,), 0.01)]), lr=4e-3)
    assert values[0] < 2 * values[-1]


def test_augmentation_that_varies_more_than_the_data_empties_its_directions() -> None:
    values = trained(nn.Linear(WIDTH, WIDTH), torch.cat([torch.zeros(8), torch.full((8,), 1.5)]), lr=4e-3)
    assert values[7] > 0.1 and values[8] < 0.02 and values[0] < 2 * values[7]


def with_spectrum(values: Tensor) -> Tensor:
    """A random matrix of these singular values."""
    u, _, v = torch.linalg.svd(torch.rand(len(values), len(values)))
    return u @ torch.diag(values) @ v


def test_two_layers_do_without_their_weakest_directions() -> None:
    """Hardly any noise: the layers align, and what is small grows slowest. Singular values begin at e^(-0.35 k)."""
    network = nn.Sequential(*(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2)))
    for layer in network:
        layer.weight.data = with_spectrum((-0.35 * torch.arange(WIDTH)).exp())
    values = trained(network, torch.full((WIDTH,), 1e-3), lr=4e-2)
    dead = int((values < 1e-4).sum())
    assert 3 <= dead <= 7 and int((values > 0.1).sum()) == directions_above(values, 1e-2) == WIDTH - dead


def test_a_collapse_in_a_projector_can_be_told_from_one_in_the_representation() -> None:
    h = torch.randn(300, 12, dtype=torch.float64)
    narrow = torch.randn(12, 3, dtype=torch.float64) @ torch.randn(3, 12, dtype=torch.float64)
    z = h @ narrow
    assert directions_above(covariance_spectrum(h)) == 12 and directions_above(covariance_spectrum(z)) == 3
    assert effective_rank(h) > 11 and effective_rank(z) < 3.01
    assert math.isclose(float(covariance_spectrum(z)[3:].sum()), 0, abs_tol=1e-20)
