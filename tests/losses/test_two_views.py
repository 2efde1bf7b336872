"""Objectives of two views: the formulas written out, their identities and limits, the values of collapse."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import (
    blockwise,
    dcl,
    dclw,
    debiased,
    flat_nce,
    hard_contrastive,
    hard_negatives,
    nt_xent,
    simple_contrastive,
)
from unlabel.losses.two_views import _Rows


def pair(b: int = 6, d: int = 5) -> tuple[Tensor, Tensor]:
    return torch.randn(b, d, dtype=torch.float64), torch.randn(b, d, dtype=torch.float64)


def written_out(z1: Tensor, z2: Tensor, temperature: float) -> list[tuple[float, list[float]]]:
    """For each row: its similarity to the positive, and those to the negatives, both divided by the temperature."""
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    n, b = len(z), len(z1)
    s = [[float(z[i] @ z[j]) / temperature for j in range(n)] for i in range(n)]
    return [(s[i][(i + b) % n], [s[i][j] for j in range(n) if j % b != i % b]) for i in range(n)]


def mean_over_rows(z1: Tensor, z2: Tensor, temperature: float, row: Callable[[float, list[float]], float]) -> float:
    rows = written_out(z1, z2, temperature)
    return sum(row(a, negatives) for a, negatives in rows) / len(rows)


LOSSES = [dcl, dclw, flat_nce, debiased, hard_negatives, hard_contrastive]


# ------------------------------------------------------------------ formulas


def test_dcl_is_the_formula() -> None:
    z1, z2 = pair()
    expected = mean_over_rows(z1, z2, 0.2, lambda a, s: -a + math.log(sum(map(math.exp, s))))
    assert dcl(z1, z2, temperature=0.2).item() == pytest.approx(expected, rel=1e-12)


def test_dclw_is_the_formula() -> None:
    z1, z2 = pair()
    cosines = F.cosine_similarity(z1, z2).repeat(2)
    weights = 2 - (cosines / 0.5).exp() / (cosines / 0.5).exp().mean()
    assert weights.mean().item() == pytest.approx(1, rel=1e-12)
    rows = written_out(z1, z2, 0.1)
    expected = sum(-float(w) * a + math.log(sum(map(math.exp, s))) for w, (a, s) in zip(weights, rows, strict=True))
    assert dclw(z1, z2, temperature=0.1, sigma=0.5).item() == pytest.approx(expected / len(rows), rel=1e-12)


@pytest.mark.parametrize("tau_plus", [0.0, 0.1, 0.6])
def test_debiased_is_the_formula(tau_plus: float) -> None:
    def row(a: float, s: list[float]) -> float:
        n = len(s)
        others = (sum(map(math.exp, s)) - n * tau_plus * math.exp(a)) / (1 - tau_plus)
        return -a + math.log(math.exp(a) + max(others, n * math.exp(-1 / 0.5)))

    z1, z2 = pair()
    assert debiased(z1, z2, temperature=0.5, tau_plus=tau_plus).item() == pytest.approx(
        mean_over_rows(z1, z2, 0.5, row), rel=1e-12
    )


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_hard_negatives_are_the_formula(beta: float) -> None:
    def row(a: float, s: list[float]) -> float:
        n = len(s)
        mean = sum(math.exp(beta * x) for x in s) / n
        weighted = sum(math.exp(beta * x) / mean * math.exp(x) for x in s)
        others = (weighted - n * 0.1 * math.exp(a)) / 0.9
        return -a + math.log(math.exp(a) + max(others, n * math.exp(-1 / 0.5)))

    z1, z2 = pair()
    assert hard_negatives(z1, z2, temperature=0.5, tau_plus=0.1, beta=beta).item() == pytest.approx(
        mean_over_rows(z1, z2, 0.5, row), rel=1e-12
    )


def test_simple_is_the_formula() -> None:
    z1, z2 = pair()
    expected = mean_over_rows(z1, z2, 1.0, lambda a, s: -a + 0.3 * sum(s))
    assert simple_contrastive(z1, z2, weight=0.3).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("alpha", "kept"), [(0.05, 1), (0.35, 4), (1.0, 10)])
def test_hard_contrastive_keeps_the_nearest_negatives(alpha: float, kept: int) -> None:
    def hardest(s: list[float]) -> list[float]:
        return sorted(s)[-kept:]

    z1, z2 = pair()
    expected = mean_over_rows(z1, z2, 0.3, lambda a, s: -a + math.log(math.exp(a) + sum(map(math.exp, hardest(s)))))
    assert hard_contrastive(z1, z2, alpha=alpha).item() == pytest.approx(expected, rel=1e-12)
    simple = mean_over_rows(z1, z2, 1.0, lambda a, s: -a + 0.3 * sum(hardest(s)))
    assert simple_contrastive(z1, z2, weight=0.3, alpha=alpha).item() == pytest.approx(simple, rel=1e-12)
    assert hard_contrastive(z1, z2, alpha=alpha).item() <= nt_xent(z1, z2, temperature=0.3).item() + 1e-12


def whole_hardest(z1: Tensor, z2: Tensor, alpha: float, small: Tensor | None, *, simple: bool) -> Tensor:
    """Both objectives of the hardest negatives, in the form that holds the matrix."""
    rows = _Rows(z1, z2, 1.0 if simple else 0.3, small)
    s, own = rows.anchors @ rows.z.T, rows.images[:, None] == rows.images
    near = s.detach().masked_fill(own, -torch.inf)
    kept = (near >= near.topk(math.ceil(alpha * rows.negatives), dim=1).values[:, -1:]) & ~own
    if simple:
        return ((s * kept).sum(dim=1) / kept.sum(dim=1) - rows.cosine).mean()
    return F.softplus((s / 0.3).masked_fill(~kept, -torch.inf).logsumexp(dim=1) - rows.attracted).mean()


@pytest.mark.parametrize("tile", [4, 1024])
@pytest.mark.parametrize("with_small", [False, True])
@pytest.mark.parametrize("alpha", [0.05, 0.35, 0.95, 1.0])
@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("loss", [hard_contrastive, simple_contrastive])
def test_hardest_are_those_of_the_whole_matrix(
    loss: Callable[..., Tensor],
    equal: bool,
    alpha: float,
    with_small: bool,
    tile: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Values and gradients, also where several negatives are as near as the last that is kept."""
    monkeypatch.setattr(blockwise, "TILE", tile)
    start = [torch.randn(7, 4, dtype=torch.float64) for _ in range(3)]
    if equal:  # signs in coordinates: every product is exact, and many are the same
        start = [z.sign() for z in start]
    leaves = [z.requires_grad_() for z in start[: 2 + with_small]]
    small = leaves[2] if with_small else None
    mine = loss(*leaves[:2], alpha=alpha, small=small)
    expected = whole_hardest(*leaves[:2], alpha, small, simple=loss is simple_contrastive)
    assert mine.item() == pytest.approx(expected.item(), rel=1e-12)
    for found, other in zip(torch.autograd.grad(mine, leaves), torch.autograd.grad(expected, leaves), strict=True):
        torch.testing.assert_close(found, other, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("loss", [dcl, hard_negatives, hard_contrastive, simple_contrastive])
def test_memory_does_not_hold_the_matrix(loss: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """1,024 rows in tiles of 128: the matrix would have 2²⁰ entries."""
    monkeypatch.setattr(blockwise, "TILE", 128)
    monkeypatch.setattr(blockwise, "KEPT", 0)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, tuple) else (out,):
                if isinstance(tensor, Tensor):
                    largest = max(largest, tensor.numel())
            return out

    z1, z2 = (torch.randn(512, 8).requires_grad_() for _ in range(2))
    options = {"alpha": 0.05} if loss in (hard_contrastive, simple_contrastive) else {}
    with Watch():
        loss(z1, z2, **options).backward()
    assert largest <= 128 * (128 + 52)  # 52 negatives are kept
    assert z1.grad is not None and z1.grad.isfinite().all() and z1.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("loss", "alpha"), [(hard_contrastive, 0.0), (hard_contrastive, 1.1), (simple_contrastive, 0.0)]
)
def test_share_of_negatives_out_of_range(loss: Callable[..., Tensor], alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        loss(*pair(), alpha=alpha)


# ------------------------------------------------------------------ identities


def test_info_nce_is_the_softplus_of_dcl_row_by_row() -> None:
    z1, z2 = pair()
    rows = _Rows(z1, z2, 0.2)
    assert F.softplus(rows.repelled() - rows.attracted).mean().item() == pytest.approx(
        nt_xent(z1, z2, temperature=0.2).item(), rel=1e-12
    )


def test_flat_nce_has_the_value_of_nt_xent_and_the_gradient_of_dcl() -> None:
    z1, z2 = (z.requires_grad_() for z in pair())
    flat = flat_nce(z1, z2, temperature=0.2)
    assert flat.item() == pytest.approx(nt_xent(z1, z2, temperature=0.2).item(), rel=1e-12)
    flat = torch.autograd.grad(flat, (z1, z2))
    plain = torch.autograd.grad(dcl(z1, z2, temperature=0.2), (z1, z2))
    for mine, theirs in zip(flat, plain, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-11, atol=1e-14)


def test_reductions() -> None:
    z1, z2 = pair()
    plain = nt_xent(z1, z2, temperature=0.5).item()
    assert debiased(z1, z2, temperature=0.5, tau_plus=0.0).item() == pytest.approx(plain, rel=1e-12)
    assert hard_negatives(z1, z2, temperature=0.5, tau_plus=0.0, beta=0.0).item() == pytest.approx(plain, rel=1e-12)
    assert hard_negatives(z1, z2, temperature=0.5, tau_plus=0.2, beta=0.0).item() == pytest.approx(
        debiased(z1, z2, temperature=0.5, tau_plus=0.2).item(), rel=1e-12
    )
    assert dclw(z1, z2, temperature=0.5, sigma=1e9).item() == pytest.approx(
        dcl(z1, z2, temperature=0.5).item(), rel=1e-8
    )


def test_harder_negatives_weigh_more_and_in_the_limit_alone() -> None:
    z1, z2 = pair()
    losses = [hard_negatives(z1, z2, tau_plus=0.0, beta=beta).item() for beta in (0.0, 0.5, 1.0, 4.0)]
    assert losses == sorted(losses) and losses[0] < losses[-1]
    hardest = mean_over_rows(z1, z2, 0.5, lambda a, s: -a + math.log(math.exp(a) + len(s) * math.exp(max(s))))
    assert hard_negatives(z1, z2, tau_plus=0.0, beta=1e4).item() == pytest.approx(hardest, abs=1e-3)


def test_simple_is_the_limit_of_nt_xent_at_high_temperature() -> None:
    z1, z2 = (z.requires_grad_() for z in pair())
    tau = 1e6
    limit = torch.autograd.grad(tau * nt_xent(z1, z2, temperature=tau), z1)[0]
    n = 2 * len(z1) - 1  # candidates: d/ds_p is -(n - 1)/n there
    simple = torch.autograd.grad(simple_contrastive(z1, z2) * (n - 1) / n, z1)[0]
    assert torch.allclose(limit, simple, rtol=1e-4, atol=1e-7)


def test_debiased_floor_stops_the_gradient_of_negatives() -> None:
    z1 = pair(3, 8)[0].requires_grad_()
    near = z1.detach() + 1e-3  # positives nearly identical: e^{a} outweighs the negatives
    rows = _Rows(z1, near, 0.5)
    attracted = torch.autograd.grad((-rows.attracted + torch.log(rows.attracted.exp() + 4 * math.exp(-2))).mean(), z1)
    whole = torch.autograd.grad(debiased(z1, near, temperature=0.5, tau_plus=0.9), z1)
    assert torch.allclose(whole[0], attracted[0], rtol=1e-10, atol=1e-14)


# ------------------------------------------------------------------ values, symmetries, gradients


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (dcl, lambda b: math.log(2 * b - 2)),
        (flat_nce, lambda b: math.log(2 * b - 1)),
        (debiased, lambda b: math.log(2 * b - 1)),
        (hard_negatives, lambda b: math.log(2 * b - 1)),
        (hard_contrastive, lambda b: math.log(2 * b - 1)),
    ],
)
@pytest.mark.parametrize("b", [2, 7])
def test_value_of_collapse(loss: Callable[..., Tensor], expected: Callable[[int], float], b: int) -> None:
    z = torch.ones(b, 3, dtype=torch.float64)
    assert loss(z, z, temperature=0.5).item() == pytest.approx(expected(b), rel=1e-12)


def test_dcl_of_two_solved_images() -> None:
    z = torch.eye(2, dtype=torch.float64)
    assert dcl(z, z, temperature=0.5).item() == pytest.approx(-2 + math.log(2), rel=1e-12)
    assert dcl(z, z, temperature=0.5).item() == pytest.approx(-1.306853, abs=5e-7)


@pytest.mark.parametrize("loss", [*LOSSES, simple_contrastive])
def test_scale_and_order_do_not_matter(loss: Callable[..., Tensor]) -> None:
    z1, z2 = pair()
    value = loss(z1, z2).item()
    scale, order = torch.rand(6, 1, dtype=torch.float64) + 0.1, torch.randperm(6)
    for same in (loss(z1 * scale, z2 / scale), loss(z2, z1), loss(z1[order], z2[order])):
        assert same.item() == pytest.approx(value, rel=1e-12)
    assert abs(loss(z1.roll(1, 0), z2).item() - value) > 1e-6  # other positives


@pytest.mark.parametrize("loss", [dcl, debiased, hard_negatives, hard_contrastive, simple_contrastive])
def test_gradients(loss: Callable[..., Tensor]) -> None:
    z1, z2 = (z.requires_grad_() for z in pair(3, 4))
    assert gradcheck(loss, (z1, z2))


def test_weights_of_dclw_have_no_gradient() -> None:
    z1, z2 = (z.requires_grad_() for z in pair())
    weights = (2 - 12 * torch.softmax(F.cosine_similarity(z1, z2).repeat(2) / 0.5, dim=0)).detach()
    rows = _Rows(z1, z2, 0.1)
    expected = torch.autograd.grad((rows.repelled() - weights * rows.attracted).mean(), z1)[0]
    assert torch.allclose(torch.autograd.grad(dclw(z1, z2), z1)[0], expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
def test_float32_of_large_batches_and_low_temperatures(loss: Callable[..., Tensor]) -> None:
    z1, z2 = torch.randn(600, 16), torch.randn(600, 16)
    exact = loss(z1.double(), z2.double(), temperature=0.05)
    assert loss(z1, z2, temperature=0.05).item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.parametrize(("loss", "name"), [(dcl, "DCLLoss"), (dclw, "DCLWLoss")])
def test_agrees_with_lightly(loss: Callable[..., Tensor], name: str) -> None:
    lightly = pytest.importorskip("lightly.loss")
    z1, z2 = pair()
    theirs = getattr(lightly, name)(temperature=0.1)(z1, z2)
    assert loss(z1, z2, temperature=0.1).item() == pytest.approx(theirs.item(), rel=1e-6)


@pytest.mark.parametrize("loss", [*LOSSES, simple_contrastive])
def test_one_image_is_refused(loss: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match="two at least"):
        loss(torch.randn(1, 4), torch.randn(1, 4))


@pytest.mark.parametrize("tau_plus", [-0.1, 1.0])
def test_share_of_a_class_out_of_range(tau_plus: float) -> None:
    with pytest.raises(ValueError, match="tau_plus"):
        debiased(*pair(), tau_plus=tau_plus)
