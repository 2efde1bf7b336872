"""Small crops, one direction alone and hard negatives, alike for all methods that compare predictions with targets."""

import copy

import pytest
import torch
import torch.nn.functional as F

from tests.methods.toy import toy_batch, toy_method
from unlabel.losses import cosine_regression, key_info_nce, negative_cosine, nt_xent, queue_info_nce
from unlabel.methods import Method
from unlabel.views import Batch

METHODS = ("byol", "simsiam", "moco", "moco_v2", "moco_v3")
QUEUED = ("moco", "moco_v2")


def made(name: str, **options: object) -> tuple[Method, Batch]:
    """A method in float64, its teacher apart from its student, and a batch of two large views and three small crops."""
    method = toy_method(name, **options).double()
    if getattr(method, "queue", None) is not None:
        method.queue.rows.copy_(F.normalize(method.queue.rows, dim=1))  # unit in float64 too
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


# ------------------------------------------------------------------ losses over a whole batch

PAIRED = [
    ("barlow_twins", {}),
    ("directclr", {"dimensions": 24}),
    ("simclr_v2", {"queue_length": 0}),
    ("simclr_v2", {}),
]


def sought(w: torch.Tensor, candidates: torch.Tensor, place: int, temperature: float) -> float:
    """The cross-entropy of one row that must find another."""
    logits = F.normalize(candidates, dim=1) @ F.normalize(w, dim=0) / temperature
    return F.cross_entropy(logits[None], torch.tensor([place])).item()


def correlated(method: Method, z1: torch.Tensor, z2: torch.Tensor) -> float:
    y1, y2 = ((z - z.mean(dim=0)) / (z.var(dim=0, unbiased=False) + 1e-5).sqrt() for z in (z1, z2))
    c = y1.T @ y2 / len(z1)
    own = torch.eye(len(c), dtype=torch.bool)
    return ((1 - c[own]).square().sum() + method.redundancy_weight * c[~own].square().sum()).item()


def found_by(method: Method, w: torch.Tensor, large: torch.Tensor, i: int, u: int) -> float:
    """A view w of image i must find view u of it among both large views [2, B, d] but the other one, and the memory."""
    rows = [large[k, j] for k in range(2) for j in range(large.shape[1]) if j != i]
    memory = [] if method.queue is None else list(method.queue.rows)
    return sought(w, torch.stack([large[u, i], *rows, *memory]), 0, method.temperature)


def paired(method: Method, batch: Batch) -> float:
    """The mean over pairs of a large view u and another view v, one by one."""
    b, v = len(batch), len(batch.views)
    if type(method).__name__ == "SimCLRv2":
        h = [*method.backbone(torch.cat(batch.views[:2])).chunk(2)]
        h += method.backbone(torch.cat(batch.views[2:])).chunk(v - 2) if v > 2 else []
        z = method.projector(torch.cat(h)).unflatten(0, (v, b))
        pairs = {
            (i, u, w): found_by(method, z[w, i], z[:2], i, u) for i in range(b) for u in range(2) for w in range(v)
        }
        large = sum(pairs[i, u, 1 - u] for i in range(b) for u in range(2)) / (2 * b)
        small = [sum(pairs[i, u, w] for i in range(b) for u in range(2)) / (2 * b) for w in range(2, v)]
        return (large + sum(small)) / (v - 1)
    z = [method.project(method.backbone(view)) for view in batch.views]
    terms = []
    for u, w in ((u, w) for u in range(2) for w in range(v) if w != u):
        if type(method).__name__ == "BarlowTwins":
            terms.append(correlated(method, z[u], z[w]))
        else:
            terms.append(sum(sought(z[w][i], z[u], i, method.temperature) for i in range(b)) / b)
    return sum(terms) / len(terms)


def total(method: Method, batch: Batch) -> float:
    loss = method.loss(batch)
    return sum(loss.values()).item() if isinstance(loss, dict) else loss.item()


@pytest.mark.parametrize("small", [0, 3])
@pytest.mark.parametrize(("name", "options"), PAIRED)
def test_the_loss_is_the_mean_over_pairs_with_a_large_view(name: str, options: dict[str, int], small: int) -> None:
    method, batch = made(name, **options)
    batch.views = batch.views[: 2 + small]
    with torch.no_grad():
        expected = paired(copy.deepcopy(method), batch)
    assert total(method, batch) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("name", "options"), PAIRED)
def test_all_embeddings_equal_cost_with_small_crops_what_they_cost_without(name: str, options: dict[str, int]) -> None:
    method, batch = made(name, **options)
    (value,) = method.collapse_values(len(batch)).values()
    part = method.backbone if name == "directclr" else method.projector
    part.register_forward_hook(lambda module, inputs, said: 1 + 0 * said)
    if getattr(method, "queue", None) is not None:
        method.queue.rows.fill_(method.queue.rows.shape[1] ** -0.5)
    assert total(method, batch) == pytest.approx(value, rel=1e-6)


def test_a_memory_takes_in_large_views_alone() -> None:
    method, batch = made("simclr_v2", queue_length=64)
    method.loss(batch)
    method.after_update()
    assert method.queue.filled == 2 * len(batch)


def test_same_view_negatives_of_directclr_treat_small_crops_as_simclr_does() -> None:
    method, batch = made("directclr", dimensions=24, same_view_negatives=True)
    z1, z2, *small = (copy.deepcopy(method).backbone(view)[:, :24] for view in batch.views)
    terms = [nt_xent(z1, z2, temperature=0.1), *(nt_xent(z1, z2, small=w, temperature=0.1) for w in small)]
    method.temperature = 0.1
    assert total(method, batch) == pytest.approx(sum(terms).item() / 4, rel=1e-9)


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
