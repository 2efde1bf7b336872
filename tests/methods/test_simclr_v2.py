import copy

import pytest
import torch
import torch.nn.functional as F

from tests.methods.toy import Backbone, batch
from unlabel.losses import nt_xent
from unlabel.methods.simclr_v2 import SimCLRv2
from unlabel.nn import backbones


def method(**options) -> SimCLRv2:
    return SimCLRv2(Backbone(), projector_width=8, projector_dim=4, **options).double()


def test_without_memory_it_is_nt_xent_with_a_projector_of_three_layers() -> None:
    simclr, given = method(temperature=0.3), batch()
    layers = ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d"]
    assert [type(part).__name__ for part in simclr.projector] == layers
    same = copy.deepcopy(simclr)
    z1, z2 = same.projector(same.backbone(torch.cat(given.views))).chunk(2)
    assert simclr.loss(given).item() == pytest.approx(nt_xent(z1, z2, temperature=0.3).item(), rel=1e-12)
    assert simclr.queue is None and simclr.teacher is None


def test_the_memory_adds_negatives_and_takes_the_teachers_rows() -> None:
    simclr, given = method(temperature=0.3, queue_length=16), batch()
    same, old = copy.deepcopy(simclr), simclr.queue.rows.clone()
    z = F.normalize(same.projector(same.backbone(torch.cat(given.views))), dim=1)
    logits = torch.cat([z @ z.T, z @ old.T], dim=1) / 0.3
    logits[torch.arange(10), torch.arange(10)] = -torch.inf
    expected = F.cross_entropy(logits, torch.arange(10).roll(5))
    assert simclr.loss(given).item() == pytest.approx(expected.item(), rel=1e-12)
    assert torch.equal(simclr.queue.rows, old)  # nothing moves before the update
    simclr.after_update()
    keys = F.normalize(same.teacher(torch.cat(given.views)), dim=1)
    torch.testing.assert_close(simclr.queue.rows[:10], keys.detach(), rtol=1e-12, atol=1e-14)
    assert torch.equal(simclr.queue.rows[10:], old[10:])


def test_looking_at_a_loss_moves_nothing() -> None:
    simclr, given = method(queue_length=16), batch()
    with torch.no_grad():
        simclr.loss(given)
    simclr.eval()
    simclr.loss(given)
    assert not simclr.queue.noted


def test_the_teacher_follows_and_takes_no_gradient() -> None:
    simclr = method(queue_length=16, teacher_momentum=0.75)
    before = copy.deepcopy(simclr.teacher)
    simclr.loss(batch()).backward()
    assert all(p.grad is None for p in simclr.teacher.parameters())
    with torch.no_grad():
        for p in simclr.backbone.parameters():
            p += 1
    simclr.after_update()
    for name, p in simclr.teacher.named_parameters():
        moved = 0.25 if name.startswith("0.") else 0.0
        torch.testing.assert_close(p.detach(), before.get_parameter(name).detach() + moved, rtol=1e-12, atol=1e-12)


def test_selective_kernel_networks_are_backbones() -> None:
    backbone = backbones.build(backbones.resolve("skresnet18", 32))
    simclr = SimCLRv2(backbone, projector_width=8, projector_dim=4)
    views = [torch.randn(2, 3, 32, 32) for _ in range(2)]
    given = batch(2)
    given.views = views
    simclr.loss(given).backward()
    assert backbone.conv1.weight.grad is not None
