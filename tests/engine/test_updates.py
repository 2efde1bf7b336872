"""Updates as training makes them, against loops written out: what happens before a step, at it and after it."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tests.methods.toy import Backbone
from unlabel.engine.fit import trainer
from unlabel.engine.job import Job
from unlabel.engine.machine import Settings
from unlabel.engine.run import Run
from unlabel.methods import Method
from unlabel.methods.byol import BYOL
from unlabel.methods.dino import DINO
from unlabel.methods.swav import SwAV
from unlabel.optim import Plan
from unlabel.views import Batch, Recipe, named

UPDATES, EPOCHS = 4, 2.0  # so that the first two updates are the first epoch
RATE, MOMENTUM, DECAY = 0.2, 0.9, 0.1
PLAN = Plan(optimiser="sgd", lr=RATE, lr_per=None, momentum=MOMENTUM, weight_decay=DECAY)

State = dict[str, Tensor]


def batches(count: int = UPDATES, sizes: tuple[int, ...] = (16, 16), b: int = 6) -> list[Batch]:
    return [
        Batch(
            [torch.randn(b, 3, s, s, dtype=torch.float64) for s in sizes], torch.arange(b), [np.zeros(b)] * len(sizes)
        )
        for _ in range(count)
    ]


def held(method: Method) -> State:
    return {name: value.clone() for name, value in method.state_dict().items() if isinstance(value, Tensor)}


class Diary(pl.Callback):
    """What the method holds after each batch."""

    def __init__(self) -> None:
        self.pages: list[State] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Method, *_: object) -> None:
        self.pages.append(held(pl_module))


def trained(method: Method, given: list[Batch], accumulate: int = 1) -> list[State]:
    """As `unlabel pretrain` trains it."""
    job = Job(
        run=Run(accumulate=accumulate), plan=method.plan, hyper={}, backbone=None,
        settings=Settings("cpu", "32", False, ()), images=12, updates_per_epoch=2, updates=UPDATES,
    )  # fmt: skip
    diary = Diary()
    trainer(job, method, [diary]).fit(method, DataLoader(given, batch_size=None))
    return diary.pages


def written_out(
    method: Method, given: list[Batch], before: Callable[[int], None], after: Callable[[int], None]
) -> list[State]:
    """By hand, with nothing of the method but its loss. Both are told how many updates are done."""
    learnt = [p for p in method.parameters() if p.requires_grad]
    weights, vectors = [p for p in learnt if p.ndim > 1], [p for p in learnt if p.ndim < 2]
    sgd = torch.optim.SGD([{"params": weights, "weight_decay": DECAY}, {"params": vectors}], RATE, momentum=MOMENTUM)
    pages = []
    for i, batch in enumerate(given):
        for group in sgd.param_groups:
            group["lr"] = RATE * (1 + math.cos(math.pi * (i + 0.5) / UPDATES)) / 2
        sgd.zero_grad()
        loss = method.loss(batch)
        torch.stack(list(loss.values()) if isinstance(loss, dict) else [loss]).sum().backward()
        with torch.no_grad():
            before(i)
            sgd.step()
            after(i + 1)
        pages.append(held(method))
    return pages


def follow(teacher: nn.Module, student: nn.Module, start: float, done: int) -> None:
    """The moving average, its momentum on the cosine from `start` to 1."""
    m = 1 - (1 - start) * (math.cos(math.pi * done / UPDATES) + 1) / 2
    for name, p in teacher.named_parameters():
        p.copy_(m * p + (1 - m) * student.get_parameter(name))


def ready(method: Method) -> tuple[Method, Method]:
    """A method before its first update, in float64, and its twin."""
    method = method.double()
    method.plan, method.total_updates, method.total_epochs = PLAN, UPDATES, EPOCHS
    return method, copy.deepcopy(method)


def assert_alike(ours: list[State], theirs: list[State]) -> None:
    for update, (mine, other) in enumerate(zip(ours, theirs, strict=True), 1):
        assert mine.keys() == other.keys()
        for name, value in mine.items():
            torch.testing.assert_close(
                value, other[name], rtol=1e-8, atol=1e-10, msg=lambda text, n=name, u=update: f"{n}, update {u}: {text}"
            )


# ------------------------------------------------------------------ whole updates


def test_byols_teacher_follows_what_the_step_has_made() -> None:
    byol, twin = ready(BYOL(Backbone(), projector_width=8, projector_dim=4, teacher_momentum=0.5))
    given = batches()
    online = nn.Sequential(twin.backbone, twin.projector)
    theirs = written_out(twin, given, lambda done: None, lambda done: follow(twin.teacher, online, 0.5, done))
    assert_alike(trained(byol, given), theirs)
    assert byol.updates == UPDATES
    apart = [(theirs[u]["teacher.1.0.weight"] - theirs[u]["projector.0.weight"]).abs().max() for u in range(UPDATES)]
    assert min(apart) > 1e-4


def test_dinos_prototypes_rest_its_gradients_are_clipped_and_its_teacher_follows() -> None:
    dino = DINO(Backbone(), prototypes=12, head_width=8, bottleneck=5, teacher_momentum=0.5, clip_each=0.05)
    for p in dino.parameters():  # the head starts close to 0, where all outputs are alike
        if p.requires_grad:
            p.data += 0.3 * torch.randn_like(p)
    dino, twin = ready(dino)
    given, norms = batches(sizes=(16, 16, 8, 8)), []
    student = nn.ModuleDict({"backbone": twin.backbone, "head": twin.head})

    def before(done: int) -> None:
        if done < 2:
            twin.head.prototypes.grad = None
        for p in student.parameters():
            if p.grad is not None:
                norms.append(float(p.grad.norm()))
                p.grad *= min(1.0, 0.05 / (norms[-1] + 1e-6))

    def after(done: int) -> None:
        follow(twin.teacher, student, 0.5, done)
        twin.centre.move()

    start = twin.head.prototypes.detach().clone()
    theirs = written_out(twin, given, before, after)
    assert_alike(trained(dino, given), theirs)
    assert min(norms) < 0.05 < max(norms)
    assert [torch.equal(page["head.prototypes"], start) for page in theirs] == [True, True, False, False]
    assert theirs[0]["centre.value"].abs().max() > 0


def test_swavs_prototypes_rest_and_are_unit_vectors_after_each_step() -> None:
    swav = SwAV(
        Backbone(), projector_width=8, projector_dim=4, prototypes=5, freeze_prototypes=1.0, queue_length=12,
        queue_from=0.0,
    )  # fmt: skip
    swav, twin = ready(swav)
    for each in (swav, twin):
        each.after_update()  # unit vectors in float64 too
    given = batches(sizes=(16, 16, 8))

    def before(done: int) -> None:
        if done < 2:
            twin.prototypes.grad = None

    def after(done: int) -> None:
        twin.prototypes.copy_(F.normalize(twin.prototypes, dim=1))
        twin.queue.move()

    start = twin.prototypes.detach().clone()
    theirs = written_out(twin, given, before, after)
    assert_alike(trained(swav, given), theirs)
    moved = [float((page["prototypes"] - start).abs().max()) for page in theirs]
    assert max(moved[:2]) < 1e-12 and min(moved[2:]) > 1e-4
    assert [int(page["queue.pushed"]) for page in theirs] == [6, 12, 18, 24]


# ------------------------------------------------------------------ the order of things


class Told(Method):
    """A weight, and what has happened to it in which order."""

    def __init__(self, automatic: bool = True) -> None:
        super().__init__()
        self.total_updates = UPDATES
        self.automatic_optimization = automatic
        self.plan = Plan(optimiser="sgd", lr=1.0, lr_per=None, momentum=0.0, schedule="constant")
        self.weight = nn.Parameter(torch.zeros(2, 2, dtype=torch.float64))
        self.events: list[str] = []

    def views(self, size: int) -> Recipe:
        return named("light", size)

    def loss(self, batch: Batch) -> Tensor:
        self.events.append("loss")
        return 3 * self.weight.sum()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        if self.automatic_optimization:
            return super().training_step(batch, batch_idx)
        self.descend("all", self.loss(batch))
        self.advance()
        return None

    def before_update(self) -> None:
        self.events.append("before")
        self.weight.grad[1:] = 0
        self.weight.grad[:, 1:] = 0

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        optimisers = super().configure_optimizers()
        for optimiser in optimisers:
            optimiser.register_step_post_hook(lambda *_: self.events.append("step"))
        return optimisers

    def after_update(self) -> None:
        self.events.append(f"after {self.updates}")


def test_accumulated_batches_make_one_update() -> None:
    told = Told()
    trained(told, batches(4), accumulate=2)
    assert told.events == ["loss", "loss", "before", "step", "after 1", "loss", "loss", "before", "step", "after 2"]


def test_moves_of_players_are_prepared_once() -> None:
    told = Told(automatic=False)
    trained(told, batches(2))
    assert told.events == ["loss", "before", "step", "after 1", "loss", "before", "step", "after 2"]


def test_the_whole_gradient_is_clipped_after_some_of_it_was_cancelled() -> None:
    """Of four equal entries one is left: clipped before that, its gradient would be a half and not 1."""
    expected = torch.tensor([[-1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    for automatic in (True, False):
        told = Told(automatic)
        told.plan = replace(told.plan, clip=1.0)
        trained(told, batches(1))
        torch.testing.assert_close(told.weight.detach(), expected, rtol=1e-5, atol=0)
