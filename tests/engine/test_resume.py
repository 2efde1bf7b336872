"""A run cut off or killed at a random moment and resumed has the same weights, to the bit, as one left alone."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import unlabel
from tests.methods.toy import SMALLER
from unlabel import methods
from unlabel.engine import checkpoint
from unlabel.engine.folder import RunFolder
from unlabel.engine.options import hyperparameters, needs_backbone


def options(name: str) -> dict[str, object]:
    """Short runs of the recipe `small`: a dozen updates over several epochs, a checkpoint after each."""
    common = {"data": "shapes:64", "batch_size": 16, "epochs": 3, "monitors": 2, "save_every": "0.001s",
              "evaluate": False, "device": "cpu", "recipe": "small"}  # fmt: skip
    if name == "cut":
        common |= {"data": "shapes:24", "data_b": "shapes:24", "batch_size": 1, "epochs": 1}
    kind = methods.get(name)
    if needs_backbone(kind):
        common["backbone"] = "tiny_vit" if kind.host == "vit" else "tiny_resnet"
    known = hyperparameters(kind)
    return {**common, **{option: value for option, value in SMALLER.items() if option in known}}


def weights(folder: Path) -> dict[str, object]:
    return checkpoint.load(RunFolder(folder).checkpoint).method


def assert_identical(one: dict[str, object], other: dict[str, object]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        same = torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
        assert same, f"{name} differs"


class Gone(BaseException):
    """The end of a run that had no time to save anything."""


@contextmanager
def gone_at(update: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside, a run ends in the middle of this update, and leaves what the updates before it saved."""
    advance = methods.Method.advance

    def advance_or_end(self: methods.Method) -> None:
        advance(self)
        if self.updates == update:
            raise Gone

    with monkeypatch.context() as patch:
        patch.setattr(methods.Method, "advance", advance_or_end)
        with pytest.raises(Gone):
            yield


def end(name: str, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends at a random update."""
    with gone_at(random.randint(2, 10), monkeypatch):
        unlabel.pretrain(name, out=out, **options(name))


def kill(name: str, out: Path) -> None:
    """A process that is killed at a random moment after its first checkpoint."""
    words = [f"{key}={value}" for key, value in options(name).items()]
    command = [sys.executable, "-m", "unlabel", "pretrain", name, f"out={out}", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    stored, deadline = RunFolder(out).checkpoint, time.monotonic() + 120
    while not stored.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(random.uniform(0.0, 0.6))
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() in (0, -signal.SIGKILL), process.stderr.read().decode()


def assert_goes_on(name: str, cut_off: Path, whole: Path) -> None:
    unlabel.pretrain(name, out=whole, **options(name))
    unlabel.pretrain(resume=cut_off)
    assert_identical(weights(cut_off), weights(whole))
    ours = [{**line, "seconds": 0, "images_per_second": 0} for line in RunFolder(cut_off).readings()]
    theirs = [{**line, "seconds": 0, "images_per_second": 0} for line in RunFolder(whole).readings()]
    assert ours == theirs  # the journal has no gap and nothing twice


@pytest.mark.parametrize("name", methods.available())
def test_ended_and_resumed_equals_uninterrupted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end(name, tmp_path / "ended", monkeypatch)
    assert_goes_on(name, tmp_path / "ended", tmp_path / "whole")


@pytest.mark.parametrize("name", ["simclr", "cut"])
def test_killed_and_resumed_equals_uninterrupted(name: str, tmp_path: Path) -> None:
    kill(name, tmp_path / "killed")
    assert_goes_on(name, tmp_path / "killed", tmp_path / "whole")
