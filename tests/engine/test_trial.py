"""A trial times a job and leaves everything as it was."""

import signal
from dataclasses import replace

import pytest
import torch

from unlabel import recipes
from unlabel.engine import fit
from unlabel.engine import options as engine_options
from unlabel.engine import trial as room
from unlabel.engine.callbacks import Signals
from unlabel.engine.job import Job, decide
from unlabel.engine.run import Run
from unlabel.engine.sources import Sources, open_sources
from unlabel.engine.trial import Trial, trial
from unlabel.errors import Fault


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> tuple[Job, Sources]:
    monkeypatch.setattr(room, "_SECONDS", 0.01)
    options = engine_options.check("simclr", {"data": "shapes:200", "budget": "1m", "size": 16, "evaluate": False})
    sources = open_sources(Run(**options.run))
    return decide(options, recipes.choose("simclr", "small", data="", size=16)[1], sources), sources


def test_it_finds_time_and_memory_and_puts_generators_back(begun: tuple[Job, Sources]) -> None:
    before = torch.get_rng_state()
    found = trial(*begun)
    assert torch.equal(torch.get_rng_state(), before)
    assert found.seconds > 0 and found.saved > 3 * 16 * 16 * 4 and found.lasting > 4 * 300_000
    assert found.bytes(20) > found.bytes(10) > found.lasting


def test_somebody_who_asks_it_to_stop_is_obeyed(begun: tuple[Job, Sources], monkeypatch: pytest.MonkeyPatch) -> None:
    class Asked(Signals):
        def __enter__(self) -> "Asked":
            super().__enter__()
            signal.raise_signal(signal.SIGINT)
            return self

    monkeypatch.setattr(fit, "Signals", Asked)
    with pytest.raises(KeyboardInterrupt):
        trial(*begun)


def test_a_loss_that_is_no_number_is_a_fault(begun: tuple[Job, Sources]) -> None:
    job, sources = begun
    with pytest.raises(Fault, match=r"to time its updates, and stopped: .* at update .*try a lower lr"):
        trial(replace(job, plan=replace(job.plan, optimiser="sgd", lr=1e30, warmup=0.0)), sources)


def test_updates_in_a_budget() -> None:
    """A hundred seconds, of which readings and measuring take 11: 89 s at 0.01 s x 50 images are 178 updates."""
    assert Trial(0.01, 0, 0).updates(100, 50) == 178
    assert Trial(10.0, 0, 0).updates(1, 256) == 1
