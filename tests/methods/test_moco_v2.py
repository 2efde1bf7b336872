import pytest
import torch
from torch import nn

from tests.methods.toy import Backbone, assert_teacher_follows, batch
from unlabel.losses import queue_info_nce
from unlabel.methods.moco import MoCo
from unlabel.methods.moco_v2 import MoCoV2
from unlabel.views import Batch, named

SMALL = {"projector_dim": 4, "queue_length": 12, "bn_splits": 1}


def method(**options) -> MoCoV2:
    moco = MoCoV2(Backbone(), **{"projector_width": 8} | SMALL | options).double()
    for p in moco.teacher.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return moco


def swapped(given: Batch) -> Batch:
    return Batch(views=given.views[::-1], index=given.index, records=given.records)


def direction(moco: MoCoV2, x_q: torch.Tensor, x_k: torch.Tensor) -> float:
    q, k = moco.projector(moco.backbone(x_q)), moco.teacher(x_k)
    return queue_info_nce(q, k, moco.queue.rows, temperature=moco.temperature).item()


def test_loss_is_one_direction_or_both() -> None:
    given = batch()
    x_1, x_2 = given.views
    moco = method()
    assert moco.loss(given).item() == pytest.approx(direction(moco, x_1, x_2), rel=1e-12)
    moco.symmetric = True
    both = direction(moco, x_1, x_2) + direction(moco, x_2, x_1)
    assert moco.loss(given).item() == pytest.approx(both, rel=1e-12)


def test_symmetric_loss_does_not_see_the_order_of_views() -> None:
    moco, given = method(symmetric=True), batch()
    assert moco.loss(given).item() == pytest.approx(moco.loss(swapped(given)).item(), rel=1e-12)
    moco.symmetric = False
    assert abs(moco.loss(given).item() - moco.loss(swapped(given)).item()) > 1e-4


@pytest.mark.parametrize("symmetric", [False, True])
def test_keys_of_every_direction_enter_the_queue(symmetric: bool) -> None:
    moco, given = method(symmetric=symmetric), batch()
    keys = [nn.functional.normalize(moco.teacher(x), dim=1) for x in reversed(given.views)][: 1 + symmetric]
    moco.loss(given)
    moco.advance()
    assert moco.queue.filled == 5 * (1 + symmetric)
    torch.testing.assert_close(moco.queue.rows[: moco.queue.filled], torch.cat(keys).detach(), rtol=1e-9, atol=1e-11)


def as_in_the_first(name: str) -> str:
    """The name of a tensor of a MoCo v2 without hidden layer in MoCo v1."""
    return name.replace("projector.0", "projector").replace("teacher.1.0", "teacher.1")


def both(**options) -> tuple[MoCo, MoCoV2]:
    """MoCo v1, and MoCo v2 with its settings and weights."""
    second = MoCoV2(Backbone(), projector_layers=1, temperature=0.07, **SMALL | options).double()
    first = MoCo(Backbone(), **SMALL | options).double()
    first.load_state_dict({as_in_the_first(n): t for n, t in second.state_dict().items()})
    return first, second


def test_without_hidden_layer_it_is_the_first_moco() -> None:
    first, second = both()
    given = batch()
    assert first.loss(given).item() == pytest.approx(second.loss(given).item(), rel=1e-13)
    assert {**first.limits, "projector_width": 0, "projector_layers": 0}.keys() == second.limits.keys()


@pytest.mark.parametrize("splits", [1, 2])
def test_gradients_queue_and_teacher_too_are_those_of_the_first_moco(splits: int) -> None:
    pair = both(bn_splits=splits, teacher_momentum=0.9)
    optimisers = [torch.optim.SGD([p for p in moco.parameters() if p.requires_grad], 0.1) for moco in pair]
    for _ in range(3):  # the queue of twelve turns over
        given = batch(6)
        for moco, optimiser in zip(pair, optimisers, strict=True):
            optimiser.zero_grad()
            moco.loss(given).backward()
        first, second = pair
        for name, p in second.named_parameters():
            if p.requires_grad:
                other = first.get_parameter(as_in_the_first(name))
                torch.testing.assert_close(p.grad, other.grad, rtol=1e-10, atol=1e-13, msg=name)
        for moco, optimiser in zip(pair, optimisers, strict=True):
            optimiser.step()
            moco.advance()
        assert first.queue.pushed == second.queue.pushed
        states = first.state_dict(), second.state_dict()
        for name, value in states[1].items():
            if isinstance(value, torch.Tensor):
                torch.testing.assert_close(states[0][as_in_the_first(name)], value, rtol=1e-10, atol=1e-13, msg=name)
    assert first.queue.pushed == 18


def test_teacher_follows_in_its_parameters_alone() -> None:
    moco = method(teacher_momentum=0.75)
    moco.loss(batch())
    assert_teacher_follows(moco, 0.75)
    running = moco.teacher.get_buffer("0.layers.1.running_mean")
    assert not torch.equal(running, moco.backbone.get_buffer("layers.1.running_mean"))


def test_projector_and_views_are_the_papers() -> None:
    moco = MoCoV2(Backbone(), queue_length=8)
    assert [type(m).__name__ for m in moco.projector] == ["Linear", "ReLU", "Linear"]
    assert [m.out_features for m in moco.projector if isinstance(m, nn.Linear)] == [2048, 128]
    assert all(m.bias is not None for m in moco.projector if isinstance(m, nn.Linear))
    assert (moco.temperature, moco.teacher_momentum) == (0.2, 0.999)
    view, other = moco.views(224).views
    assert view == other == named("moco2", 224).views[0] and view.blur == 0.5 and view.scale == (0.2, 1.0)


def test_only_the_query_network_learns() -> None:
    moco = method(symmetric=True, bn_splits=2)
    moco.loss(batch(6)).backward()
    assert all(p.grad is None for p in moco.teacher.parameters())
    assert all(p.grad is not None for p in (*moco.backbone.parameters(), *moco.projector.parameters()))
