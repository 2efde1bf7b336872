"""Fine-tuning from any layer of the head, and distillation, as modules; tests/api runs them from end to end."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.methods.toy import Backbone, batch
from unlabel.engine.distilling import Distillation
from unlabel.engine.finetuning import FineTuning
from unlabel.errors import Fault
from unlabel.losses import distillation
from unlabel.methods import Classifies, Method
from unlabel.methods.rotation import Rotation
from unlabel.methods.simclr_v2 import SimCLRv2
from unlabel.views import Batch

CLASSES = 3
KNOWN = torch.tensor([0, 2, 1, 1, 0])


def origin() -> SimCLRv2:
    """A run's method, with batch norms that have seen something."""
    method = SimCLRv2(Backbone(), projector_width=8, projector_dim=4).double()
    method.loss(batch())
    return method


def tuning(start: Method | None = None, **options) -> FineTuning:
    method = FineTuning(Backbone().double(), origin=start or origin(), size=8, classes=CLASSES, **options).double()
    method.prepare(5)
    method.tell(KNOWN)
    return method


def one_view() -> Batch:
    given = batch()
    return Batch(views=given.views[:1], index=given.index, records=[])


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_without_head_it_is_plain_fine_tuning() -> None:
    """The same weights after three steps as a loop written out."""
    start = origin()
    tuned, given = tuning(start, from_head=0), one_view()
    backbone, linear = copy.deepcopy(start.backbone), nn.Linear(6, CLASSES).double()
    nn.init.zeros_(linear.weight), nn.init.zeros_(linear.bias)
    ours = torch.optim.SGD(tuned.parameters(), 0.1)
    theirs = torch.optim.SGD([*backbone.parameters(), *linear.parameters()], 0.1)
    for _ in range(3):
        loss, same = tuned.loss(given), F.cross_entropy(linear(backbone(given.views[0])), KNOWN)
        assert loss.item() == pytest.approx(same.item(), rel=1e-12)
        for optimiser, value in ((ours, loss), (theirs, same)):
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
    for mine, plain in zip(tuned.backbone.state_dict().values(), backbone.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("from_head", "layers", "width"), [(0, 0, 6), (1, 1, 8), (2, 2, 8), (3, 3, 4), (-1, 3, 4)])
def test_the_first_layers_of_the_head_stay_with_their_batch_norm(from_head: int, layers: int, width: int) -> None:
    start = origin()
    tuned = tuning(start, from_head=from_head).eval()
    kept = start.projector[: [0, 3, 6, 8][layers]]
    assert parameters(tuned.head[:-1]) == parameters(kept)
    assert parameters(tuned) == parameters(start.backbone) + parameters(kept) + CLASSES * (width + 1)
    x = one_view().views[0]
    start.eval()
    torch.testing.assert_close(tuned.head[:-1](tuned.backbone(x)), kept(start.backbone(x)))
    stored = [tensor for name, tensor in tuned.head.state_dict().items() if "running_mean" in name]
    assert len(stored) == layers and all(tensor.abs().max() > 0 for tensor in stored)


def test_the_encoder_of_the_paper_is_backbone_and_one_layer() -> None:
    tuned = tuning(from_head=1)
    assert [type(part).__name__ for part in tuned.head] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert parameters(tuned.backbone) + parameters(tuned.head[:-1]) == parameters(Backbone()) + 6 * 8 + 2 * 8


def test_it_begins_by_saying_nothing_and_trains_everything() -> None:
    tuned = tuning(from_head=1)
    assert tuned.loss(one_view()).item() == pytest.approx(torch.tensor(float(CLASSES)).log().item(), rel=1e-6)
    assert all(p.requires_grad for p in tuned.parameters())
    (view,) = tuned.views(32).views
    assert view.flip == 0.5 and not (view.jitter or view.grey or view.blur or view.solarise)


def test_its_plan_is_the_papers() -> None:
    plan = FineTuning.plan
    assert (plan.optimiser, plan.schedule, plan.batch_size, plan.epochs) == ("lars", "cosine", 1024, 60)
    assert (plan.warmup, plan.weight_decay, plan.momentum, plan.final_lr) == (0.0, 0.0, 0.9, 0.0)
    assert plan.peak(1024) == pytest.approx(0.005 * 1024**0.5)


def test_the_run_that_it_comes_from_stays_as_it_was() -> None:
    start = origin()
    before = copy.deepcopy(start.state_dict())
    tuned = tuning(start, from_head=2)
    optimiser = torch.optim.SGD(tuned.parameters(), 0.1)
    tuned.loss(one_view()).backward()
    optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(start.state_dict().values(), before.values(), strict=True)
               if isinstance(a, Tensor))  # fmt: skip


def test_its_batch_norms_learn_whatever_mode_the_run_was_loaded_in() -> None:
    tuned = tuning(origin().eval(), from_head=2)
    assert all(part.training for part in tuned.modules())


def test_from_scratch_it_takes_the_layers_and_not_the_weights() -> None:
    start = origin()
    fresh, tuned = tuning(start, from_head=1, scratch=True), tuning(start, from_head=1)
    assert [p.shape for p in fresh.parameters()] == [p.shape for p in tuned.parameters()]
    assert not torch.equal(fresh.head[0].weight, start.projector[0].weight)
    assert not torch.equal(fresh.backbone.layers[0].weight, start.backbone.layers[0].weight)
    assert fresh.head[1].running_mean.abs().max() == 0


def test_what_a_run_does_not_have_is_a_fault() -> None:
    with pytest.raises(Fault, match="the head has 3 layers, not 4"):
        tuning(from_head=4)
    with pytest.raises(Fault, match="no projector to fine-tune from"):
        tuning(Rotation(Backbone()).double(), from_head=1)


# ------------------------------------------------------------------ distillation


def teacher() -> FineTuning:
    tuned = tuning(from_head=1)
    nn.init.normal_(tuned.head[-1].weight)
    return tuned


def student(of: FineTuning, **options) -> Distillation:
    method = Distillation(Backbone().double(), origin=of, size=8, classes=CLASSES, **options).double()
    method.prepare(5)
    nn.init.normal_(method.head[-1].weight)
    return method


def test_its_loss_is_what_the_teacher_says() -> None:
    of, given = teacher(), one_view()
    learner = student(of, temperature=2.0)
    x = given.views[0]
    same, judge = copy.deepcopy(learner), copy.deepcopy(of).eval()
    expected = distillation(judge.classify(x), same.classify(x), temperature=2.0)
    assert learner.loss(given)["distillation"].item() == pytest.approx(expected.item(), rel=1e-12)
    assert set(learner.loss(given)) == {"distillation"}


def test_labels_count_where_they_are_known() -> None:
    of, given = teacher(), one_view()
    learner = student(of, alpha=0.25)
    known = torch.tensor([0, -1, 1, -1, 2])
    learner.tell(known)
    s = copy.deepcopy(learner).classify(given.views[0])
    terms = learner.loss(given)
    wrong = F.cross_entropy(s[known >= 0], known[known >= 0])
    assert terms["labels"].item() == pytest.approx(0.75 * wrong.item(), rel=1e-6)
    learner.tell(torch.full((5,), -1))
    assert learner.loss(given)["labels"].item() == 0


def test_its_view_is_weak() -> None:
    (view,) = student(teacher()).views(32).views
    assert (view.size, view.crop, view.scale, view.flip) == (32, "random_resized", (0.08, 1.0), 0.5)
    assert view.jitter is None and not (view.grey or view.blur or view.solarise or view.strong)


def test_the_teacher_stays_as_it_is() -> None:
    of, given = teacher(), one_view()
    learner = student(of).train()
    assert not any(part.training for part in learner.teacher.modules()) and learner.backbone.training
    before = copy.deepcopy(learner.teacher.state_dict())
    optimiser = torch.optim.SGD([p for p in learner.parameters() if p.requires_grad], 0.1)
    learner.loss(given)["distillation"].backward()
    optimiser.step()
    assert all(p.grad is None for p in learner.teacher.parameters())
    assert all(torch.equal(a, b) for a, b in zip(learner.teacher.state_dict().values(), before.values(), strict=True))
    (player,) = learner.players()
    assert {name.split(".")[0] for name, _ in player.parameters} == {"backbone", "head"}


def test_it_may_begin_as_its_teacher_and_teach_in_turn() -> None:
    of = teacher()
    learner = student(of, from_teacher=True)
    same = zip(learner.backbone.state_dict().values(), of.backbone.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    grandchild = student(learner)  # type: ignore[arg-type]
    x = one_view().views[0]
    torch.testing.assert_close(grandchild.teacher(x), learner.eval().classify(x))


def test_only_what_classifies_can_teach() -> None:
    with pytest.raises(Fault, match="classifies nothing and cannot teach"):
        Distillation(Backbone().double(), origin=origin(), size=8, classes=CLASSES)
    assert isinstance(teacher(), Classifies) and not isinstance(Rotation(Backbone()), Classifies)
