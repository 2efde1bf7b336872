"""The tile-by-tile form gives the values and gradients of the plain one, at every size and in every shape."""

import math
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import align_uniform, blockwise, dcl, dclw, debiased, flat_nce, hard_negatives, info_nce, nt_xent
from unlabel.losses.blockwise import row_log_sum_exp


@pytest.fixture
def tiles_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tiles, so that a few rows make many of them, the last ones ragged."""
    monkeypatch.setattr(blockwise, "TILE", 4)


def unit(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=draw, dtype=torch.float64), dim=1).to(dtype).requires_grad_()


def plain(a: Tensor, c: Tensor, k: Tensor, left_out: Tensor | None = None) -> Tensor:
    s = k * a @ c.T
    return (s if left_out is None else s.masked_fill(left_out, -torch.inf)).logsumexp(dim=1)


def scalar(k: float) -> Tensor:
    return torch.tensor(k, dtype=torch.float64, requires_grad=True)


NAMES = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2, 3, 4])

CASES = {  # anchors are the candidates?, k, names
    "symmetric": (True, 5.0, None),
    "symmetric without itself": (True, 5.0, torch.arange(10)),
    "symmetric without its image": (True, 5.0, NAMES),
    "symmetric, unbounded": (True, 400.0, NAMES),
    "two towers": (False, 5.0, None),
    "two towers, named": (False, 5.0, NAMES),
    "two towers, unbounded": (False, 400.0, NAMES),
}


@pytest.mark.parametrize("kept", [0, 40, 2**25])  # entries; tiles have 16 and less
@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("tiles_of_four")
def test_values_and_gradients_are_those_of_the_whole_matrix(
    case: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blockwise, "KEPT", kept)
    alike, size, names = CASES[case]
    weights = torch.rand(10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = []
    for lean in (False, True):
        a, k = unit(10, 3), scalar(size)
        c = a if alike else unit(7, 3, seed=2)
        same = None if names is None else (names, names if alike else names[3:])
        left_out = None if same is None else same[0][:, None] == same[1]
        r = row_log_sum_exp(a, c, k, same=same) if lean else plain(a, c, k, left_out)
        found.append((r, *torch.autograd.grad((weights * r).sum(), (a, k) if alike else (a, c, k))))
    for mine, expected in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("k", [5.0, 400.0])
@pytest.mark.parametrize("kept", [0, 40, 2**25])  # entries; tiles have 16 and less
@pytest.mark.usefixtures("tiles_of_four")
def test_a_row_without_candidates_moves_nothing(kept: int, k: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blockwise, "KEPT", kept)
    a, c, names = unit(5, 3), unit(7, 3, seed=1), torch.tensor([0, 0, 1, 0, 0])
    r = row_log_sum_exp(a, c, scalar(k), same=(names, torch.ones(7, dtype=torch.long)))
    assert r[2] == -torch.inf and torch.isfinite(r[[0, 1, 3, 4]]).all()
    toward_a, toward_c = torch.autograd.grad(r[[0, 1, 3, 4]].sum(), (a, c))
    assert (
        torch.isfinite(toward_c).all() and (toward_a[2] == 0).all() and (toward_a[[0, 1, 3, 4]] != 0).any(dim=1).all()
    )


@pytest.mark.usefixtures("tiles_of_four")
def test_a_graph_may_be_walked_twice() -> None:
    a, names = unit(10, 3), torch.arange(10)
    loss = row_log_sum_exp(a, a, scalar(5.0), same=(names, names)).sum()
    first, second = (torch.autograd.grad(loss, a, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.usefixtures("tiles_of_four")
def test_gradcheck(alike: bool) -> None:
    a, c, k = unit(6, 3), unit(5, 3, seed=1), scalar(3.0)
    names = torch.arange(6)
    if alike:
        assert gradcheck(lambda a, k: row_log_sum_exp(a, a, k, same=(names, names)), (a, k))
    else:
        assert gradcheck(lambda a, c, k: row_log_sum_exp(a, c, k), (a, c, k))


@pytest.mark.usefixtures("tiles_of_four")
def test_it_serves_info_nce(monkeypatch: pytest.MonkeyPatch) -> None:
    """NT-Xent, a queue with several positives and a learnt temperature: the same rows, the same gradients."""
    z1, z2, queue = unit(6, 4), unit(6, 4, seed=1), unit(9, 4, seed=2)
    positive = torch.tensor([[0, 3], [1, -1], [2, 8], [3, -1], [4, 0], [5, 5]])
    t = scalar(0.3)
    losses = {
        "in-batch": lambda: nt_xent(z1, z2, temperature=0.2),
        "queue": lambda: (info_nce(z1, queue, positive, temperature=t) * torch.arange(6)).sum(),
    }
    for loss in losses.values():
        monkeypatch.setattr(blockwise, "held_whole", lambda *_: True)
        whole = loss()
        expected = torch.autograd.grad(whole, (z1, z2, queue, t), allow_unused=True)
        monkeypatch.setattr(blockwise, "held_whole", lambda *_: False)
        lean = loss()
        assert lean.item() == pytest.approx(whole.item(), rel=1e-12)
        for mine, other in zip(torch.autograd.grad(lean, (z1, z2, queue, t), allow_unused=True), expected, strict=True):
            if other is not None:
                torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


def test_float32_at_its_real_size() -> None:
    """1,500 rows make tiles of full and of ragged size; equal to float64 within 1e-6."""
    z1, z2 = unit(750, 16), unit(750, 16, seed=1)
    exact = nt_xent(z1, z2, temperature=0.1)
    grads = torch.autograd.grad(exact, (z1, z2))
    short = [z.detach().float().requires_grad_() for z in (z1, z2)]
    loss = nt_xent(*short, temperature=0.1)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-6)
    for mine, expected in zip(torch.autograd.grad(loss, short), grads, strict=True):
        torch.testing.assert_close(mine.double(), expected, rtol=1e-3, atol=1e-8)


def test_small_temperatures_take_the_careful_path_and_stay_exact() -> None:
    z = unit(40, 4, dtype=torch.float32)
    names = torch.arange(40)
    for k in (20.0, 29.9, 30.1, 1000.0):
        r = row_log_sum_exp(z, z, torch.tensor(k), same=(names, names))
        want = plain(z.double(), z.double(), torch.tensor(k).double(), names[:, None] == names)
        torch.testing.assert_close(r.double(), want, rtol=2e-6, atol=2e-5)


def test_several_positives_are_averaged_and_absent_ones_left_out() -> None:
    a, c = unit(2, 3), unit(5, 3, seed=1)
    rows = info_nce(a, c, torch.tensor([[1, 4], [3, -1]]), temperature=0.5)
    single = [info_nce(a, c, torch.tensor(p), temperature=0.5) for p in ([1, 3], [4, 3])]
    torch.testing.assert_close(rows, (single[0] + single[1]) / 2, rtol=1e-12, atol=0)


def test_memory_does_not_hold_the_matrix() -> None:
    """8,192 rows: the matrix would take 256 MiB; no tensor larger than a tile is ever made."""
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, Tensor):
                largest = max(largest, out.numel())
            return out

    z1, z2 = (F.normalize(torch.randn(4096, 8), dim=1).requires_grad_() for _ in range(2))
    with Watch():
        loss = nt_xent(z1, z2, temperature=0.2)
        loss.backward()
    assert largest <= max(blockwise.TILE**2, 8192 * 8)
    assert math.isfinite(loss.item()) and z1.grad is not None and z1.grad.isfinite().all()


def test_half_precision_around_it_changes_nothing() -> None:
    a, c, k = unit(6, 9, dtype=torch.float32), unit(5, 9, seed=1, dtype=torch.float32), torch.tensor(20.0)
    expected = row_log_sum_exp(a, c, k)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(row_log_sum_exp(a, c, k), expected)


def test_candidates_that_take_no_gradient_get_none() -> None:
    a, c, k = unit(6, 3), unit(5, 3, seed=1), scalar(3.0)
    expected, _ = torch.autograd.grad(row_log_sum_exp(a, c, k).sum(), (a, c))
    still = row_log_sum_exp(a, c.detach(), k)
    assert torch.equal(torch.autograd.grad(still.sum(), a)[0], expected)


@pytest.mark.usefixtures("tiles_of_four")
def test_so_many_tiles_are_made_once_and_none_of_a_large_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six tiles on and above the diagonal of 10 x 10: three, of 16, 16 and 8 entries, fit into 40."""
    a, names, made = unit(10, 3), torch.arange(10), []
    out = blockwise._Left.out
    monkeypatch.setattr(blockwise._Left, "out", lambda self, *given: made.append(1) or out(self, *given))
    for kept, rows, count in ((0, 99, 12), (40, 99, 9), (2**25, 99, 6), (2**25, 19, 12)):
        monkeypatch.setattr(blockwise, "KEPT", kept)
        monkeypatch.setattr(blockwise, "ROWS", rows)
        made.clear()
        row_log_sum_exp(a, a, scalar(5.0), same=(names, names)).sum().backward()
        assert len(made) == count


@pytest.mark.parametrize("loss", [nt_xent, dcl, dclw, flat_nce, debiased, hard_negatives, align_uniform])
@pytest.mark.usefixtures("tiles_of_four")
def test_of_two_views_only_half_of_the_matrix_is_made(
    loss: Callable[[Tensor, Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    grid = blockwise._Grid.again

    def again(self: blockwise._Grid, kept: list[Tensor]) -> Iterator[tuple[slice, slice, Tensor]]:
        for rows, columns, tile in grid(self, kept):
            made.append((rows.start, columns.start))
            yield rows, columns, tile

    monkeypatch.setattr(blockwise._Grid, "again", again)
    loss(unit(8, 3), unit(8, 3, seed=1)).backward()
    assert made and all(row <= column for row, column in made)
