"""What contrastive objectives must do, whatever numbers they see: when they are 0, what they pull, what they equal."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unlabel.losses import (
    alignment,
    blockwise,
    cosine_regression,
    cross_view,
    dcl,
    debiased,
    flat_nce,
    hard_negatives,
    info_nce,
    matching,
    n_pair,
    nt_xent,
    queue_info_nce,
    simple_contrastive,
    sinkhorn,
    triplet,
    uniformity,
)
from unlabel.losses.objectives import OBJECTIVES
from unlabel.losses.two_views import _debiased, _Rows

TAU = 0.4


def rows(n: int = 6, d: int = 5) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64)


def unit(n: int = 6, d: int = 5) -> Tensor:
    return F.normalize(rows(n, d), dim=1)


def simplex(n: int) -> Tensor:
    """n unit vectors whose cosines are all -1 / (n - 1)."""
    return F.normalize(torch.eye(n, dtype=torch.float64) - 1 / n, dim=1)


class Board:
    """Two anchors, e_0 and e_1, whose first candidate can be put anywhere: what it is like for both is free.

    Its cosine to its own anchor is x, to the other y. Nothing else depends on either.
    """

    def __init__(self, x: float, y: float) -> None:
        self.x, self.y = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (x, y))
        self.eye = torch.eye(4, dtype=torch.float64)
        across = torch.tensor([[0.3, -0.2, 0.1, 0.5], [0.4, 0.6, -0.3, 0.2]], dtype=torch.float64)
        self.others = F.normalize(across, dim=1)  # the second views of both images

    def cost(self, loss: Callable[..., Tensor], **own: float) -> Tensor:
        moved = torch.stack([self.x, self.y, (1 - self.x**2 - self.y**2).sqrt(), self.x.new_zeros(())])
        return loss(torch.stack([moved, self.eye[2]]), self.others, small=self.eye[:2], **own)

    def pulls(self, loss: Callable[..., Tensor], **own: float) -> tuple[float, float]:
        """The gradients of the sum over the four rows, in x and in y (which is a negative in two rows)."""
        x, y = torch.autograd.grad(4 * self.cost(loss, **own), (self.x, self.y))
        return float(x), float(y)


PLACES = [(0.2, 0.1), (0.9, -0.3), (-0.6, 0.7)]

# ------------------------------------------------------------------ triplets and N pairs


def test_triplets_cost_nothing_exactly_where_the_margin_holds() -> None:
    a, p, n = unit(200), unit(200), unit(200)
    holds = (a - n).square().sum(dim=1) >= (a - p).square().sum(dim=1) + 0.2
    assert holds.any() and not holds.all()
    assert torch.equal(triplet(a, p, n, margin=0.2) == 0, holds)


def test_two_pairs_cost_the_softplus_of_the_difference() -> None:
    f, g = rows(2), rows(2)
    s = f @ g.T
    expected = (F.softplus(s[0, 1] - s[0, 0]) + F.softplus(s[1, 0] - s[1, 1])) / 2
    assert n_pair(f, g, norm_weight=0).item() == pytest.approx(expected.item(), rel=1e-12)


def test_n_pair_is_one_direction_of_clip_at_scale_one() -> None:
    f, g = unit(), unit()
    there, back = n_pair(f, g, norm_weight=0), n_pair(g, f, norm_weight=0)
    assert there.item() == pytest.approx(F.cross_entropy(f @ g.T, torch.arange(6)).item(), rel=1e-12)
    assert ((there + back) / 2).item() == pytest.approx(matching(f, g, temperature=1.0).item(), rel=1e-12)


# ------------------------------------------------------------------ alignment, uniformity, BYOL


def test_alignment_and_uniformity_do_not_see_rotations() -> None:
    x, y, turn = rows(), rows(), torch.linalg.qr(rows(5, 5))[0]
    assert alignment(x @ turn, y @ turn).item() == pytest.approx(alignment(x, y).item(), rel=1e-12)
    assert uniformity(x @ turn).item() == pytest.approx(uniformity(x).item(), rel=1e-12)
    assert abs(alignment(x @ turn, y).item() - alignment(x, y).item()) > 1e-6


def test_alignment_is_the_value_of_byols_regression() -> None:
    x, y = rows(), rows()
    value = alignment(x, y).item()
    assert value == pytest.approx(cosine_regression(x, y).item(), rel=1e-12)
    assert value == pytest.approx(2 - 2 * F.cosine_similarity(x, y).mean().item(), rel=1e-12)


@pytest.mark.parametrize("tau", [0.1, 0.5, 2.0])
def test_info_nce_of_many_negatives_is_alignment_and_uniformity(tau: float) -> None:
    """L - log M tends to -E[f(x).f(y)] / tau + E_x log E_x' e^{f(x').f(x) / tau}; what is left is of order 1 / M."""
    q, k, images = unit(6, 3), unit(6, 3), unit(50, 3)
    attracted = (1 - alignment(q, k) / 2) / tau
    repelled = [sum(math.exp(float(a @ b) / tau) for b in images) / 50 for a in q]
    limit = float(-attracted) + sum(map(math.log, repelled)) / 6
    near = [math.exp(float(a @ b) / tau) for a, b in zip(q, k, strict=True)]
    left = sum(p / n for p, n in zip(near, repelled, strict=True)) / 6
    for times in (20, 200, 2000):
        m = 50 * times
        found = queue_info_nce(q, k, images.repeat(times, 1), temperature=tau).item() - math.log(m) - limit
        assert m * found == pytest.approx(left, rel=max(near) / min(repelled) / m + 1e-7)


def test_perfectly_aligned_info_nce_is_uniformity_alone() -> None:
    """With equal views -1 / tau + E log(e^{1 / tau} + sum_i e^{f(x_i).f(x) / tau})."""
    q, images = unit(6, 3), unit(50, 3)
    sums = [math.exp(1 / TAU) + sum(math.exp(float(a @ b) / TAU) for b in images) for a in q]
    expected = -1 / TAU + sum(map(math.log, sums)) / 6
    assert queue_info_nce(q, q, images, temperature=TAU).item() == pytest.approx(expected, rel=1e-12)


# ------------------------------------------------------------------ debiased and hard negatives


@pytest.mark.parametrize("tau_plus", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("cosine", ["simplex", "orthogonal", "opposite", "equal"])
def test_the_sum_over_negatives_is_never_below_its_floor(cosine: str, tau_plus: float) -> None:
    z = {"simplex": simplex(4), "orthogonal": torch.eye(4).double(), "opposite": torch.tensor([[1.0], [-1.0]]).double(),
         "equal": torch.ones(3, 2).double()}[cosine]  # fmt: skip
    n, a, s = 2 * len(z) - 2, 1 / TAU, float(F.cosine_similarity(z[0], z[1], dim=0)) / TAU
    found = math.exp(a) * math.expm1(debiased(z, z, temperature=TAU, tau_plus=tau_plus).item())  # l = log(1 + N_i/e^a)
    floor = n * math.exp(-1 / TAU)
    assert found >= floor * (1 - 1e-9)
    below = (math.exp(s) - tau_plus * math.exp(a)) / (1 - tau_plus) <= math.exp(-1 / TAU) * (1 + 1e-9)
    assert (found == pytest.approx(floor, rel=1e-8)) == below


def test_with_the_right_prior_the_estimate_of_true_negatives_is_unbiased() -> None:
    """One anchor, draws of 40 images from five equal classes and of one view of its own: the mean over many draws."""
    draws, n, classes = 20_000, 40, 5
    centres = unit(classes, 4)

    def drawn(names: Tensor) -> Tensor:
        return F.normalize(centres[names] + 0.3 * torch.randn(*names.shape, 4, dtype=torch.float64), dim=-1)

    anchor = centres[0]
    s = drawn(torch.randint(classes, (draws, n))) @ anchor
    attracted = drawn(torch.zeros(draws, dtype=torch.long)) @ anchor
    truth = (drawn(torch.randint(1, classes, (400_000,))) @ anchor).exp().mean().item()

    def estimates(tau_plus: float) -> Tensor:
        """N_i / N of each draw, from its loss."""

        def cost(a: Tensor, repelled: Tensor) -> Tensor:
            row = _Rows.__new__(_Rows)  # of the numbers alone, without embeddings
            row.temperature, row.attracted, row.negatives, row.z = 1.0, a[None], n, s
            return _debiased(row, repelled[None], tau_plus)

        return attracted.exp() * torch.vmap(cost)(attracted, s.logsumexp(dim=1)).expm1() / n

    found = estimates(1 / classes)
    assert found.min() > math.exp(-1) + 1e-6, "the floor would bias it"
    error = found.std().item() / draws**0.5
    assert found.mean().item() == pytest.approx(truth, abs=4 * error + 0.003)
    assert estimates(0.0).mean().item() - truth > 0.05


@pytest.mark.parametrize("beta", [0.5, 1.0, 6.0])
@pytest.mark.parametrize("b", [2, 3, 9])
def test_weights_of_hard_negatives_have_mean_one(b: int, beta: float) -> None:
    """Negatives that are all as near weigh one each; what two weigh that are not as near adds up to two."""
    z = simplex(b)
    n, s = 2 * b - 2, -1 / (b - 1) / TAU
    expected = math.log1p(n * math.exp(s - 1 / TAU))
    assert hard_negatives(z, z, temperature=TAU, tau_plus=0.0, beta=beta).item() == pytest.approx(expected, rel=1e-10)
    z1 = torch.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    z2 = torch.tensor([[1.0, 0.0], [0.6, -0.8]], dtype=torch.float64)
    values = []
    for i, j, others in ((z1[0], z2[0], (z1[1], z2[1])), (z2[0], z1[0], (z1[1], z2[1])),
                         (z1[1], z2[1], (z1[0], z2[0])), (z2[1], z1[1], (z1[0], z2[0]))):  # fmt: skip
        e = torch.stack([i @ other for other in others]) / TAU
        w = 2 * (beta * e).softmax(dim=0)
        values.append(((w * e.exp()).sum() / (i @ j / TAU).exp()).log1p())
    found = hard_negatives(z1, z2, temperature=TAU, tau_plus=0.0, beta=beta)
    assert found.item() == pytest.approx(torch.stack(values).mean().item(), rel=1e-10)


@pytest.mark.parametrize("tau_plus", [0.0, 0.01, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("b", [2, 7])
def test_equal_embeddings_cost_the_same_whatever_the_share_of_a_class(b: int, tau_plus: float) -> None:
    z, expected = torch.ones(b, 3, dtype=torch.float64), math.log(2 * b - 1)
    for tau in (0.1, 0.5):
        assert debiased(z, z, temperature=tau, tau_plus=tau_plus).item() == pytest.approx(expected, rel=1e-11)
        for beta in (0.5, 2.0):
            found = hard_negatives(z, z, temperature=tau, tau_plus=tau_plus, beta=beta)
            assert found.item() == pytest.approx(expected, rel=1e-11)


def reweighted(anchor: Tensor, positive: Tensor, negatives: Tensor, beta: float) -> float:
    """R of one anchor among negatives [N, 2, d], two of each of N images, from the loss of a batch.

    The other anchors are 0, so that for any beta each of their rows costs log(1 + 2N).
    """
    n = len(negatives)
    z1, z2 = (torch.cat([positive[None], negatives[:, view]]) for view in range(2))
    small = torch.cat([anchor[None], torch.zeros(n, len(anchor), dtype=anchor.dtype)])
    loss = hard_negatives(z1, z2, small=small, temperature=TAU, tau_plus=0.0, beta=beta).item()
    own = ((2 * n + 2) * loss - 2 * n * math.log(1 + 2 * n)) / 2
    return math.exp(float(anchor @ positive) / TAU) * math.expm1(own)


def test_no_anchors_negatives_weigh_less_for_a_larger_beta() -> None:
    betas = (0.0, 0.1, 0.5, 1.0, 2.0, 6.0, 20.0)
    for anchor, positive in zip(unit(20), unit(20), strict=True):
        negatives = unit(8).unflatten(0, (4, 2))
        found = [reweighted(anchor, positive, negatives, beta) for beta in betas]
        s = [float(anchor @ row) / TAU for row in negatives.flatten(0, 1)]
        assert found[0] == pytest.approx(sum(map(math.exp, s)), rel=1e-8)
        assert all(larger > smaller * (1 + 1e-9) for smaller, larger in pairwise(found))
        assert found[-1] <= 8 * math.exp(max(s)) * (1 + 1e-8)
        alike = negatives[:1, :1].expand(4, 2, -1)
        same = [reweighted(anchor, positive, alike, beta) for beta in betas]
        assert same == pytest.approx([8 * math.exp(s[0])] * len(betas), rel=1e-8)


# ------------------------------------------------------------------ FlatNCE, DCL, the simple loss: what they pull


def test_flat_nce_does_not_see_what_is_added_to_all_similarities_of_an_anchor() -> None:
    """One more coordinate, 0.6 for all candidates and ±0.8 for anchors, adds ±0.48 to each of their similarities."""
    v1, v2, w = (0.8 * unit(), 0.8 * unit(), 0.6 * unit())
    found = []
    for sign in (1.0, -1.0):
        leaves = [v.clone().requires_grad_() for v in (v1, v2)]
        z1, z2 = (torch.cat([v, torch.full((6, 1), 0.6, dtype=v.dtype)], dim=1) for v in leaves)
        anchors = torch.cat([w, torch.full((6, 1), 0.8 * sign, dtype=w.dtype)], dim=1)
        loss = flat_nce(z1, z2, small=anchors, temperature=TAU)
        through = torch.autograd.grad(loss, leaves)
        # Normalising mixes coordinates along the candidate alone, so what lies across it is compared.
        across = [g - (g * v).sum(1, True) * v / 0.64 for g, v in zip(through, (v1, v2), strict=True)]
        found.append([loss.detach(), *across])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(("x", "y"), PLACES)
@pytest.mark.parametrize("loss", [flat_nce, dcl])
def test_positives_are_pulled_alike_wherever_they_are(loss: Callable[..., Tensor], x: float, y: float) -> None:
    """-1 / tau for the positive; for negatives their share among negatives, the positive not being one of them."""
    board = Board(x, y)
    pulls = board.pulls(loss, temperature=TAU)
    negatives = [float(board.eye[1] @ board.others[0]), y]
    share = math.exp(y / TAU) / sum(math.exp(s / TAU) for s in negatives)
    assert pulls == pytest.approx((-1 / TAU, 2 * share / TAU), rel=1e-10)


def test_a_single_negative_is_pushed_as_hard_wherever_it_is() -> None:
    """Two images whose views are equal: each row has one negative, twice."""
    for cosine in (-0.9, 0.0, 0.95):
        z = torch.tensor([[1.0, 0.0], [cosine, math.sqrt(1 - cosine**2)]], dtype=torch.float64)
        leaves = [z.clone().requires_grad_() for _ in range(2)]
        flat = torch.autograd.grad(flat_nce(*leaves, temperature=TAU), leaves)
        linear = torch.autograd.grad(simple_contrastive(*leaves, weight=0.5), leaves)
        for mine, other in zip(flat, linear, strict=True):
            torch.testing.assert_close(mine, other / TAU, rtol=1e-10, atol=1e-13)


def test_dcl_holds_the_positive_once() -> None:
    """Its similarity moves the value by -1 / tau of itself: there is none in the denominator."""
    near, far = (Board(x, 0.1).cost(dcl, temperature=TAU).item() for x in (0.9, -0.5))
    assert far - near == pytest.approx(1.4 / TAU / 4, rel=1e-10)


def test_info_nce_moves_a_row_as_dcl_does_times_what_is_not_yet_solved() -> None:
    z1, z2 = rows().requires_grad_(), rows().requires_grad_()
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    s, itself, images = z @ z.T / TAU, torch.eye(12, dtype=torch.bool), torch.arange(12) % 6
    positive = s[torch.arange(12), torch.arange(12).roll(6)]
    p = (positive - s.masked_fill(itself, -torch.inf).logsumexp(dim=1)).exp().detach()
    decoupled = s.masked_fill(images[:, None] == images, -torch.inf).logsumexp(dim=1) - positive
    torch.testing.assert_close(decoupled.mean(), dcl(z1, z2, temperature=TAU), rtol=1e-12, atol=0)
    expected = torch.autograd.grad(((1 - p) * decoupled).mean(), (z1, z2))
    found = torch.autograd.grad(nt_xent(z1, z2, temperature=TAU), (z1, z2))
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("x", "y"), PLACES)
def test_the_simple_loss_pulls_alike_everywhere(x: float, y: float) -> None:
    assert Board(x, y).pulls(simple_contrastive, weight=0.3) == pytest.approx((-1, 0.6), rel=1e-10)


def test_contrastive_loss_at_both_ends_of_the_temperature() -> None:
    z1, z2 = unit(), unit()
    n = 11  # candidates: L = log n + ((n - 1) / n tau) (mean of negatives - positive) + O(1 / tau²)
    hot = math.log(n) + (n - 1) / n / 1e4 * simple_contrastive(z1, z2).item()
    assert nt_xent(z1, z2, temperature=1e4).item() == pytest.approx(hot, abs=1e-7)
    assert abs(hot - math.log(n)) > 1e-6
    s = torch.cat([z1, z2]) @ torch.cat([z1, z2]).T
    images = torch.arange(12) % 6
    hardest = s.masked_fill(images[:, None] == images, -torch.inf).amax(dim=1)
    cold = (hardest - s[torch.arange(12), torch.arange(12).roll(6)]).clamp(min=0).mean()
    assert 1e-3 * nt_xent(z1, z2, temperature=1e-3).item() == pytest.approx(cold.item(), abs=1e-3)


def test_penalties_of_negatives_spread_as_the_temperature_rises() -> None:
    """r_j = |dL / ds_j| / |dL / ds_p| is the softmax over negatives at tau, whose entropy rises towards log N."""
    anchor, positive = torch.ones(1, 1, dtype=torch.float64), torch.tensor([0])  # similarities are the candidates
    s = torch.tensor([0.6, 0.9, 0.2, -0.3, 0.85, -0.9, 0.1], dtype=torch.float64)[:, None].requires_grad_()
    entropies = []
    for tau in (0.03, 0.07, 0.3, 0.7, 1.0, 10.0, 1000.0):
        (pull,) = torch.autograd.grad(info_nce(anchor, s, positive, temperature=tau).sum(), s)
        r = (pull[1:] / -pull[0]).flatten()
        assert float(r.sum()) == pytest.approx(1, rel=1e-11)
        torch.testing.assert_close(r, (s.detach()[1:, 0] / tau).softmax(dim=0), rtol=1e-9, atol=1e-14)
        entropies.append(float(torch.special.entr(r).sum()))
    assert all(larger > smaller for smaller, larger in pairwise(entropies))
    assert entropies[0] < 0.5 and entropies[-1] == pytest.approx(math.log(6), rel=1e-6)


# ------------------------------------------------------------------ tiles against the whole matrix; Sinkhorn


def _left(a: Tensor, c: Tensor, same: tuple[Tensor, Tensor] | None) -> Tensor:
    s = a @ c.T
    return s if same is None else s.masked_fill(same[0][:, None] == same[1], -torch.inf)


def whole_log_sum_exp(
    a: Tensor, c: Tensor, k: Tensor, *, same: tuple[Tensor, Tensor] | None = None, least: Tensor | None = None
) -> Tensor:
    s = _left(a, c, same)
    s = s if least is None else s.masked_fill(s < least[:, None], -torch.inf)
    return (k * s).logsumexp(dim=1)


def whole_sum(a: Tensor, c: Tensor, *, same: tuple[Tensor, Tensor], least: Tensor) -> tuple[Tensor, Tensor]:
    s = _left(a, c, same)
    counts = s >= least[:, None]
    return s.masked_fill(~counts, 0.0).sum(dim=1), counts.sum(dim=1)


def whole_least(a: Tensor, c: Tensor, count: int, *, same: tuple[Tensor, Tensor]) -> Tensor:
    return _left(a, c, same).detach().topk(count, dim=1).values[:, -1]


KERNEL: dict[str, Callable[..., Tensor]] = {
    **{name: loss for name, loss in OBJECTIVES.items() if name not in ("drlim", "triplet")},
    "cross_view": lambda z1, z2: cross_view(z1, z2, temperature=0.1),
    "matching": lambda z1, z2: matching(z1, z2, temperature=0.07),
    "simple, hardest": lambda z1, z2: simple_contrastive(z1, z2, alpha=0.1),
}


@pytest.mark.parametrize("name", KERNEL)
def test_float32_in_tiles_is_the_whole_matrix(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blockwise, "TILE", 16)
    z = [torch.randn(50, 16), torch.randn(50, 16)]
    tiled = KERNEL[name](*z)
    assert tiled.dtype == torch.float32
    monkeypatch.setattr(blockwise, "row_log_sum_exp", whole_log_sum_exp)
    monkeypatch.setattr(blockwise, "row_sum", whole_sum)
    monkeypatch.setattr(blockwise, "least_of_nearest", whole_least)
    assert tiled.item() == pytest.approx(KERNEL[name](*z).item(), rel=1e-6, abs=1e-6)


def test_sinkhorn_is_a_softmax_with_a_centre() -> None:
    """SwAV's targets are DINO's, sharpened and centred, with a centre that gives every prototype as much."""
    scores, epsilon = rows(12, 4), 0.3
    q = sinkhorn(scores, epsilon=epsilon, iterations=200)
    centre = scores[0] - epsilon * q[0].log()  # of one image, and the same for all
    torch.testing.assert_close(q, ((scores - centre) / epsilon).softmax(dim=1), rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(q.mean(dim=0), torch.full((4,), 0.25, dtype=q.dtype), rtol=1e-8, atol=0)
    assert (scores / epsilon).softmax(dim=1).mean(dim=0).std() > 1e-2
