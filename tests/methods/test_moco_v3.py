import copy
import math

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from tests.methods.toy import Backbone, batch
from unlabel.errors import Fault
from unlabel.methods.moco_v3 import MoCoV3
from unlabel.nn.patches import sincos_table
from unlabel.optim import Plan, make_optimiser
from unlabel.views import Batch


def vit(width: int = 12) -> nn.Module:
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=8, patch_size=4, embed_dim=width, depth=2, num_heads=2, num_classes=0,
        dynamic_img_size=True,
    )  # fmt: skip


def method(backbone: nn.Module | None = None, **options) -> MoCoV3:
    moco = MoCoV3(backbone or Backbone(), **{"projector_width": 8, "projector_dim": 4} | options).double()
    for p in moco.teacher.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return moco


def test_loss_is_the_algorithm_box() -> None:
    moco, given = method(temperature=0.3), batch()
    expected = 0.0
    for x, other in (given.views, given.views[::-1]):
        q = moco.predictor(moco.projector(moco.backbone(x)))
        k = moco.teacher(other)
        for i in range(5):
            logits = [F.cosine_similarity(q[i], key, dim=0).item() / 0.3 for key in k]
            expected += 2 * 0.3 * (math.log(sum(math.exp(s) for s in logits)) - logits[i]) / 5
    assert moco.loss(given).item() == pytest.approx(expected, rel=1e-11)


def test_views_may_be_swapped() -> None:
    moco, given = method(), batch()
    swapped = Batch(views=given.views[::-1], index=given.index, records=given.records)
    assert moco.loss(given).item() == pytest.approx(moco.loss(swapped).item(), rel=1e-12)


def test_collapse_costs_four_tau_log_n() -> None:
    moco = method(temperature=0.5, predictor=False)
    for network in (moco.projector, moco.teacher[1]):
        network[-1] = nn.Linear(4, 4).double()
        network[-1].weight.data.zero_(), network[-1].bias.data.fill_(1.0)
    assert moco.loss(batch()).item() == pytest.approx(4 * 0.5 * math.log(5), rel=1e-12)


def test_without_predictor_and_with_a_teacher_that_is_the_student_it_is_info_nce_of_both_directions() -> None:
    moco, given = method(predictor=False, teacher_momentum=0.0), batch()
    moco.after_update()
    z_1, z_2 = (F.normalize(moco.projector(moco.backbone(x)), dim=1) for x in given.views)
    own = torch.arange(5)
    both = F.cross_entropy(z_1 @ z_2.T / 0.2, own) + F.cross_entropy(z_2 @ z_1.T / 0.2, own)
    assert moco.loss(given).item() == pytest.approx(0.4 * both.item(), rel=1e-11)


def test_only_the_online_network_learns() -> None:
    moco = method()
    moco.loss(batch()).backward()
    assert all(p.grad is None for p in moco.teacher.parameters())
    (player,) = moco.players()
    assert {n.split(".")[0] for n, _ in player.parameters} == {"backbone", "projector", "predictor"}
    assert all(p.grad is not None for _, p in player.parameters)


def test_heads_are_those_of_convolutional_networks_and_of_transformers() -> None:
    block = ["Linear", "BatchNorm1d", "ReLU"]
    for backbone, layers, last in ((Backbone(), 2, []), (vit(), 3, ["BatchNorm1d"])):
        moco = MoCoV3(backbone, projector_width=8, projector_dim=4)
        names = [type(m).__name__ for m in moco.projector]
        assert names == block * (layers - 1) + ["Linear", "BatchNorm1d"] and moco.projector[-1].weight is None
        assert [type(m).__name__ for m in moco.predictor] == [*block, "Linear", *last]
        assert all(m.bias is None for m in (*moco.projector, *moco.predictor) if isinstance(m, nn.Linear))
    assert len(MoCoV3(Backbone(), projector_layers=1, projector_dim=4).projector) == 2
    wide = MoCoV3(Backbone())
    assert (wide.projector[0].out_features, wide.predictor[-1].out_features) == (4096, 256)


def test_a_transformer_starts_as_the_paper_says() -> None:
    moco = MoCoV3(vit(64), projector_width=8, projector_dim=4)
    backbone = moco.backbone
    assert torch.equal(backbone.pos_embed[0], sincos_table(64, (2, 2), 1)) and not backbone.pos_embed.requires_grad
    assert 0 < backbone.cls_token.abs().max() < 1e-4
    patches = backbone.patch_embed.proj
    for weight, bound in (
        (patches.weight, math.sqrt(6 / (3 * 16 + 64))),
        (backbone.blocks[0].attn.qkv.weight, math.sqrt(6 / (64 + 64))),
        (backbone.blocks[0].mlp.fc1.weight, math.sqrt(6 / (64 + 256))),
    ):
        assert 0.98 * bound < weight.abs().max() <= bound
    assert patches.bias.abs().max() == 0 and backbone.blocks[1].attn.qkv.bias.abs().max() == 0


@pytest.mark.parametrize("frozen", [True, False])
def test_patches_stay_as_they_were_drawn(frozen: bool) -> None:
    moco = method(vit(), frozen_patches=frozen).float()
    moco.total_updates = 100
    student = nn.Sequential(moco.backbone, moco.projector)
    moco.teacher.load_state_dict(student.state_dict())
    before = copy.deepcopy(moco.state_dict())
    (player,) = moco.players()
    names = {name for name, _ in player.parameters}
    assert ("backbone.patch_embed.proj.weight" in names) != frozen and "backbone.pos_embed" not in names
    optimiser = make_optimiser(player.parameters, Plan(optimiser="adamw", lr=0.01, lr_per=None, weight_decay=0.1), 5)
    given = batch()
    given.views = [x.float() for x in given.views]
    for _ in range(2):
        moco.loss(given).backward()
        assert (moco.backbone.patch_embed.proj.weight.grad is None) == frozen
        optimiser.step()
        moco.advance()
    after = moco.state_dict()
    still = {name for name, t in after.items() if isinstance(t, torch.Tensor) and torch.equal(t, before[name])}
    for where in ("backbone", "teacher.0"):
        assert f"{where}.pos_embed" in still
        assert all((f"{where}.patch_embed.proj.{name}" in still) == frozen for name in ("weight", "bias"))
        assert f"{where}.blocks.0.attn.qkv.weight" not in still


def test_a_transformer_whose_width_has_no_positions_is_refused() -> None:
    with pytest.raises(Fault, match="a width that 4 divides, not 14"):
        MoCoV3(vit(14))


def test_teacher_follows_along_the_cosine_ramp() -> None:
    moco = method(teacher_momentum=0.9)
    moco.total_updates, moco.updates = 100, 25
    before = copy.deepcopy(moco.teacher)
    m = 1 - (1 - 0.9) * (math.cos(math.pi * 0.25) + 1) / 2
    moco.after_update()
    student = nn.Sequential(moco.backbone, moco.projector)
    for name, p in moco.teacher.named_parameters():
        expected = m * before.get_parameter(name) + (1 - m) * student.get_parameter(name).detach()
        torch.testing.assert_close(p, expected, rtol=1e-13, atol=1e-15)


def test_plan_and_defaults_are_those_of_transformers() -> None:
    moco = MoCoV3(Backbone(), projector_width=8)
    assert (moco.temperature, moco.teacher_momentum) == (0.2, 0.99)
    assert (moco.plan.optimiser, moco.plan.lr, moco.plan.weight_decay) == ("adamw", 1.5e-4, 0.1)
    assert moco.plan.warmup * moco.plan.epochs == pytest.approx(40)
    first, second = moco.views(224).views
    assert (first.blur, first.solarise, second.blur, second.solarise) == (1.0, 0.0, 0.1, 0.2)
