"""What the machine is told at the start of a command, and what the log says of it."""

import platform
import sys

import pytest
import torch

from unlabel.engine import keep, sources
from unlabel.engine.callbacks import quiet_lightning
from unlabel.engine.machine import Settings, machine, settings
from unlabel.engine.run import Run
from unlabel.errors import Fault

linux = pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")


@linux
def test_the_log_names_the_allocator(monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    assert "allocator: keeps freed memory" in settings("cpu").reasons
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    assert "allocator: as the environment sets it" in settings("cpu").reasons


def test_the_system_is_told_without_its_build():
    told = machine()["system"]
    assert platform.system() in told and platform.machine() in told and platform.release() not in told


@pytest.mark.parametrize(("device", "backend"), [("cuda", torch.cuda), ("mps", torch.backends.mps)])
def test_a_device_that_is_not_here_is_a_fault(device, backend, monkeypatch):
    monkeypatch.setattr(backend, "is_available", lambda: False)
    with pytest.raises(Fault, match=f"torch finds no {device} on this machine"):
        settings(device)
    assert Settings(device, "32", False, ()).here == torch.device("cpu")  # what it trained can be looked at


def test_products_in_float32_stay_exact():
    """Networks have autocast for speed; what is left in float32 are losses, which TF32 would round to ten bits."""
    quiet_lightning()
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("command", ["training", "backbone", "method"])
def test_the_allocator_is_told_before_anything_is_opened(command, monkeypatch, tmp_path):
    told = []
    for module in (keep, sources):
        monkeypatch.setattr(module, "keep_freed_memory", lambda: told.append(1))
    with pytest.raises(Fault):
        if command == "training":
            sources.open_sources(Run(method="simclr", data=str(tmp_path / "nothing")))
        else:
            (keep.load_backbone if command == "backbone" else keep.load_method)(tmp_path)
    assert told
