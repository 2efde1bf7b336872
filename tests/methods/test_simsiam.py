"""SimSiam by its algorithm box; what stands still, and what keeps its learning rate."""

import math

import pytest
import torch
from torch import nn

from tests.methods.toy import Backbone, batch
from unlabel.losses import cosine_regression
from unlabel.methods.simsiam import SimSiam
from unlabel.optim import Plan
from unlabel.views import Batch


def method(**options) -> SimSiam:
    return SimSiam(Backbone(), projector_width=8, projector_dim=5, predictor_width=3, **options).double()


def test_loss_is_the_algorithm_box() -> None:
    simsiam, given = method(), batch()
    z = [simsiam.projector(simsiam.backbone(v)).detach() for v in given.views]
    p = [simsiam.predictor(zv).detach() for zv in z]
    expected = 0.0
    for pv, other in ((p[0], z[1]), (p[1], z[0])):
        cosines = [float(a @ b / (a.norm() * b.norm())) for a, b in zip(pv, other, strict=True)]
        expected -= sum(cosines) / len(cosines) / 2
    assert simsiam.loss(given).item() == pytest.approx(expected, rel=1e-11)
    assert -1 <= expected <= 1


def test_is_a_quarter_of_byols_loss_less_one_and_agrees_with_lightly() -> None:
    simsiam, given = method(), batch()
    z1, z2 = (simsiam.projector(simsiam.backbone(v)) for v in given.views)
    p1, p2 = simsiam.predictor(z1), simsiam.predictor(z2)
    byol = cosine_regression(p1, z2) + cosine_regression(p2, z1)
    assert simsiam.loss(given).item() == pytest.approx(byol.item() / 4 - 1, rel=1e-11)
    lightly = pytest.importorskip("lightly.loss")
    cosine = lightly.NegativeCosineSimilarity()
    theirs = 0.5 * (cosine(p1, z2) + cosine(p2, z1))
    assert simsiam.loss(given).item() == pytest.approx(theirs.item(), rel=1e-11)


def test_equal_vectors_reach_the_least_value() -> None:
    """So the value does not tell learning from collapse."""
    simsiam = method(predictor=False)
    v = batch().views[0]
    same = Batch(views=[v, v], index=torch.arange(5), records=[])
    assert simsiam.loss(same).item() == pytest.approx(-1, rel=1e-12)


def test_targets_stand_still_and_the_ablation_moves_them() -> None:
    gradients = []
    for stop in (True, False):
        torch.manual_seed(3)
        simsiam, given = method(stop_gradient=stop), batch()
        simsiam.loss(given).backward()
        gradients.append(simsiam.backbone.layers[0].weight.grad.clone())
        # By hand: with the target's part of the graph cut, or not.
        simsiam.zero_grad()
        z = [simsiam.projector(simsiam.backbone(v)) for v in given.views]
        p = [simsiam.predictor(zv) for zv in z]
        targets = [zv.detach() if stop else zv for zv in z]
        cosine = torch.nn.CosineSimilarity(dim=1)
        (-(cosine(p[0], targets[1]).mean() + cosine(p[1], targets[0]).mean()) / 2).backward()
        torch.testing.assert_close(simsiam.backbone.layers[0].weight.grad, gradients[-1], rtol=1e-9, atol=1e-13)
    assert (gradients[0] - gradients[1]).abs().max() > 1e-4


def test_without_predictor_there_is_none_and_swapping_views_changes_nothing() -> None:
    simsiam, given = method(predictor=False), batch()
    assert not list(simsiam.predictor.parameters())
    swapped = Batch(views=given.views[::-1], index=given.index, records=given.records)
    assert simsiam.loss(given).item() == pytest.approx(simsiam.loss(swapped).item(), rel=1e-12)


def test_heads_have_the_papers_layers() -> None:
    simsiam = SimSiam(Backbone())
    block = ["Linear", "BatchNorm1d", "ReLU"]
    assert [type(m).__name__ for m in simsiam.projector] == [*block, *block, "Linear", "BatchNorm1d"]
    assert not simsiam.projector[-1].affine and all(
        m.bias is None for m in simsiam.projector if isinstance(m, nn.Linear)
    )
    assert [type(m).__name__ for m in simsiam.predictor] == [*block, "Linear"]
    first, last = simsiam.predictor[0], simsiam.predictor[-1]
    assert (first.in_features, first.out_features, last.out_features) == (2048, 512, 2048)
    assert first.bias is None and last.bias is not None


def test_projections_begin_spread_out() -> None:
    simsiam = SimSiam(Backbone(), projector_width=64, projector_dim=64)
    z = simsiam.projector(simsiam.backbone(torch.randn(256, 3, 8, 8)))
    std = nn.functional.normalize(z, dim=1).std(dim=0).mean().item()
    assert std == pytest.approx(64**-0.5, rel=0.1)


def rates(simsiam: SimSiam, progress: float) -> dict[str, float]:
    """The learning rate of each part at this progress, by what it moves."""
    (optimiser,) = simsiam.configure_optimizers()
    simsiam.total_updates = 1000
    simsiam.updates = round(1000 * progress)
    simsiam.set_rates([optimiser])
    names = {id(p): name.split(".")[0] for name, p in simsiam.named_parameters()}
    return {names[id(p)]: group["lr"] for group in optimiser.param_groups for p in group["params"]}


def test_predictor_keeps_its_learning_rate() -> None:
    simsiam = method()
    simsiam.plan = Plan(lr=0.05, batch_size=512)
    found = rates(simsiam, 0.75)
    assert found["predictor"] == pytest.approx(0.1)
    falling = 0.1 * (1 + math.cos(math.pi * 0.7505)) / 2
    assert found["backbone"] == found["projector"] == pytest.approx(falling)
    simsiam.fix_predictor_lr = False
    assert rates(simsiam, 0.75)["predictor"] == pytest.approx(falling)


def test_the_steady_group_is_decayed_like_the_others_and_logged_last() -> None:
    (optimiser,) = method().configure_optimizers()
    vectors = [group["params"][0].ndim < 2 for group in optimiser.param_groups]
    assert vectors == [False, True, False, True]
    assert [group["steady"] for group in optimiser.param_groups] == [False, False, True, True]
    assert [group["weight_decay"] for group in optimiser.param_groups] == [1e-4] * 4  # the paper decays vectors too


def test_without_a_predictor_no_rate_is_steady() -> None:
    (optimiser,) = method(predictor=False).configure_optimizers()
    assert not any(group["steady"] for group in optimiser.param_groups)


def test_project_is_what_the_loss_compares() -> None:
    simsiam = method().eval()
    h = torch.randn(3, 6, dtype=torch.float64)
    assert torch.equal(simsiam.project(h), simsiam.projector(h))


def test_views_are_moco_v2s() -> None:
    first, second = method().views(224).views
    assert first == second and (first.scale, first.blur, first.solarise) == ((0.2, 1.0), 0.5, 0.0)
