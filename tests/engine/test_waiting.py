"""How OpenMP's threads wait: the choice by times of steps, and the idle team that puts them to sleep."""

import sys
import threading
from contextlib import nullcontext

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from unlabel.engine.waiting import Asleep, Choice, Waiting, can_choose


class Machine:
    """Steps take as long as the way of waiting makes them; a clock counts them."""

    def __init__(self, spinning: float, asleep: float, again: float = 60.0) -> None:
        self.seconds = {False: spinning, True: asleep}
        self.choice = Choice(again)
        self.now = 0.0
        self.ways: list[bool] = []

    def steps(self, count: int) -> list[bool]:
        """The way of each step."""
        begun = len(self.ways)
        for _ in range(count):
            way = self.choice.asleep
            self.ways.append(way)
            self.now += self.seconds[way]
            self.choice.after(self.seconds[way], self.now)
        return self.ways[begun:]


def test_idle_machine_spins_after_one_trial() -> None:
    machine = Machine(spinning=1.0, asleep=1.2, again=1000.0)
    assert machine.steps(20).count(True) == 7
    assert not any(machine.steps(200))


def test_busy_machine_sleeps_after_one_trial() -> None:
    machine = Machine(spinning=4.0, asleep=1.5, again=1000.0)
    assert machine.steps(20).count(False) == 3  # one that says little and two that say enough
    assert all(machine.steps(200))


def test_tries_again_and_not_often() -> None:
    machine = Machine(spinning=1.0, asleep=1.2, again=100.0)
    machine.steps(20)
    share = sum(machine.steps(1000)) / 1000
    assert 0.02 < share < 0.08  # six or seven steps out of about 107


def test_hopeless_trial_ends_early() -> None:
    machine = Machine(spinning=10.0, asleep=1.0, again=1000.0)
    machine.steps(20)
    assert machine.choice.asleep
    machine.now += 1000.0
    assert machine.steps(40).count(False) == 3  # one that says little and two that say enough


@pytest.mark.parametrize("asleep", [False, True])
def test_change_of_weather_is_noticed_at_once(asleep: bool) -> None:
    fast, slow = (1.2, 1.0) if asleep else (1.0, 1.2)
    machine = Machine(spinning=fast, asleep=slow, again=1e9)
    machine.steps(20)
    assert machine.choice.asleep is asleep
    machine.seconds[asleep] = 5.0
    machine.steps(20)
    assert machine.choice.asleep is not asleep


def test_a_slower_machine_alone_changes_nothing() -> None:
    machine = Machine(spinning=1.0, asleep=1.2, again=1e9)
    machine.steps(20)
    machine.seconds = {False: 3.0, True: 3.6}
    machine.steps(20)
    assert not machine.choice.asleep


def test_says_nothing_where_the_user_has_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert not can_choose()
    with Asleep():
        assert not _idle()


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is something to choose, whatever this process was begun with."""
    if sys.platform != "linux":
        pytest.skip("libgomp is torch's OpenMP on Linux only")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)


@pytest.mark.usefixtures("two_threads")
def test_idle_thread_comes_and_goes() -> None:
    with Asleep():
        assert _idle()
    assert not _idle()


def _idle() -> bool:
    return any(thread.name == "unlabel-asleep" for thread in threading.enumerate())


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("ends", ["well", "early"])
def test_no_thread_is_left_when_training_ends(ends: str) -> None:
    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
            assert any(thread.name == "unlabel-asleep" for thread in threading.enumerate())
            if ends == "early":
                raise RuntimeError("early")
            return self.layer(batch[0]).sum()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, callbacks=[Waiting()], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="early") if ends == "early" else nullcontext():
        trainer.fit(Module(), DataLoader(TensorDataset(torch.ones(2, 2))))
    assert not any(thread.name == "unlabel-asleep" for thread in threading.enumerate())
