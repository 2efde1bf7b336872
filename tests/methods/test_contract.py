"""What every method keeps: the contract is tested for each file in `methods/`, whoever wrote it."""

import inspect
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor

from tests.methods.toy import toy_batch, toy_loader, toy_method
from unlabel import diagnostics, methods
from unlabel.distributed import all_mean
from unlabel.engine.callbacks import quiet_lightning
from unlabel.engine.options import hyperparameters
from unlabel.losses.objectives import OBJECTIVES
from unlabel.nn.batchnorm import convert_batchnorm
from unlabel.nn.queue import Queue
from unlabel.optim.plan import Plan
from unlabel.views import Batch

NAMES = methods.available()
every_method = pytest.mark.parametrize("name", NAMES)


def summed(loss: Tensor | dict[str, Tensor]) -> Tensor:
    return torch.stack([term for term in loss.values()]).sum() if isinstance(loss, dict) else loss


def test_the_catalogue_is_the_folder() -> None:
    assert {"simclr", "byol", "dino", "mae", "rotation", "cut"} <= set(NAMES)


@every_method
def test_is_final_and_cites_its_paper_or_source(name: str) -> None:
    kind = methods.get(name)
    text = inspect.getmodule(kind).__doc__
    assert getattr(kind, "__final__", False), "a method is final: decorate it with typing.final"
    if kind.paper:
        assert re.fullmatch(r"\d{4}\.\d{4,5}", kind.paper) and kind.paper in text
    else:
        assert re.search(r"^Source$", text, re.MULTILINE), "without a paper, the docstring has a section Source"
    assert kind.title and 2000 < kind.year < 2100
    for section in ("Predecessors", "Algorithm", "Flow", "Symbols", "Departures"):
        assert re.search(rf"^{section}$", text, re.MULTILINE), f"the docstring has no section {section}"


@every_method
def test_hyperparameters_are_keywords_with_plain_defaults(name: str) -> None:
    for parameter in inspect.signature(methods.get(name).__init__).parameters.values():
        if parameter.name not in ("self", "backbone", "size"):
            assert parameter.kind is parameter.KEYWORD_ONLY, parameter.name
            assert isinstance(parameter.default, int | float | str | bool | tuple | None), parameter.name
    assert set(methods.get(name).limits) <= set(hyperparameters(methods.get(name)))
    assert not methods.get(name).plan.faults()


@every_method
def test_every_parameter_learns_or_is_frozen(name: str) -> None:
    method = toy_method(name)
    summed(method.loss(toy_batch(name, method))).backward()
    for parameter_name, parameter in method.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{parameter_name} is trainable but gets no gradient"
            assert parameter.grad.abs().sum() > 0, f"the gradient of {parameter_name} is exactly zero"
        else:
            assert parameter.grad is None, f"{parameter_name} is frozen but gets a gradient"


@every_method
def test_every_trainable_parameter_has_one_player(name: str) -> None:
    method = toy_method(name)
    owned = [id(p) for player in method.players() for _, p in player.parameters]
    assert sorted(owned) == sorted(id(p) for p in method.parameters() if p.requires_grad)


@every_method
def test_no_weight_is_stored_twice(name: str) -> None:
    tensors = [t for t in toy_method(name).state_dict().values() if isinstance(t, Tensor) and t.numel()]
    assert len({t.data_ptr() for t in tensors}) == len(tensors)


@every_method
def test_the_loss_is_finite_and_repeats(name: str) -> None:
    method = toy_method(name)
    batch = toy_batch(name, method)
    torch.manual_seed(1)
    first = summed(method.loss(batch))
    assert first.ndim == 0 and torch.isfinite(first)
    again = toy_method(name)
    torch.manual_seed(1)
    assert torch.equal(summed(again.loss(batch)), first)


@every_method
def test_embed_gives_one_vector_an_image_that_ignores_its_neighbours(name: str) -> None:
    method = toy_method(name).eval()
    x = toy_batch(name, method).views[0]
    with torch.no_grad():
        together, alone = method.embed(x), method.embed(x[:1])
    assert together.ndim == 2 and len(together) == len(x)
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)


@every_method
def test_what_follows_and_what_is_followed_are_backbones_of_the_same_parameters(name: str) -> None:
    method = toy_method(name).eval()
    pair = method.followed()
    assert (pair is None) is (getattr(method, "teacher", None) is None)
    if pair is None:
        return
    teacher, student = pair
    assert method.kept in pair and diagnostics.parameter_distance(teacher, student) == 0
    assert not any(p.requires_grad for p in teacher.parameters())
    x = toy_batch(name, method).views[0]
    with torch.no_grad():
        assert teacher(x).shape == student(x).shape == method.embed(x).shape


@pytest.mark.parametrize("name", [name for name in NAMES if "prototypes" in hyperparameters(methods.get(name))])
def test_prototypes_have_probabilities(name: str) -> None:
    method = toy_method(name).eval()
    x = toy_batch(name, method).views[0]
    with torch.no_grad():
        p = method.assigned(method.embed(x))
    assert isinstance(method, methods.Assigns) and p.shape == (len(x), 32)
    torch.testing.assert_close(p.sum(dim=1), torch.ones(len(x)))


class Again:
    """The same batch, over and over."""

    def __init__(self, batch: Batch, times: int) -> None:
        self.batch, self.times = batch, times

    def __iter__(self) -> Iterator[Batch]:
        return (self.batch for _ in range(self.times))

    def __len__(self) -> int:
        return self.times


def fill_memories(method: methods.Method, batch: Batch) -> None:
    """Queues begin with noise, which is easily told from keys: what a loss says counts from the first real keys on."""
    if any(isinstance(part, Queue) for part in method.modules()):
        for _ in range(4):
            method.loss(batch)
            method.after_update()


@every_method
def test_the_loss_falls_on_a_toy_set(name: str) -> None:
    """Forty updates with a rate of its own, over and over on the same 16 images."""
    quiet_lightning()
    import pytorch_lightning as pl

    method = toy_method(name)
    method.plan = replace(Plan(optimiser="adamw", lr=3e-3, lr_per=None), batch_size=16)
    method.total_updates, method.total_epochs = 40, 10.0
    batch = toy_loader(name, method, batch_size=16).batch(0)
    fill_memories(method, batch)

    def level() -> float:
        torch.manual_seed(2)
        with torch.no_grad():
            loss = method.loss(batch)
        # Adversaries chase each other, and DINO's centring raises its teacher's entropy: these terms must fall.
        telling = [loss[term] for term in ("nce", "divergence") if term in loss] if isinstance(loss, dict) else []
        return float(telling[0] if telling else summed(loss))

    before = level()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(method, Again(batch, 40))
    assert method.updates == 40
    method.train()
    assert level() < 0.9 * before, f"the loss went from {before:.3f} to {level():.3f}"


# ------------------------------------------------------------------ two ranks equal one process


CROPPED = tuple(name for name in NAMES if methods.get(name).view_range == (2, 64))
SHARED: dict[str, tuple[str, dict[str, object], str | None]] = {
    **{name: (name, {}, None) for name in NAMES},
    **{f"simclr, {name}": ("simclr", {"objective": name}, None) for name in OBJECTIVES if name != "nt_xent"},
    **{f"{name}, small crops": (name, {}, "cifar-min:2x8") for name in CROPPED},
    "swav, queue": ("swav", {"queue_length": 8, "queue_from": 0.0}, None),  # full after the first update
    "simclr_v2, queue": ("simclr_v2", {"queue_length": 16}, None),
    "moco_v2, symmetric": ("moco_v2", {"symmetric": True}, None),
    "barlow_twins, narrow": ("barlow_twins", {"projector_layers": 1}, None),
    **{
        f"{name}, {o}": (name, {"objective": o}, None)
        for name in ("instdisc", "pirl", "cmc")
        for o in ("nce", "softmax")
    },
    "cmc, in_batch": ("cmc", {"objective": "in_batch"}, None),
    "simclr, hard negatives": ("simclr", {}, None),
    "byol_two_losses, gated and regress": (
        "byol_two_losses",
        {"first_loss": "gated", "second_loss": "regress"},
        None,
    ),
    "byol_two_losses, scalar": ("byol_two_losses", {"granularity": "scalar", "first_loss": "gated"}, None),
    "cast, together": ("cast", {"together": True}, None),
    "clsa, not distributional": ("clsa", {"distributional": False}, None),
}
"""What is shared between ranks: each method as it is, and what its options change about what they exchange."""


@dataclass
class Found:
    """What a method comes to: loss and gradients, what it holds after an update with them, and its next loss."""

    loss: Tensor
    gradients: dict[str, Tensor]
    state: dict[str, Tensor]
    later: Tensor


def _whole(case: str) -> tuple[methods.Method, Batch]:
    name, options, views = SHARED[case]
    method = toy_method(name, **options).double()
    batch = toy_batch(name, method, views)
    batch.views = [view.double() for view in batch.views]
    if "hard negatives" in case:
        batch.negative, batch.matched = batch.views[0].roll(1, dims=0), torch.arange(len(batch)) % 3 > 0
    return method, batch


def _found(method: methods.Method, batch: Batch) -> Found:
    torch.manual_seed(5)
    loss = summed(method.loss(batch))
    loss.backward()
    loss = all_mean(loss)
    parameters = dict(method.named_parameters())
    gradients = {n: all_mean(p.grad) for n, p in parameters.items() if p.grad is not None}  # as DDP does
    for name, gradient in gradients.items():
        parameters[name].grad = gradient.clone()
    method.before_update()
    torch.optim.SGD(method.parameters(), 0.1).step()
    method.advance()
    state = {n: value.clone() for n, value in method.state_dict().items() if isinstance(value, Tensor)}
    torch.manual_seed(6)
    return Found(loss, gradients, state, all_mean(summed(method.loss(batch))))


def _rank(rank: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    found = {}
    for name in SHARED:
        method, batch = _whole(name)
        half = len(batch) // 2
        found[name, rank] = _found(convert_batchnorm(method), batch.rows(slice(rank * half, (rank + 1) * half)))
    torch.save(found, folder / f"rank{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Found]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("ranks")
    mp.spawn(_rank, args=(port, folder), nprocs=2)
    first, second = (torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(2))
    return first | second


@pytest.mark.parametrize("name", SHARED)
def test_two_ranks_equal_one_process(name: str, two_ranks: dict[tuple[str, int], Found]) -> None:
    whole = _found(*_whole(name))
    for shared in (two_ranks[name, 0], two_ranks[name, 1]):
        torch.testing.assert_close(shared.loss, whole.loss, rtol=1e-9, atol=1e-9)
        assert shared.gradients.keys() == whole.gradients.keys() and shared.state.keys() == whole.state.keys()
        for parameter, gradient in whole.gradients.items():
            torch.testing.assert_close(shared.gradients[parameter], gradient, rtol=1e-6, atol=1e-9, msg=parameter)
        for part, value in whole.state.items():
            torch.testing.assert_close(shared.state[part], value, rtol=1e-6, atol=1e-9, msg=part)
        torch.testing.assert_close(shared.later, whole.later, rtol=1e-7, atol=1e-9)
