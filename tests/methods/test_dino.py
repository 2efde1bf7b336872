import copy
import math

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.methods.toy import Backbone
from unlabel.methods.dino import DINO
from unlabel.optim import make_optimiser
from unlabel.views import Batch

K = 12


def vit() -> nn.Module:
    return timm.create_model(
        "vit_tiny_patch16_224",
        img_size=16,
        patch_size=4,
        embed_dim=12,
        depth=3,
        num_heads=2,
        num_classes=0,
        dynamic_img_size=True,
    )


def method(backbone: nn.Module | None = None, **options) -> DINO:
    dino = DINO(backbone or Backbone(), prototypes=K, head_width=8, bottleneck=5, **options).double()
    for p in dino.parameters():  # the head starts close to 0, where all outputs are alike
        if p.requires_grad:
            p.data += 0.3 * torch.randn_like(p)
    dino.total_updates, dino.total_epochs = 100, 10.0
    return dino


def batch(sizes: tuple[int, ...] = (16, 16, 8, 8, 8), b: int = 4) -> Batch:
    views = [torch.randn(b, 3, s, s, dtype=torch.float64) for s in sizes]
    return Batch(views=views, index=torch.arange(b), records=[np.zeros(b)] * len(sizes))


def total(dino: DINO, given: Batch) -> Tensor:
    return torch.stack(list(dino.loss(given).values())).sum()


def outputs(dino: DINO, given: Batch) -> tuple[Tensor, Tensor]:
    """Teacher [2, B, K] and student [V, B, K], view by view (for networks without batch norm)."""
    t = torch.stack([dino.teacher["head"](dino.teacher["backbone"](v)) for v in given.views[:2]])
    s = torch.stack([dino.head(dino.backbone(v)) for v in given.views])
    return t.detach(), s.detach()


@pytest.mark.parametrize("sizes", [(16, 16), (16, 16, 8, 8, 8)])
def test_loss_is_the_algorithm_box(sizes: tuple[int, ...]) -> None:
    dino, given = method(vit(), drop_path=0.0, student_temperature=0.2, teacher_temperature=0.05), batch(sizes)
    dino.centre.value.copy_(0.1 * torch.randn(K))
    t, s = outputs(dino, given)
    terms = []
    for u in range(2):
        for v in range(len(sizes)):
            if v != u:
                p = ((t[u] - dino.centre.value) / 0.05).exp()
                p = p / p.sum(dim=1, keepdim=True)
                q = (s[v] / 0.2).exp()
                q = q / q.sum(dim=1, keepdim=True)
                terms.append(float(-(p * q.log()).sum(dim=1).mean()))
    assert len(terms) == 2 * len(sizes) - 2
    assert total(dino, given).item() == pytest.approx(sum(terms) / len(terms), rel=1e-11)


def test_agrees_with_lightly() -> None:
    lightly = pytest.importorskip("lightly.loss")
    tau = 0.0625  # lightly keeps temperatures in float32, where this one is exact
    dino, given = method(vit(), drop_path=0.0, teacher_temperature=tau), batch()
    t, s = outputs(dino, given)
    oracle = lightly.DINOLoss(K, warmup_teacher_temp=tau, teacher_temp=tau, warmup_teacher_temp_epochs=2).double()
    oracle.center.copy_(0.1 * torch.randn(1, 1, K))
    dino.centre.value.copy_(oracle.center.flatten())
    theirs = oracle(list(t), list(s), epoch=5)
    ours = total(dino, given)
    dino.updates = 100
    dino.after_update()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-11)
    torch.testing.assert_close(dino.centre.value, oracle.center.flatten(), rtol=1e-11, atol=1e-13)


def test_terms_are_divergence_and_entropy() -> None:
    dino, given = method(vit(), drop_path=0.0), batch()
    t, s = outputs(dino, given)
    terms = dino.loss(given)
    p = (t / 0.04).softmax(dim=-1)
    assert terms["teacher_entropy"].item() == pytest.approx(-(p * p.log()).sum(dim=-1).mean().item(), rel=1e-10)
    kl = [
        F.kl_div((s[v] / 0.1).log_softmax(dim=-1), p[u], reduction="none").sum(dim=-1).mean().item()
        for u in range(2)
        for v in range(5)
        if u != v
    ]
    assert terms["divergence"].item() == pytest.approx(sum(kl) / len(kl), rel=1e-10)


def silence(dino: DINO) -> None:
    """All outputs 0, of student and teacher."""
    for head in (dino.head, dino.teacher["head"]):
        head.mlp[-1].weight.data.zero_(), head.mlp[-1].bias.data.zero_()


def test_collapse_to_uniform() -> None:
    dino = method()
    silence(dino)
    terms = dino.loss(batch())
    assert terms["teacher_entropy"].item() == pytest.approx(math.log(K), rel=1e-13)
    assert terms["divergence"].item() == pytest.approx(0, abs=1e-13)


def test_collapse_to_one_output_and_what_centring_does_about_it() -> None:
    dino = method(teacher_temperature=0.001, student_temperature=0.001, centring=False)
    for head in (dino.head, dino.teacher["head"]):  # every image says the direction of the first prototype
        head.mlp[-1].weight.data.zero_(), head.mlp[-1].bias.data.copy_(dino.head.prototypes[0])
        head.prototypes.data.copy_(dino.head.prototypes.data)
    assert total(dino, batch()).item() == pytest.approx(0, abs=1e-9)
    dino.centring, dino.centre.momentum = True, 0.0
    dino.loss(batch())
    dino.after_update()
    assert dino.loss(batch())["teacher_entropy"].item() == pytest.approx(math.log(K), rel=1e-9)


def test_a_vector_added_to_teacher_logits_and_centre_changes_nothing() -> None:
    dino, given = method(), batch()
    before = total(dino, given).item()
    shift = torch.randn(K, dtype=torch.float64)
    dino.centre.value += shift
    assert abs(total(dino, given).item() - before) > 1e-3
    plain = dino.teacher["head"].forward
    dino.teacher["head"].forward = lambda h: plain(h) + shift
    assert total(dino, given).item() == pytest.approx(before, rel=1e-12)


def test_small_views_never_reach_the_teacher_and_their_order_does_not_matter() -> None:
    dino, given = method(), batch()
    seen: list[tuple[int, ...]] = []
    dino.teacher["backbone"].register_forward_hook(lambda _, x, y: seen.append(tuple(x[0].shape)))
    before = total(dino, given).item()
    assert seen == [(8, 3, 16, 16)]
    given.views = [*given.views[:2], *given.views[:1:-1]]
    assert total(dino, given).item() == pytest.approx(before, rel=1e-12)


def test_loss_moves_nothing_until_the_update() -> None:
    dino, given = method(), batch()
    first = total(dino, given).item()
    assert total(dino, given).item() == pytest.approx(first, rel=1e-15)
    assert dino.centre.value.abs().max() == 0


def test_centre_after_one_update_is_a_tenth_of_the_batch_mean() -> None:
    dino, given = method(vit(), drop_path=0.0), batch()
    t, _ = outputs(dino, given)
    dino.eval(), dino.loss(given), dino.train()  # looking does not count
    with torch.no_grad():
        dino.loss(given)
    assert dino.centre.batches == 0
    dino.loss(given)
    dino.after_update()
    torch.testing.assert_close(dino.centre.value, 0.1 * t.mean(dim=(0, 1)), rtol=1e-11, atol=1e-14)


def test_only_the_student_learns() -> None:
    dino = method()
    total(dino, batch()).backward()
    assert all(p.grad is None for p in dino.teacher.parameters())
    assert all(p.grad is not None for p in (*dino.backbone.parameters(), *dino.head.parameters()))
    (player,) = dino.players()
    assert {n.split(".")[0] for n, _ in player.parameters} == {"backbone", "head"}


def test_teacher_starts_equal_and_follows_along_the_ramp() -> None:
    dino = DINO(vit(), prototypes=K, head_width=8, bottleneck=5, teacher_momentum=0.8)
    dino.total_updates, dino.updates = 4, 1
    for name, p in dino.teacher.named_parameters():
        assert torch.equal(p, dino.get_parameter(name))
    before = copy.deepcopy(dino.teacher)
    for p in dino.head.parameters():
        p.data += torch.randn_like(p)
    dino.after_update()
    m = 1 - 0.2 * (math.cos(math.pi / 4) + 1) / 2
    for name, p in dino.teacher.named_parameters():
        expected = m * before.get_parameter(name) + (1 - m) * dino.get_parameter(name).detach()
        torch.testing.assert_close(p, expected, rtol=1e-5, atol=1e-7)


def test_kept_is_the_teachers_backbone() -> None:
    dino = method().eval()
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    assert dino.kept is dino.teacher["backbone"]
    assert torch.equal(dino.embed(x), dino.teacher["backbone"](x))
    assert not torch.equal(dino.embed(x), dino.backbone(x))


def test_stochastic_depth_is_the_students_alone() -> None:
    dino = DINO(vit(), prototypes=K, head_width=8, bottleneck=5, drop_path=0.4)
    x = torch.randn(16, 3, 16, 16)
    student = dino.backbone.train()
    with torch.no_grad():
        assert not torch.equal(student(x), student(x))
        assert torch.equal(dino.kept.train()(x), dino.kept(x))
        assert torch.equal(student.eval()(x), dino.kept(x))  # the weights are equal


def test_teacher_temperature_warms_up() -> None:
    dino = method(warmup_teacher_temperature=0.04, teacher_temperature=0.07, warmup_teacher_epochs=3.0)
    found = []
    for epoch in (0.0, 1.5, 3.0, 9.0):
        dino.updates = int(epoch * 10)
        found.append(dino._teacher_temperature())
    assert found == pytest.approx([0.04, 0.055, 0.07, 0.07])
    assert method()._teacher_temperature() == 0.04


def one_update(dino: DINO, given: Batch, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    total(dino, given).backward()
    dino.before_update()
    optimiser.step()
    dino.advance()


def test_prototypes_rest_during_the_first_epoch() -> None:
    dino = method(freeze_last_layer=1.0)  # 100 updates in 10 epochs: the first 10
    (player,) = dino.players()
    optimiser = make_optimiser(player.parameters, dino.plan, 256)
    start = dino.head.prototypes.detach().clone()
    first = dino.head.mlp[0].weight.detach().clone()
    for _ in range(10):
        one_update(dino, batch(), optimiser)
    assert torch.equal(dino.head.prototypes, start)
    assert not torch.equal(dino.head.mlp[0].weight, first)
    one_update(dino, batch(), optimiser)
    assert not torch.equal(dino.head.prototypes, start)


def test_gradients_are_clipped_one_by_one() -> None:
    dino = method(freeze_last_layer=0.0, clip_each=0.01)
    total(dino, batch()).backward()
    parameters = [p for p in dino.parameters() if p.requires_grad]
    before = [p.grad.clone() for p in parameters]
    dino.before_update()
    norms = torch.stack([g.norm() for g in before])
    assert norms.min() < 0.01 < norms.max()
    for p, g in zip(parameters, before, strict=True):
        torch.testing.assert_close(p.grad, g * min(1.0, 0.01 / (float(g.norm()) + 1e-6)), rtol=1e-12, atol=0)
    dino.clip_each = 0.0
    total(dino, batch()).backward()
    before = [p.grad.clone() for p in parameters]
    dino.before_update()
    assert all(torch.equal(p.grad, g) for p, g in zip(parameters, before, strict=True))


def test_views_are_two_large_ones_and_small_ones() -> None:
    views = method().views(224).views
    assert [view.size for view in views] == [224, 224] + [96] * 8
    assert [view.scale for view in views[1:3]] == [(0.4, 1.0), (0.05, 0.4)]


def test_every_position_of_a_vit_learns_from_small_views() -> None:
    dino = method(vit(), drop_path=0.0)
    s = dino.head(dino.backbone(batch().views[2]))
    s.square().sum().backward()
    assert (dino.backbone.pos_embed.grad.abs().amax(dim=-1) > 0).all()


def test_a_few_updates_bring_the_student_to_the_teacher() -> None:
    dino, given = method(teacher_momentum=1.0, centre_momentum=1.0, freeze_last_layer=0.0), batch()
    (player,) = dino.players()
    optimiser = torch.optim.Adam([p for _, p in player.parameters], 0.03)
    first = dino.loss(given)["divergence"].item()
    for _ in range(15):
        one_update(dino, given, optimiser)
    assert dino.loss(given)["divergence"].item() < 0.5 * first


def test_gradient_of_the_loss_is_that_of_the_cross_entropy() -> None:
    """Splitting it into divergence and entropy for the log does not change what is descended on."""
    dino, given = method(vit(), drop_path=0.0), batch((16, 16))
    total(dino, given).backward()
    t, _ = outputs(dino, given)
    grad = dino.head.prototypes.grad.clone()
    dino.zero_grad()
    p = (t / 0.04).softmax(dim=-1)
    s = [dino.head(dino.backbone(v)) for v in given.views]
    sum(-(p[u] * (s[1 - u] / 0.1).log_softmax(dim=-1)).sum(dim=-1).mean() / 2 for u in range(2)).backward()
    torch.testing.assert_close(dino.head.prototypes.grad, grad, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_the_head_has_as_many_layers_as_wanted(layers: int) -> None:
    dino = method(head_layers=layers)
    for head in (dino.head, dino.teacher["head"]):
        assert [type(m).__name__ for m in head.mlp] == ["Linear", "GELU"] * (layers - 1) + ["Linear"]


def test_the_head_may_have_batch_norm_between_its_layers() -> None:
    dino = method(head_norm=True)
    assert [type(m).__name__ for m in dino.head.mlp] == [*["Linear", "BatchNorm1d", "GELU"] * 2, "Linear"]
    assert not any(isinstance(m, nn.BatchNorm1d) for m in method().head.modules())


def test_the_gains_of_the_last_layer_are_learnt_on_request_alone() -> None:
    """As torch's own weight normalisation has it; and they rest as long as the prototypes do."""
    plain, free = method(head_layers=1), method(head_layers=1, norm_last_layer=False)
    assert plain.head.gains is None
    assert DINO(Backbone(), prototypes=K, norm_last_layer=False).head.gains.eq(1).all()
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(5, K, bias=False)).double()
    layer.parametrizations.weight.original0.data.copy_(free.head.gains)
    layer.parametrizations.weight.original1.data.copy_(free.head.prototypes)
    h = torch.randn(7, 6, dtype=torch.float64)
    z = F.normalize(free.head.mlp(h), dim=1)
    torch.testing.assert_close(free.head(h), layer(z), rtol=1e-12, atol=1e-14)

    total(free, batch()).backward()
    assert free.head.gains.grad.abs().sum() > 0
    free.before_update()
    assert free.head.gains.grad is None and free.head.prototypes.grad is None
    free.updates = 50
    total(free, batch()).backward()
    free.before_update()
    assert free.head.gains.grad is not None
