import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.methods.toy import Backbone, batch
from unlabel.losses import cosine_regression
from unlabel.methods.byol import BYOL
from unlabel.methods.simsiam import SimSiam
from unlabel.optim import Plan, make_optimiser
from unlabel.views import Batch


def method(**options) -> BYOL:
    return BYOL(Backbone(), projector_width=8, projector_dim=4, **options).double()


def test_loss_is_the_algorithm_box() -> None:
    byol, given = method(), batch()
    for p in byol.teacher.parameters():
        p.data += 0.1 * torch.randn_like(p)
    v1, v2 = given.views
    expected = 0.0
    for v, other in ((v1, v2), (v2, v1)):
        q = byol.predictor(byol.projector(byol.backbone(v)))
        z = byol.teacher(other)
        for b in range(len(given)):
            expected += float((q[b] / q[b].norm() - z[b] / z[b].norm()).square().sum().detach()) / len(given)
    assert byol.loss(given).item() == pytest.approx(expected, rel=1e-12)
    assert 0 < expected < 8


def test_agrees_with_lightly() -> None:
    lightly = pytest.importorskip("lightly.loss")
    byol, given = method(), batch()
    v1, v2 = given.views
    p1, p2 = (byol.predictor(byol.projector(byol.backbone(v))) for v in (v1, v2))
    cosine = lightly.NegativeCosineSimilarity()
    theirs = 4 + 2 * cosine(p1, byol.teacher(v2)) + 2 * cosine(p2, byol.teacher(v1))
    assert byol.loss(given).item() == pytest.approx(theirs.item(), rel=1e-12)


def test_views_may_be_swapped() -> None:
    byol, given = method(), batch()
    swapped = Batch(views=given.views[::-1], index=given.index, records=given.records)
    assert byol.loss(given).item() == pytest.approx(byol.loss(swapped).item(), rel=1e-12)


def test_only_the_online_network_learns() -> None:
    byol = method()
    byol.loss(batch()).backward()
    assert all(p.grad is None for p in byol.teacher.parameters())
    online = nn.ModuleList([byol.backbone, byol.projector, byol.predictor])
    assert all(p.grad is not None for p in online.parameters())
    (player,) = byol.players()
    assert {n.split(".")[0] for n, _ in player.parameters} == {"backbone", "projector", "predictor"}


def test_networks_have_the_papers_layers() -> None:
    byol = method()
    for head, inputs in ((byol.projector, 6), (byol.predictor, 4)):
        assert [type(m).__name__ for m in head] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
        assert head[0].in_features == inputs and head[0].bias is not None
        assert head[-1].out_features == 4 and head[-1].bias is None
    assert BYOL(Backbone()).projector[0].out_features == 4096
    assert BYOL(Backbone()).projector[-1].out_features == 256


def test_teacher_follows_along_the_cosine_ramp() -> None:
    byol = method(teacher_momentum=0.9)
    byol.total_updates, byol.updates = 100, 25
    before = copy.deepcopy(byol.teacher)
    for p in (*byol.backbone.parameters(), *byol.projector.parameters()):
        p.data += torch.randn_like(p)
    tau = 1 - (1 - 0.9) * (math.cos(math.pi * 0.25) + 1) / 2
    byol.after_update()
    for name, p in byol.teacher.named_parameters():
        online = nn.Sequential(byol.backbone, byol.projector).get_parameter(name)
        expected = tau * before.get_parameter(name) + (1 - tau) * online.detach()
        torch.testing.assert_close(p, expected, rtol=1e-13, atol=1e-15)
    byol.updates = 100  # at the end the teacher rests
    resting = copy.deepcopy(byol.teacher)
    byol.after_update()
    assert all(torch.equal(a, b) for a, b in zip(byol.teacher.parameters(), resting.parameters(), strict=True))


def test_without_momentum_the_teacher_is_the_online_network_and_the_loss_simsiams() -> None:
    """Through the networks, with the same weights: four times SimSiam's and one more, and its gradient four times."""
    byol, given = method(teacher_momentum=0.0), batch()
    for p in byol.teacher.parameters():
        p.data += torch.randn_like(p)
    byol.after_update()
    online = nn.Sequential(byol.backbone, byol.projector)
    for name, p in byol.teacher.named_parameters():
        assert torch.equal(p, online.get_parameter(name)), name
    simsiam = SimSiam(Backbone(), projector_width=8, projector_dim=4).double()
    simsiam.backbone, simsiam.projector, simsiam.predictor = byol.backbone, byol.projector, byol.predictor
    learnt = [p for p in byol.parameters() if p.requires_grad]
    loss, other = byol.loss(given), simsiam.loss(given)
    assert loss.item() == pytest.approx(4 * (other.item() + 1), rel=1e-12)
    for mine, theirs in zip(torch.autograd.grad(loss, learnt), torch.autograd.grad(other, learnt), strict=True):
        torch.testing.assert_close(mine, 4 * theirs, rtol=1e-9, atol=1e-13)


def test_no_rate_is_steady() -> None:
    """That of the predictor falls with the others, unlike SimSiam's."""
    byol = method()
    (optimiser,) = byol.configure_optimizers()
    assert [group["steady"] for group in optimiser.param_groups] == [False, False]
    byol.total_updates, byol.updates = 1000, 999
    byol.set_rates([optimiser])
    assert max(group["lr"] for group in optimiser.param_groups) < 1e-5 * byol.plan.peak(byol.plan.batch_size)
    (player,) = byol.players()
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(player.parameters)


def test_teacher_uses_its_batchs_statistics_and_keeps_its_own_averages() -> None:
    byol, given = method(), batch()
    norm = byol.teacher[0].layers[1]
    byol.loss(given)
    means = [
        F.conv2d(v, byol.backbone.layers[0].weight, byol.backbone.layers[0].bias).mean(dim=(0, 2, 3))
        for v in given.views
    ]
    expected = 0.1 * means[1] + 0.9 * 0.1 * means[0]
    torch.testing.assert_close(norm.running_mean, expected.detach(), rtol=1e-10, atol=1e-12)


def test_a_collapsed_network_has_loss_zero() -> None:
    """So the value does not tell learning from collapse."""
    byol = method(predictor=False)
    for network in (byol.projector, byol.teacher[1]):
        network[-1].weight.data.zero_()
        network[-1].bias = nn.Parameter(torch.ones(4, dtype=torch.float64))
    assert byol.loss(batch()).item() == pytest.approx(0, abs=1e-28)


def test_without_predictor_there_is_none() -> None:
    byol = method(predictor=False)
    assert not list(byol.predictor.parameters())
    byol.teacher_momentum = 0.0
    byol.after_update()
    v = batch().views[0]
    same = Batch(views=[v, v], index=torch.arange(5), records=[])
    assert byol.loss(same).item() == pytest.approx(0, abs=1e-25)  # equal networks on equal views


def test_views_are_the_papers_asymmetric_pair() -> None:
    first, second = method().views(224).views
    assert (first.blur, first.solarise) == (1.0, 0.0)
    assert (second.blur, second.solarise) == (0.1, 0.2)


def test_a_few_updates_lower_the_loss() -> None:
    byol, given = method(teacher_momentum=0.99), batch(8)
    byol.total_updates = 20
    (player,) = byol.players()
    optimiser = make_optimiser(player.parameters, Plan(optimiser="adam", lr=0.02, lr_per=None), 8)
    first = byol.loss(given).item()
    for _ in range(10):
        loss = byol.loss(given)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        byol.advance()
    assert loss.item() < 0.5 * first


# ------------------------------------------------------------------ small crops


def with_small(given: Batch, count: int = 3) -> Batch:
    small = [torch.randn(len(given), 3, 6, 6, dtype=torch.float64) for _ in range(count)]
    return Batch(views=[*given.views, *small], index=given.index, records=given.records)


def test_two_views_cost_to_the_bit_what_they_did_without_small_crops() -> None:
    byol, given = method(), batch()
    other = copy.deepcopy(byol)
    (q1, q2), (z1, z2) = (
        [other.predictor(other.projector(other.backbone(v))) for v in given.views],
        [other.teacher(v).detach() for v in given.views],
    )
    loss, expected = byol.loss(given), cosine_regression(q1, z2) + cosine_regression(q2, z1)
    assert torch.equal(loss, expected)
    loss.backward(), expected.backward()
    for mine, theirs in zip(byol.parameters(), other.parameters(), strict=True):
        assert mine.grad is theirs.grad is None or torch.equal(mine.grad, theirs.grad)


def test_small_crops_predict_both_large_views() -> None:
    byol, given = method(), with_small(batch())
    other = copy.deepcopy(byol)
    q = [other.predictor(other.projector(other.backbone(v))) for v in given.views]
    z = [other.teacher(v) for v in given.views[:2]]
    expected = 0.0
    for u in range(2):
        expected += sum(cosine_regression(q[v], z[u]).item() for v in range(5) if v != u) / 4
    assert byol.loss(given).item() == pytest.approx(expected, rel=1e-12)


def test_small_crops_never_reach_the_teacher_and_their_order_does_not_matter() -> None:
    byol, given = method(), with_small(batch())
    seen: list[tuple[int, ...]] = []
    byol.teacher.register_forward_hook(lambda _, x, y: seen.append(tuple(x[0].shape)))
    before = byol.loss(given).item()
    assert seen == [(5, 3, 8, 8)] * 2
    given.views = [*given.views[:2], *given.views[:1:-1]]
    assert byol.loss(given).item() == pytest.approx(before, rel=1e-12)


@pytest.mark.parametrize("layers", [1, 3])
def test_the_projector_has_as_many_layers_as_wanted(layers: int) -> None:
    byol = method(projector_layers=layers)
    for head in (byol.projector, byol.teacher[1]):
        assert [type(m).__name__ for m in head] == ["Linear", "BatchNorm1d", "ReLU"] * (layers - 1) + ["Linear"]
    assert len(byol.predictor) == 4
