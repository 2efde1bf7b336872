"""SwAV's loss by its algorithm box, the balance of its codes, its queue and its prototypes."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.toy import Backbone
from unlabel.engine.options import check
from unlabel.errors import Faults
from unlabel.losses import sinkhorn
from unlabel.methods.swav import SwAV
from unlabel.nn.multicrop import multicrop
from unlabel.optim import Plan, make_optimiser
from unlabel.views import Batch

K = 5


def method(**options) -> SwAV:
    torch.manual_seed(1)
    options = {"projector_width": 8, "projector_dim": 4, "prototypes": K} | options
    swav = SwAV(Backbone(), **options).double()
    swav.total_updates, swav.total_epochs = 100, 10.0
    swav.after_update()  # unit vectors in float64 too
    return swav


def batch(sizes: tuple[int, ...] = (16, 16, 8, 8, 8), b: int = 6) -> Batch:
    views = [torch.randn(b, 3, s, s, dtype=torch.float64) for s in sizes]
    return Batch(views=views, index=torch.arange(b), records=[np.zeros(b)] * len(sizes))


def total(swav: SwAV, given: Batch) -> Tensor:
    return torch.stack(list(swav.loss(given).values())).sum()


def embedded(swav: SwAV, given: Batch) -> Tensor:
    """z [V, B, d], from a copy, so that running averages stay as they are."""
    swav = copy.deepcopy(swav)
    z = F.normalize(swav.projector(multicrop(swav.backbone, given.views)), dim=1)
    return z.detach().unflatten(0, (len(given.views), -1))


def papers_codes(s: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """The loop of the paper's appendix on the plain exponential."""
    q = (s / epsilon).exp().T
    q = q / q.sum()
    for _ in range(iterations):
        q = q / q.sum(dim=1, keepdim=True) / len(q)
        q = q / q.sum(dim=0, keepdim=True) / q.shape[1]
    return (q * q.shape[1]).T


def one_update(swav: SwAV, given: Batch, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    total(swav, given).backward()
    swav.before_update()
    optimiser.step()
    swav.advance()


def descending(swav: SwAV) -> torch.optim.Optimizer:
    (player,) = swav.players()
    return make_optimiser(player.parameters, Plan(optimiser="adamw", lr=0.01, lr_per=None, weight_decay=0.1), 6)


# ------------------------------------------------------------------ the loss


@pytest.mark.parametrize("sizes", [(16, 16), (16, 16, 8, 8, 8)])
def test_loss_is_the_algorithm_box(sizes: tuple[int, ...]) -> None:
    swav, given = method(temperature=0.2), batch(sizes)
    s = [z @ swav.prototypes.detach().T for z in embedded(swav, given)]
    terms = []
    for u in range(2):
        q = papers_codes(s[u])
        for v in range(len(sizes)):
            if v != u:
                p = (s[v] / 0.2).exp()
                p = p / p.sum(dim=1, keepdim=True)
                terms.append(float(-(q * p.log()).sum(dim=1).mean()))
    assert len(terms) == 2 * (len(sizes) - 1)
    assert total(swav, given).item() == pytest.approx(sum(terms) / len(terms), rel=1e-11)


@pytest.mark.parametrize("queued", [False, True])
def test_agrees_with_lightly(queued: bool) -> None:
    lightly = pytest.importorskip("lightly.loss")
    swav, given = method(queue_length=8), batch()
    if queued:
        swav.queue.see(F.normalize(torch.randn(8, 2, 4, dtype=torch.float64), dim=2).flatten(1))
        swav.queue.move()
    s = embedded(swav, given) @ swav.prototypes.detach().T
    past = [swav.queue.rows[:, part] @ swav.prototypes.detach().T for part in (slice(0, 4), slice(4, 8))]
    theirs = lightly.SwaVLoss()(list(s[:2]), list(s[2:]), past if queued else None)
    assert total(swav, given).item() == pytest.approx(theirs.item(), rel=1e-11)


def test_terms_are_divergence_balance_and_sharpness() -> None:
    swav, given = method(), batch()
    s = embedded(swav, given) @ swav.prototypes.detach().T
    q = torch.stack([papers_codes(s[u]) for u in range(2)])
    terms = swav.loss(given)
    kl = [
        F.kl_div((s[v] / 0.1).log_softmax(dim=1), q[u], reduction="none").sum(dim=1).mean().item()
        for u in range(2)
        for v in range(5)
        if u != v
    ]
    assert terms["divergence"].item() == pytest.approx(sum(kl) / len(kl), rel=1e-10)
    mean = q.mean(dim=(0, 1))
    balance = -float((mean * mean.log()).sum())
    assert terms["balance"].item() == pytest.approx(balance, rel=1e-11)
    assert terms["sharpness"].item() == pytest.approx(-float((q * q.log()).sum(dim=2).mean()) - balance, rel=1e-10)


def test_codes_are_balanced_whatever_the_images() -> None:
    swav, given = method(sinkhorn_iterations=100), batch(b=20)
    assert swav.loss(given)["balance"].item() == pytest.approx(math.log(K), abs=1e-9)
    few = method(sinkhorn_iterations=3).loss(given)["balance"].item()
    assert math.log(K) - 0.05 < few < math.log(K)


def test_zero_scores_cost_log_k() -> None:
    swav = method()
    swav.projector[-1].weight.data.zero_(), swav.projector[-1].bias.data.zero_()
    terms = swav.loss(batch())
    assert sum(terms.values()).item() == pytest.approx(math.log(K), rel=1e-13)
    assert terms["divergence"].item() == pytest.approx(0, abs=1e-13)


def test_images_that_are_all_alike_have_no_confident_code() -> None:
    """Collapse cannot reach a low loss: alike images share the prototypes out evenly."""
    swav = method()
    swav.projector[-1].weight.data.zero_(), swav.projector[-1].bias.data.normal_()
    terms = swav.loss(batch())
    assert terms["sharpness"].item() == pytest.approx(0, abs=1e-12)
    assert sum(terms.values()).item() >= math.log(K)


def test_codes_between_hard_and_uniform() -> None:
    given = batch(b=40)
    soft, hard = method(epsilon=1e5).loss(given), method(epsilon=1e-3, sinkhorn_iterations=500).loss(given)
    assert soft["sharpness"].item() == pytest.approx(0, abs=1e-6)
    assert hard["sharpness"].item() < -0.8 * math.log(K)


def test_small_crops_are_predicted_from_and_never_assigned() -> None:
    swav, given = method(), batch()
    seen: list[Tensor] = []
    codes, swav._codes = swav._codes, lambda z, learning: (seen.append(z), codes(z, learning))[1]
    before = total(swav, given).item()
    torch.testing.assert_close(seen[0], embedded(swav, given)[:2], rtol=1e-12, atol=1e-14)
    given.views = [*given.views[:2], *given.views[:1:-1]]
    assert total(swav, given).item() == pytest.approx(before, rel=1e-12)


def test_no_gradient_passes_through_codes() -> None:
    swav, given = method(), batch()
    total(swav, given).backward()
    found = [p.grad.clone() for p in swav.parameters()]
    swav.zero_grad()
    z = F.normalize(swav.projector(multicrop(swav.backbone, given.views)), dim=1).unflatten(0, (5, -1))
    s = z @ swav.prototypes.T
    q = [sinkhorn(s[u].detach()) for u in range(2)]
    pairs = [(u, v) for u in range(2) for v in range(5) if u != v]
    sum(-(q[u] * (s[v] / 0.1).log_softmax(dim=1)).sum(dim=1).mean() / len(pairs) for u, v in pairs).backward()
    for p, grad in zip(swav.parameters(), found, strict=True):
        torch.testing.assert_close(grad, p.grad, rtol=1e-9, atol=1e-13)


def test_loss_is_single_precision_at_least_under_autocast() -> None:
    swav, given = method().float(), batch()
    given.views = [view.float() for view in given.views]
    with torch.autocast("cpu", torch.bfloat16):
        terms = swav.loss(given)
    assert all(term.dtype == torch.float32 for term in terms.values())


# ------------------------------------------------------------------ prototypes


def test_prototypes_are_unit_vectors_before_every_loss() -> None:
    swav, one = method(freeze_prototypes=0.0), torch.ones(K, dtype=torch.float64)
    optimiser = descending(swav)
    for _ in range(3):
        torch.testing.assert_close(swav.prototypes.detach().norm(dim=1), one, rtol=1e-14, atol=0)
        one_update(swav, batch(), optimiser)
    torch.testing.assert_close(SwAV(Backbone(), prototypes=7).prototypes.detach().norm(dim=1), torch.ones(7))


def test_prototypes_rest_during_the_first_epoch() -> None:
    swav = method(freeze_prototypes=1.0)  # 100 updates in 10 epochs: the first 10
    optimiser, start = descending(swav), swav.prototypes.detach().clone()
    first = swav.projector[0].weight.detach().clone()
    for _ in range(10):
        one_update(swav, batch(), optimiser)
    torch.testing.assert_close(swav.prototypes.detach(), start, rtol=1e-12, atol=1e-14)
    assert not torch.equal(swav.projector[0].weight, first)
    one_update(swav, batch(), optimiser)
    assert (swav.prototypes - start).abs().max() > 1e-3


# ------------------------------------------------------------------ the queue


def with_past(swav: SwAV, given: Batch, past: Tensor) -> float:
    """The loss written out with features [L, 2, d] of earlier images."""
    z, prototypes = embedded(swav, given), swav.prototypes.detach()
    loss = 0.0
    for u in range(2):
        q = papers_codes(torch.cat([past[:, u], z[u]]) @ prototypes.T)[-len(given) :]
        others = [v for v in range(len(z)) if v != u]
        loss += sum(-(q * (z[v] @ prototypes.T / 0.1).log_softmax(dim=1)).sum(dim=1).mean() for v in others) / len(
            others
        )
    return float(loss) / 2


def test_queue_is_used_once_full_and_with_the_prototypes_of_now() -> None:
    swav = method(queue_length=12, queue_from=0.0, freeze_prototypes=0.0)
    optimiser, seen = descending(swav), []
    for _ in range(3):  # six images an update: empty, half full, full
        given = batch()
        past = torch.cat(seen[-2:]) if len(seen) == 2 else torch.zeros(0, 2, 4, dtype=torch.float64)
        assert total(swav, given).item() == pytest.approx(with_past(swav, given, past), rel=1e-10)
        swav.queue.noted.clear()
        seen.append(embedded(swav, given)[:2].transpose(0, 1))
        one_update(swav, given, optimiser)


def test_queue_begins_at_its_epoch() -> None:
    swav = method(queue_length=6, queue_from=1.0)  # from update 10 on
    optimiser = descending(swav)
    for update in range(13):
        assert swav.queue.filled == (6 if update > 10 else 0)
        one_update(swav, batch(), optimiser)


def test_loss_moves_nothing_until_the_update() -> None:
    swav, given = method(queue_length=6, queue_from=0.0), batch()
    first = total(swav, given).item()
    swav.queue.noted.clear()
    assert total(swav, given).item() == pytest.approx(first, rel=1e-14)
    assert swav.queue.filled == 0 and len(swav.queue.noted) == 1
    swav.queue.noted.clear()
    with torch.no_grad():
        swav.loss(given)
    swav.eval().loss(given)
    assert swav.queue.noted == []


def test_without_a_queue_there_is_none() -> None:
    swav = method()
    one_update(swav, batch(), descending(swav))
    assert len(swav.queue.rows) == 0 and swav.queue.filled == 0


# ------------------------------------------------------------------ options


def test_views_are_the_papers() -> None:
    views = method().views(224).views
    assert [view.size for view in views] == [224] * 2 + [96] * 6
    assert [view.scale for view in views[1:3]] == [(0.14, 1.0), (0.05, 0.14)]


def test_every_ablation_is_an_option() -> None:
    chosen = {"prototypes": "64", "epsilon": "0.03", "sinkhorn_iterations": "10", "temperature": "0.2",
              "queue_length": "512", "queue_from": "2", "freeze_prototypes": "0"}  # fmt: skip
    found = check("swav", {"data": "shapes", "views": "multicrop:8x48@0.05-0.2", **chosen})
    assert {name: str(value).removesuffix(".0") for name, value in found.hyper.items()} == chosen
    with pytest.raises(Faults, match="`epsilon` is '0'"):
        check("swav", {"data": "shapes", "epsilon": "0"})


@pytest.mark.parametrize("layers", [1, 3])
def test_the_projector_has_as_many_layers_as_wanted(layers: int) -> None:
    projector = method(projector_layers=layers).projector
    assert [type(m).__name__ for m in projector] == ["Linear", "BatchNorm1d", "ReLU"] * (layers - 1) + ["Linear"]
