"""Objectives with small crops as anchors: each against its formula, row by row; nobody is compared with a small crop."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import align_uniform, dclw, drlim, mined_triplets, n_pair, nt_xent
from unlabel.losses.objectives import OBJECTIVES

TAU = 0.4
WITH_TEMPERATURE = ("nt_xent", "dcl", "flat_nce", "debiased", "hard_negatives", "hard")
ROW_BY_ROW = (*WITH_TEMPERATURE, "simple", "drlim", "n_pair")


def three(b: int = 5, d: int = 4) -> list[Tensor]:
    """Two views of b images, and a small crop of each."""
    return [torch.randn(b, d, dtype=torch.float64) for _ in range(3)]


def of_small(name: str, z1: Tensor, z2: Tensor, small: Tensor) -> Tensor:
    own = {"temperature": TAU} if name in WITH_TEMPERATURE else {}
    return OBJECTIVES[name](z1, z2, small=small, **own)


def by_rows(z1: Tensor, z2: Tensor, small: Tensor, row: Callable[[float, list[float]], float]) -> float:
    """The mean of row(cosine to the positive, cosines to the negatives) over crops and their two positives."""
    views = [F.normalize(z, dim=1) for z in (z1, z2)]
    found = []
    for i, w in enumerate(F.normalize(small, dim=1)):
        others = [float(w @ z[j]) for z in views for j in range(len(z)) if j != i]
        found += [row(float(w @ z[i]), others) for z in views]
    assert len(found) == 2 * len(small) and len(others) == 2 * len(small) - 2
    return sum(found) / len(found)


def exp_sum(cosines: list[float], k: float = 1.0) -> float:
    return sum(math.exp(k * c / TAU) for c in cosines)


def debiased_row(a: float, others: float, n: int, tau_plus: float = 0.1) -> float:
    own = math.exp(a / TAU)
    rest = max((others - n * tau_plus * own) / (1 - tau_plus), n * math.exp(-1 / TAU))
    return -a / TAU + math.log(own + rest)


ROWS: dict[str, Callable[[float, list[float]], float]] = {
    "nt_xent": lambda a, s: -a / TAU + math.log(math.exp(a / TAU) + exp_sum(s)),
    "dcl": lambda a, s: -a / TAU + math.log(exp_sum(s)),
    "flat_nce": lambda a, s: -a / TAU + math.log(math.exp(a / TAU) + exp_sum(s)),
    "debiased": lambda a, s: debiased_row(a, exp_sum(s), len(s)),
    "hard_negatives": lambda a, s: debiased_row(a, len(s) * exp_sum(s, 2) / exp_sum(s), len(s)),
    "hard": lambda a, s: -a / TAU + math.log(math.exp(a / TAU) + math.exp(max(s) / TAU)),  # 8 % of 8 negatives: one
    "simple": lambda a, s: sum(s) / len(s) - a,
}


@pytest.mark.parametrize("name", ROWS)
def test_softmax_objectives_are_their_formulas(name: str) -> None:
    z1, z2, small = three()
    assert of_small(name, z1, z2, small).item() == pytest.approx(by_rows(z1, z2, small, ROWS[name]), rel=1e-12)


def test_dclw_weighs_the_positives_of_small_crops() -> None:
    z1, z2, small = three()
    cosines = torch.cat([F.cosine_similarity(small, z) for z in (z1, z2)])
    weights = iter((2 - (cosines / 0.5).exp() / (cosines / 0.5).exp().mean()).view(2, -1).T.flatten().tolist())
    expected = by_rows(z1, z2, small, lambda a, s: -next(weights) * a / TAU + math.log(exp_sum(s)))
    assert dclw(z1, z2, temperature=TAU, small=small).item() == pytest.approx(expected, rel=1e-12)


def test_distances_and_n_pairs_are_means_over_both_views() -> None:
    z1, z2, small = three()
    for loss in (drlim, n_pair):
        expected = (loss(small, z1) + loss(small, z2)) / 2
        assert loss(z1, z2, small=small).item() == pytest.approx(expected.item(), rel=1e-14)


@pytest.mark.parametrize("mining", ["all", "hard", "easy", "semi-hard"])
def test_triplets_of_small_crops(mining: str) -> None:
    z1, z2, small = three()
    losses: list[float] = []

    def row(a: float, s: list[float]) -> float:
        near, far = 2 - 2 * a, [2 - 2 * c for c in s]
        match mining:
            case "hard":
                far = [min(far)]
            case "easy":
                far = [max(far)]
            case "semi-hard":
                far = sorted(x for x in far if near < x < near + 0.2)[:1]
        losses.extend(max(0.0, near - x + 0.2) for x in far)
        return 0.0

    by_rows(z1, z2, small, row)
    expected = sum(losses) / max(1, len(losses))
    assert mined_triplets(z1, z2, mining=mining, small=small).item() == pytest.approx(expected, rel=1e-12)


def test_alignment_with_either_view_and_uniformity_among_other_images() -> None:
    z1, z2, small = three()
    near: list[float] = []
    kernel: list[float] = []
    by_rows(
        z1, z2, small, lambda a, s: near.append(2 - 2 * a) or kernel.extend(math.exp(-2 * (2 - 2 * c)) for c in s) or 0
    )
    expected = sum(near) / len(near) + 3 * math.log(sum(kernel) / len(kernel))
    loss = align_uniform(z1, z2, uniform_weight=3, small=small)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ROW_BY_ROW)
def test_small_crops_do_not_see_each_other(name: str) -> None:
    """The loss is a sum over small crops: what one adds does not depend on the others."""
    z1, z2, small = three()
    other = torch.randn_like(small)

    def loss(*changed: int) -> float:
        crops = small.clone()
        for i in changed:
            crops[i] = other[i]
        return of_small(name, z1, z2, crops).item()

    assert loss(0) + loss(3) == pytest.approx(loss() + loss(0, 3), rel=1e-13)
    assert abs(loss(0) - loss()) > 1e-6


@pytest.mark.parametrize("name", OBJECTIVES)
def test_order_of_views_and_of_images_does_not_matter(name: str) -> None:
    z1, z2, small = three()
    value, order = of_small(name, z1, z2, small).item(), torch.randperm(5)
    assert of_small(name, z2, z1, small).item() == pytest.approx(value, rel=1e-12)
    assert of_small(name, z1[order], z2[order], small[order]).item() == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("name", ["nt_xent", "dcl", "flat_nce", "debiased", "hard_negatives", "hard"])
def test_collapse_costs_what_it_costs_two_views(name: str) -> None:
    z = torch.ones(4, 3, dtype=torch.float64)
    two = OBJECTIVES[name](z, z, temperature=TAU).item()
    assert of_small(name, z, z, z).item() == pytest.approx(two, rel=1e-12)
    assert name != "nt_xent" or two == pytest.approx(math.log(7), rel=1e-12)


def test_a_copy_of_a_view_as_small_crop_seeks_the_other_view_as_that_view_does() -> None:
    """The half of NT-Xent whose positives are z2, with the rows of z1 as anchors, is that of small crops equal to z1."""
    z1, z2, _ = three()
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    logits = (z @ z.T / TAU).masked_fill(torch.eye(10, dtype=torch.bool), -torch.inf)
    two_views = F.cross_entropy(logits[:5], torch.arange(5, 10))
    own = logits.clone()
    own[range(5), range(5)], own[range(5), range(5, 10)] = 1 / TAU, -torch.inf  # itself, and never the other view
    itself = F.cross_entropy(own[:5], torch.arange(5))
    expected = (two_views + itself) / 2
    assert nt_xent(z1, z2, temperature=TAU, small=z1).item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("name", ["nt_xent", "dcl", "debiased", "hard_negatives", "hard", "simple", "align_uniform"])
def test_gradients(name: str) -> None:
    given = [x.requires_grad_() for x in three(3, 3)]
    assert gradcheck(lambda z1, z2, small: of_small(name, z1, z2, small), given)
