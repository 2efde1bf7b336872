"""Objectives of distances, against their formulas and what torch and pytorch-metric-learning compute."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import drlim, mined_triplets, n_pair, pairwise, triplet


def rows(n: int = 6, d: int = 4) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64)


def unit(n: int = 6, d: int = 4) -> Tensor:
    return F.normalize(rows(n, d), dim=1)


# ------------------------------------------------------------------ pairs


def test_pairwise_by_hand() -> None:
    x1 = torch.zeros(4, 2, dtype=torch.float64)
    x2 = torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    dissimilar = torch.tensor([False, True, True, True])
    assert pairwise(x1, x2, dissimilar, margin=1.5).tolist() == pytest.approx([0.5, 0.5, 0.0, 1.5**2 / 2], abs=1e-5)


def test_pairwise_gradient() -> None:
    x1, x2 = rows(5).requires_grad_(), rows(5)
    dissimilar = torch.tensor([False, False, True, True, True])
    margin = float((x1 - x2).norm(dim=1)[3]) + 0.5  # the fourth pair is within it
    pairwise(x1, x2, dissimilar, margin=margin).sum().backward()
    apart = (x1 - x2).detach()
    d = apart.norm(dim=1, keepdim=True)
    expected = torch.where(dissimilar[:, None], -(margin - d).clamp(min=0) * apart / d, apart)
    assert torch.allclose(x1.grad, expected, rtol=1e-9)


def test_pairs_at_the_margin_and_beyond_cost_nothing_and_are_not_moved() -> None:
    x1 = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 2.0], [0.5, 0.0]], dtype=torch.float64).requires_grad_()
    x2 = torch.tensor([[3.0, 4.0], [3.0, 4.1], [-9.0, 30.0], [0.0, 0.0]], dtype=torch.float64).requires_grad_()
    losses = pairwise(x1, x2, torch.ones(4, dtype=torch.bool), margin=5)
    losses.sum().backward()
    assert losses[:3].tolist() == [0.0, 0.0, 0.0] and losses[3] > 0
    for x in (x1, x2):
        assert x.grad[:3].abs().max() == 0 and x.grad[3].abs().max() > 0


@pytest.mark.parametrize("margin", [0.3, 1.0, 2.5])
def test_pairwise_is_half_the_square_of_torchs_hinge(margin: float) -> None:
    x1, x2 = rows(12), rows(12)
    dissimilar = torch.arange(12) % 3 > 0
    y = torch.where(dissimilar, -1.0, 1.0).double()
    hinge = torch.nn.HingeEmbeddingLoss(margin, reduction="none")((x1 - x2).norm(dim=1), y)
    assert torch.allclose(pairwise(x1, x2, dissimilar, margin=margin), hinge.square() / 2, rtol=1e-12, atol=0)


def test_pairwise_sees_distances_alone() -> None:
    x1, x2, dissimilar = rows(8), rows(8), torch.arange(8) % 2 == 0
    turn = torch.linalg.qr(rows(4, 4))[0]
    expected = pairwise(x1, x2, dissimilar, margin=2)
    for a, b in ((x1 @ turn + 3, x2 @ turn + 3), (x2, x1)):
        assert torch.allclose(pairwise(a, b, dissimilar, margin=2), expected, rtol=1e-10)


def test_equal_embeddings_have_gradients_that_are_numbers() -> None:
    x = torch.ones(4, 3, dtype=torch.float64).requires_grad_()
    drlim(x, x.clone(), margin=1).backward()
    assert torch.isfinite(x.grad).all()
    assert drlim(x, x, margin=2).item() == pytest.approx(2**2 / 4, abs=1e-5)


def test_drlim_weighs_similar_and_dissimilar_pairs_equally() -> None:
    z1, z2 = unit(5), unit(5)
    similar = [float((z1[i] - z2[i]).square().sum()) / 2 for i in range(5)]
    others = [max(0.0, 1 - float((z1[i] - z2[j]).norm())) ** 2 / 2 for i in range(5) for j in range(5) if i != j]
    expected = (sum(similar) / 5 + sum(others) / 20) / 2
    assert drlim(3 * z1, z2 / 7).item() == pytest.approx(expected, rel=1e-10)


# ------------------------------------------------------------------ triplets


def test_triplet_is_torchs() -> None:
    a, p, n = rows(), rows(), rows()
    theirs = torch.nn.TripletMarginLoss(margin=1.0)(a, p, n)
    assert triplet(a, p, n, margin=1.0, squared=False).mean().item() == pytest.approx(theirs.item(), rel=1e-5)


def test_triplet_of_equal_vectors_is_a_collapse() -> None:
    a, p, n = (torch.ones(3, 4, dtype=torch.float64).requires_grad_() for _ in range(3))
    loss = triplet(a, p, n, margin=0.2)
    assert loss.tolist() == pytest.approx([0.2] * 3)
    loss.sum().backward()
    assert all(x.grad.abs().max() == 0 for x in (a, p, n))


def test_triplet_smooth_form_and_order() -> None:
    a, p, n = unit(), unit(), unit()
    expected = F.softplus((a - p).square().sum(dim=1) - (a - n).square().sum(dim=1))
    assert torch.allclose(triplet(a, p, n, margin=None), expected)
    order = torch.randperm(6)
    assert torch.allclose(triplet(a[order], p[order], n[order], margin=None), expected[order])


def test_triplet_without_margin_grows_with_scale() -> None:
    a, p, n = rows(), rows(), rows()
    once, thrice = (triplet(k * a, k * p, k * n, margin=0, squared=False) for k in (1, 3))
    assert torch.allclose(thrice, 3 * once)


@pytest.mark.parametrize("margin", [0.2, None])  # None: the smooth form
@pytest.mark.parametrize("mining", ["all", "hard", "easy", "semi-hard"])
def test_mining_is_what_it_says(mining: str, margin: float | None) -> None:
    z1, z2 = unit(5), unit(5)
    z, b = torch.cat([z1, z2]), 5
    losses = []
    for i in range(2 * b):
        positive = z[(i + b) % (2 * b)]
        negatives = [z[j] for j in range(2 * b) if j % b != i % b]
        near = float((z[i] - positive).square().sum())
        far = [float((z[i] - n).square().sum()) for n in negatives]
        if mining == "hard":
            far = [min(far)]
        elif mining == "easy":
            far = [max(far)]
        elif mining == "semi-hard":
            semi = [d for d in far if d > near and (margin is None or d < near + margin)]
            far = [min(semi)] if semi else []
        losses += [math.log1p(math.exp(near - d)) if margin is None else max(0.0, near - d + margin) for d in far]
    form = {"soft_margin": True} if margin is None else {"margin": margin}
    found = mined_triplets(z1, z2, **form, mining=mining)
    assert found.item() == pytest.approx(sum(losses) / max(1, len(losses)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("margin", [0.05, 0.2, 1.0])
def test_all_triplets_agree_with_pytorch_metric_learning(margin: float) -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    reducers = pytest.importorskip("pytorch_metric_learning.reducers")
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    z1, z2 = rows(5), rows(5)
    labels = torch.arange(5).repeat(2)
    theirs = losses.TripletMarginLoss(
        margin, distance=distances.LpDistance(power=2), reducer=reducers.MeanReducer(), triplets_per_anchor="all"
    )
    expected = theirs(torch.cat([z1, z2]), labels).item()
    assert mined_triplets(z1, z2, margin=margin, mining="all").item() == pytest.approx(expected, rel=1e-9)


def test_triplets_that_cost_something_agree_with_pytorch_metric_learning() -> None:
    """Its own mean is over these alone, of distances that are not squared."""
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    z1, z2 = unit(5), unit(5)
    z = torch.cat([z1, z2])
    a, n = (torch.arange(10).repeat_interleave(10), torch.arange(10).repeat(10))
    a, n = a[a % 5 != n % 5], n[a % 5 != n % 5]
    ours = triplet(z[a], z[(a + 5) % 10], z[n], margin=0.05, squared=False)
    assert len(ours) == 80 and 0 < (ours > 0).sum() < 80
    theirs = losses.TripletMarginLoss()(z, torch.arange(5).repeat(2)).item()
    assert ours[ours > 0].mean().item() == pytest.approx(theirs, rel=1e-9)


def test_no_triplets_cost_nothing() -> None:
    z = torch.eye(4, dtype=torch.float64).requires_grad_()  # every negative is beyond the margin
    loss = mined_triplets(z, z.clone(), margin=0.2, mining="semi-hard")
    assert loss.item() == 0
    loss.backward()
    assert z.grad.abs().max() == 0


# ------------------------------------------------------------------ N pairs


def test_n_pair_by_hand() -> None:
    f, g = rows(4), rows(4)
    s = [[float(f[i] @ g[j]) for j in range(4)] for i in range(4)]
    expected = sum(math.log(1 + sum(math.exp(s[i][j] - s[i][i]) for j in range(4) if j != i)) for i in range(4)) / 4
    assert n_pair(f, g, norm_weight=0).item() == pytest.approx(expected, rel=1e-12)
    norms = float((f.square().sum() + g.square().sum()) / 4)
    assert n_pair(f, g, norm_weight=0.01).item() == pytest.approx(expected + 0.01 * norms, rel=1e-12)


def test_n_pair_values_and_what_it_does_not_see() -> None:
    f, g = rows(5), rows(5)
    assert n_pair(torch.ones(5, 3), torch.ones(5, 3), norm_weight=0).item() == pytest.approx(math.log(5), rel=1e-6)
    moved = n_pair(f, g + rows(1), norm_weight=0)  # the same vector added to all positives
    assert moved.item() == pytest.approx(n_pair(f, g, norm_weight=0).item(), rel=1e-10)


def test_n_pair_agrees_with_pytorch_metric_learning() -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    distances = pytest.importorskip("pytorch_metric_learning.distances")
    f, g = rows(6), rows(6)
    labels = torch.arange(6).repeat(2)
    theirs = losses.NPairsLoss(distance=distances.DotProductSimilarity(normalize_embeddings=False))
    assert n_pair(f, g, norm_weight=0).item() == pytest.approx(theirs(torch.cat([f, g]), labels).item(), rel=1e-6)


def test_gradients() -> None:
    z1, z2 = rows(3).requires_grad_(), rows(3).requires_grad_()
    assert gradcheck(drlim, (z1, z2))
    assert gradcheck(lambda a, b: mined_triplets(a, b, soft_margin=True, mining="all"), (z1, z2))
    assert gradcheck(n_pair, (z1, z2))
