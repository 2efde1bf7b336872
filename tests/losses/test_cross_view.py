"""Contrast between two sights of the same images, and between many."""

import math

import pytest
import torch
import torch.nn.functional as F

from unlabel.losses import core_view, cross_view, full_graph

TAU = 0.5


def views(m: int, b: int = 6, d: int = 4) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(b, d, generator=draw, dtype=torch.float64) for _ in range(m)]


def test_it_is_the_cross_entropy_of_both_directions() -> None:
    z1, z2 = views(2)
    s = F.normalize(z1, dim=1) @ F.normalize(z2, dim=1).T / TAU
    own = torch.arange(6)
    expected = F.cross_entropy(s, own) + F.cross_entropy(s.T, own)
    assert cross_view(z1, z2, temperature=TAU).item() == pytest.approx(expected.item(), rel=1e-12)


def test_views_may_be_swapped_and_scaled() -> None:
    z1, z2 = views(2)
    value = cross_view(z1, z2, temperature=TAU).item()
    assert cross_view(z2, z1, temperature=TAU).item() == pytest.approx(value, rel=1e-12)
    assert cross_view(3 * z1, 0.2 * z2, temperature=TAU).item() == pytest.approx(value, rel=1e-12)


def test_values_at_collapse_and_at_the_simplex() -> None:
    same = torch.ones(8, 3, dtype=torch.float64)
    assert cross_view(same, same, temperature=TAU).item() == pytest.approx(2 * math.log(8))
    corners = torch.eye(8, dtype=torch.float64) - 1 / 8  # cosines -1/7
    assert cross_view(corners, corners, temperature=TAU).item() == pytest.approx(2 * 0.537610, abs=1e-6)


def test_rows_of_one_view_are_never_compared() -> None:
    """Equal rows within the views would be the hardest of negatives; across the views they are far apart."""
    e = torch.eye(2, dtype=torch.float64)
    z1, z2 = e[[0, 0, 0]], e[[1, 1, 1]]
    assert cross_view(z1, z2, temperature=0.01).item() == pytest.approx(2 * math.log(3))


def test_gradient() -> None:
    z1, z2 = (z.requires_grad_() for z in views(2, b=3))
    assert torch.autograd.gradcheck(lambda a, b: cross_view(a, b, temperature=TAU), (z1, z2))


@pytest.mark.parametrize("m", [2, 3, 5])
def test_core_view_and_full_graph_count_their_pairs(m: int) -> None:
    given, met = views(m), []

    def pair(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        met.append((next(i for i, v in enumerate(given) if v is a), next(i for i, v in enumerate(given) if v is b)))
        return cross_view(a, b, temperature=TAU)

    core = core_view(given, pair)
    assert met == [(0, j) for j in range(1, m)]
    assert core.item() == pytest.approx(sum(cross_view(given[0], v, temperature=TAU).item() for v in given[1:]))
    met.clear()
    full = full_graph(given, pair)
    assert len(met) == m * (m - 1) // 2 and len(set(met)) == len(met) and all(i < j for i, j in met)
    if m == 2:
        assert full.item() == core.item() == cross_view(*given, temperature=TAU).item()
    assert full_graph(given[::-1], pair).item() == pytest.approx(full.item(), rel=1e-12)
