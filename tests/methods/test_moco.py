import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.methods.toy import Backbone, assert_teacher_follows, batch
from unlabel.methods.moco import MoCo
from unlabel.nn.split_batchnorm import SplitBatchNorm
from unlabel.optim import Plan, make_optimiser
from unlabel.views import Batch, named


def method(**options) -> MoCo:
    return MoCo(Backbone(), **{"projector_dim": 4, "queue_length": 12, "bn_splits": 1} | options).double()


def apart_from_the_teacher(moco: MoCo) -> MoCo:
    for p in moco.teacher.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return moco


@pytest.mark.parametrize("splits", [1, 2])
def test_loss_is_the_algorithm_box(splits: int) -> None:
    moco, given = apart_from_the_teacher(method(bn_splits=splits, temperature=0.2)), batch(6)
    student, teacher = copy.deepcopy(nn.Sequential(moco.backbone, moco.projector)), copy.deepcopy(moco.teacher)
    x_q, x_k = given.views
    order = torch.tensor([0, 3, 1, 4, 2, 5]) if splits == 2 else torch.arange(6)
    q, k = student(x_q), torch.empty(6, 4, dtype=torch.float64)
    k[order] = teacher(x_k[order])
    q, k = (F.normalize(z, dim=1).detach() for z in (q, k))
    expected = 0.0
    for i in range(6):
        logits = [float(q[i] @ other) / 0.2 for other in (k[i], *moco.queue.rows)]
        expected += (math.log(sum(math.exp(s) for s in logits)) - logits[0]) / 6
    assert moco.loss(given).item() == pytest.approx(expected, rel=1e-11)


def test_agrees_with_lightly() -> None:
    lightly = pytest.importorskip("lightly.loss")
    moco, given = apart_from_the_teacher(method()), batch()
    oracle = lightly.NTXentLoss(temperature=0.07, memory_bank_size=(12, 4))
    oracle.memory_bank.bank = moco.queue.rows.clone()
    x_q, x_k = given.views
    theirs = oracle(moco.projector(moco.backbone(x_q)), moco.teacher(x_k))
    assert moco.loss(given).item() == pytest.approx(theirs.item(), rel=1e-10)


def test_collapse_costs_log_of_one_plus_k() -> None:
    moco = method()
    for head in (moco.projector, moco.teacher[1]):
        head.weight.data.zero_(), head.bias.data.fill_(1.0)
    moco.queue.rows.fill_(0.5)
    assert moco.loss(batch()).item() == pytest.approx(math.log(13), rel=1e-12)


def test_queue_is_first_in_first_out_and_no_key_is_a_negative_of_its_own_update() -> None:
    moco = method()
    for first in (0, 5, 10):
        given = batch()
        k = F.normalize(moco.teacher(given.views[1]), dim=1)
        moco.loss(given)
        assert not torch.isin(k, moco.queue.rows).any()
        moco.advance()
        places = (first + torch.arange(5)) % 12
        torch.testing.assert_close(moco.queue.rows[places], k.detach(), rtol=1e-9, atol=1e-11)
    assert moco.queue.filled == 12


def test_looking_moves_nothing() -> None:
    moco, given = method(), batch()
    first = moco.loss(given).item()
    assert moco.loss(given).item() == pytest.approx(first, rel=1e-14)
    moco.queue.noted = []
    with torch.no_grad():
        moco.loss(given)
    moco.eval().loss(given)
    before = moco.queue.rows.clone()
    moco.after_update()
    assert torch.equal(moco.queue.rows, before)


def test_only_the_query_network_learns() -> None:
    moco = method()
    moco.loss(batch()).backward()
    assert all(p.grad is None for p in moco.teacher.parameters())
    assert not any(b.requires_grad for b in moco.buffers())
    (player,) = moco.players()
    assert {n.split(".")[0] for n, _ in player.parameters} == {"backbone", "projector"}


def test_teacher_follows_in_its_parameters_alone() -> None:
    moco = method(teacher_momentum=0.75)
    moco.loss(batch())
    assert_teacher_follows(moco, 0.75)


def test_query_and_key_are_normalised_in_different_company() -> None:
    moco, given = method(bn_splits=2), batch(8)
    assert isinstance(moco.backbone.layers[1], SplitBatchNorm)
    assert isinstance(moco.teacher[0].layers[1], SplitBatchNorm)
    seen: list[torch.Tensor] = []
    moco.teacher.register_forward_hook(lambda _, x, y: seen.append(x[0]))
    moco.loss(given)
    assert torch.equal(seen[0], given.views[1][[0, 4, 1, 5, 2, 6, 3, 7]])


def test_projector_is_one_linear_layer_and_defaults_are_the_papers() -> None:
    moco = MoCo(Backbone(), queue_length=8)
    assert isinstance(moco.projector, nn.Linear) and moco.projector.out_features == 128
    assert (moco.temperature, moco.teacher_momentum, moco.bn_splits) == (0.07, 0.999, 8)
    assert moco.views(224).views == named("instdisc", 224).views * 2


def test_resumes_with_its_queue() -> None:
    moco, other = method(), method()
    moco.loss(batch())
    moco.advance()
    other.load_state_dict(moco.state_dict())
    given = batch()
    assert moco.loss(given).item() == other.loss(given).item() and other.queue.filled == 5


def test_a_few_updates_lower_the_loss() -> None:
    moco, given = method(temperature=0.2, teacher_momentum=0.99), batch(8)
    for _ in range(2):  # the first queue is noise
        moco.loss(given), moco.after_update()
    (player,) = moco.players()
    optimiser = make_optimiser(player.parameters, Plan(optimiser="adam", lr=0.02, lr_per=None), 8)
    first = moco.loss(given).item()
    for _ in range(20):
        loss = moco.loss(given)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        moco.advance()
    assert loss.item() < 0.9 * first


def test_order_of_images_does_not_matter() -> None:
    moco, given = apart_from_the_teacher(method()), batch()
    order = torch.randperm(5)
    other = Batch(views=[v[order] for v in given.views], index=given.index[order], records=given.records)
    assert moco.loss(other).item() == pytest.approx(moco.loss(given).item(), rel=1e-11)
