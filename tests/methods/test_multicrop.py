"""Small crops, one direction alone and hard negatives, alike for all methods that compare predictions with targets."""

import copy

import pytest
import torch
import torch.nn.functional as F

from tests.methods.toy import toy_batch, toy_method
from unlabel.losses import cosine_regression, key_info_nce, negative_cosine, queue_info_nce
from unlabel.methods import Method
from unlabel.views import Batch

METHODS = ("byol", "simsiam", "moco", "moco_v2", "moco_v3")
QUEUED = ("moco", "moco_v2")


def made(name: str, **options: object) -> tuple[Method, Batch]:
    """A method in float64, its teacher apart from its student, and a batch of two large views and three small crops."""
    method = toy_method(name, **options).double()
    if getattr(method, "teacher", None) is not None:
        for p in method.teacher.parameters():
            p.data += 0.05 * torch.randn_like(p)
    batch = toy_batch(name, method, "cifar-min:3x16")
    batch.views = [view.double() for view in batch.views]
    return method, batch


def parts(method: Method, batch: Batch) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """What every view predicts and what the large views' targets are, by the method's own networks."""
    z = [method.projector(method.backbone(view)) for view in batch.views]
    predictor = getattr(method, "predictor", torch.nn.Identity())
    if not hasattr(method, "teacher"):
        return [predictor(view) for view in z], z[:2]
    keys = method._keys if hasattr(method, "_keys") else method.teacher
    return [predictor(view) for view in z], [keys(view) for view in batch.views[:2]]


def term(method: Method, q: torch.Tensor, k: torch.Tensor) -> float:
    own = torch.arange(len(q))
    match type(method).__name__:
        case "BYOL":
            return cosine_regression(q, k).item()
        case "SimSiam":
            return negative_cosine(q, k).item() / 2
        case "MoCoV3":
            return key_info_nce(q, k, own, temperature=method.temperature).item()
        case _:
            return queue_info_nce(q, k, method.queue.rows, temperature=method.temperature).item()


@pytest.mark.parametrize("small", [0, 3])
@pytest.mark.parametrize("name", METHODS)
def test_every_other_view_predicts_the_large_ones(name: str, small: int) -> None:
    method, batch = made(name)
    batch.views = batch.views[: 2 + small]
    q, k = parts(copy.deepcopy(method), batch)
    targets = (1,) if name in QUEUED else (0, 1)
    expected = 0.0
    for u in targets:
        expected += sum(term(method, q[v], k[u]) for v in range(2 + small) if v != u) / (1 + small)
    assert method.loss(batch).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_small_crops_does_not_matter(name: str) -> None:
    method, batch = made(name)
    before = method.loss(batch).item()
    batch.views = [*batch.views[:2], *batch.views[:1:-1]]
    assert method.loss(batch).item() == pytest.approx(before, rel=1e-11)


@pytest.mark.parametrize("name", QUEUED)
def test_small_crops_do_not_enter_the_queue(name: str) -> None:
    method, batch = made(name)
    method.loss(batch)
    method.after_update()
    assert method.queue.filled == len(batch)


@pytest.mark.parametrize("name", ["byol", "simsiam", "moco_v3", "moco_v2"])
def test_one_direction_predicts_the_second_view_alone(name: str) -> None:
    method, batch = made(name, symmetric=False)
    q, k = parts(copy.deepcopy(method), batch)
    expected = sum(term(method, q[v], k[1]) for v in (0, 2, 3, 4)) / 4
    if name == "simsiam":
        expected *= 2
    assert method.loss(batch).item() == pytest.approx(expected, rel=1e-9)
    both, _ = made(name, symmetric=True)
    (one,), (two,) = method.collapse_values(8).values(), both.collapse_values(8).values()
    assert two == pytest.approx(one if name in ("simsiam", "byol") else 2 * one)


# ------------------------------------------------------------------ hard negatives


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("name", QUEUED)
def test_a_hard_negative_joins_the_denominator_of_the_first_view_alone(name: str, symmetric: bool) -> None:
    options = {"symmetric": symmetric} if name == "moco_v2" else {}
    method, batch = made(name, bn_splits=1, **options)
    batch.negative = torch.randn_like(batch.views[0])
    batch.matched = torch.arange(len(batch)) % 3 > 0
    assert method.takes_negatives
    with torch.no_grad():
        n = method._keys(batch.negative)
        q, k = parts(copy.deepcopy(method), batch)
        first, k = F.normalize(q[0], dim=1), F.normalize(k[1], dim=1)
        logits = torch.cat([(first * k).sum(1, keepdim=True), first @ method.queue.rows.T], dim=1) / method.temperature
        own = ((first * n).sum(dim=1) / method.temperature).masked_fill(~batch.matched, -torch.inf)
        wide = torch.cat([logits, own[:, None]], dim=1)  # [B, 1 + K + 1]
        zeros = torch.zeros(len(batch), dtype=torch.long)
        more = F.cross_entropy(wide, zeros) - F.cross_entropy(logits, zeros)
        plain = Batch(views=batch.views, index=batch.index, records=batch.records)
        assert more > 1e-4
        found = method.loss(batch) - method.loss(plain)
        assert found.item() == pytest.approx(more.item() / 4, rel=1e-9)  # the mean over a large query and three small


@pytest.mark.parametrize("name", QUEUED)
def test_images_without_a_hard_negative_are_unchanged(name: str) -> None:
    method, batch = made(name, bn_splits=1)
    plain = method.loss(batch)
    plain.backward()
    before = {n: p.grad.clone() for n, p in method.named_parameters() if p.grad is not None}
    method.zero_grad()
    batch.negative, batch.matched = torch.randn_like(batch.views[0]), torch.zeros(len(batch), dtype=torch.bool)
    again = method.loss(batch)
    again.backward()
    assert torch.equal(again, plain)
    for n, p in method.named_parameters():
        if n in before:
            torch.testing.assert_close(p.grad, before[n], rtol=1e-12, atol=1e-14)
