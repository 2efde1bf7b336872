import math
import sys

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import local_nce


def features(b: int = 4, places: int = 6, d: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    return 3 * torch.randn(b, d).double(), 3 * torch.randn(b, places, d).double(), torch.arange(b)


def slow(source: Tensor, target: Tensor, own: Tensor, clip: float) -> tuple[float, float]:
    """The formula, place by place, in Python numbers."""
    b, places, d = target.shape
    losses, squares = [], []
    for i in range(len(source)):
        s = [[float(source[i] @ target[j, k]) / math.sqrt(d) for k in range(places)] for j in range(b)]
        r = [[clip * math.tanh(x / clip) for x in row] for row in s]
        squares += [x * x for row in s for x in row]
        mine = int(own[i])
        others = sum(math.exp(x) for j, row in enumerate(r) for x in row if j != mine)
        losses += [-x + math.log(math.exp(x) + others) for x in r[mine]]
    return sum(losses) / len(losses), sum(squares) / len(squares)


@pytest.mark.parametrize("clip", [2.0, 20.0])
def test_is_the_formula_place_by_place(clip: float) -> None:
    source, target, _ = features()
    own = torch.tensor([2, 0, 3, 3])  # sources need not be all images, nor in order
    loss, squares = local_nce(source, target, own, clip=clip)
    assert (loss.item(), squares.item()) == pytest.approx(slow(source, target, own, clip), rel=1e-12)


@pytest.mark.parametrize(("b", "places"), [(4, 25), (4, 49), (2, 25)])
def test_features_of_zero_cost_log_of_all_other_places_and_one(b: int, places: int) -> None:
    loss, squares = local_nce(torch.zeros(b, 3).double(), torch.zeros(b, places, 3).double(), torch.arange(b))
    assert loss.item() == pytest.approx(math.log(1 + (b - 1) * places), rel=1e-14) and squares == 0
    assert (b, places) != (4, 25) or loss.item() == pytest.approx(4.330733, abs=5e-7)


def test_the_order_of_places_does_not_matter() -> None:
    source, target, own = features()
    loss = local_nce(source, target, own)[0]
    one_order = target[:, torch.randperm(6)]
    own_orders = torch.stack([row[torch.randperm(6)] for row in target])
    for other in (one_order, own_orders):
        assert local_nce(source, other, own)[0].item() == pytest.approx(loss.item(), rel=1e-13)


def test_other_places_of_the_same_image_are_no_negatives() -> None:
    """Of one image's places, each by itself gives the same loss as all together."""
    source, target, own = features()
    each = []
    for place in range(6):
        alone = target.clone()
        alone[0] = target[0, place]  # image 0 six times the same place
        each.append(local_nce(source[:1], alone, own[:1])[0].item())
    together = local_nce(source[:1], target, own[:1])[0].item()
    assert together == pytest.approx(sum(each) / 6, rel=1e-12)


def test_a_score_is_clipped_below_the_bound_and_its_square_is_not() -> None:
    own = torch.arange(2)
    source = 1000 * torch.eye(2, 4).double()
    target = source[:, None]
    loss, squares = local_nce(source, target, own, clip=20.0)
    # the own score is clipped to 20, the other is 0: the least that the loss can be
    assert loss.item() == pytest.approx(math.log1p(math.exp(-20)), abs=1e-13)
    assert squares.item() == pytest.approx(0.5 * (1000**2 / 2) ** 2, rel=1e-12)
    wrong = local_nce(source, target.flip(0), own, clip=20.0)[0]
    assert wrong.item() == pytest.approx(20 + math.log1p(math.exp(-20)), rel=1e-9)


def test_gradients() -> None:
    source, target, own = features(b=3, places=2, d=3)
    source, target = source.requires_grad_(), target.requires_grad_()
    assert gradcheck(lambda a, t: local_nce(a, t, own, clip=5.0), (source, target))


def test_part_by_part_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target, own = features(b=7)
    found = []
    for held in (2**24, 100):  # 42 scores of one source: parts of 2, 2, 2 and 1
        a, t = source.clone().requires_grad_(), target.clone().requires_grad_()
        monkeypatch.setattr(sys.modules["unlabel.losses.local_nce"], "HELD", held)
        loss, squares = local_nce(a, t, own)
        (loss + 0.05 * squares).backward()
        found.append((loss.detach(), squares.detach(), a.grad, t.grad))
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-14)


def test_half_precision_is_scored_in_float32() -> None:
    source, target, own = features()
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = local_nce(source.bfloat16(), target.bfloat16(), own)
    assert loss.dtype == torch.float32
    exact, _ = local_nce(source.bfloat16().double(), target.bfloat16().double(), own)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)


def test_one_image_has_no_negatives() -> None:
    with pytest.raises(ValueError, match="at least"):
        local_nce(torch.randn(1, 3), torch.randn(1, 25, 3), torch.arange(1))
