"""A run killed with SIGKILL at a random moment and resumed has the same weights, to the bit, as one left alone."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import unlabel
from unlabel import methods
from unlabel.engine import checkpoint
from unlabel.engine.folder import RunFolder

OPTIONS: dict[str, dict[str, object]] = {
    "mae": {"backbone": "tiny_vit", "decoder_width": 32, "decoder_heads": 2},
    "dino": {"prototypes": 64, "head_width": 64, "bottleneck": 16},
    "cut": {"data_b": "shapes:64", "generator_width": 4, "generator_blocks": 5, "discriminator_width": 4},
    "byol": {"projector_width": 64},
    "cast": {"backbone": "tiny_resnet", "queue_length": 64},
}


def options(name: str) -> dict[str, object]:
    """Short runs of the recipe `small`: a dozen updates over several epochs, a checkpoint after each."""
    batch = 1 if name == "cut" else 16
    common = {"data": "shapes:64", "batch_size": batch, "epochs": 1 if name == "cut" else 6, "monitors": 2,
              "save_every": "0.001s", "evaluate": False, "device": "cpu", "recipe": "small"}  # fmt: skip
    return {**common, **OPTIONS.get(name, {})}


def weights(folder: Path) -> dict[str, object]:
    return checkpoint.load(RunFolder(folder).checkpoint).method


def assert_identical(one: dict[str, object], other: dict[str, object]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        same = torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
        assert same, f"{name} differs"


@pytest.mark.parametrize("name", methods.available())
def test_killed_and_resumed_equals_uninterrupted(name: str, tmp_path: Path) -> None:
    unlabel.pretrain(name, out=tmp_path / "whole", **options(name))
    words = [f"{key}={value}" for key, value in options(name).items()]
    command = [sys.executable, "-m", "unlabel", "pretrain", name, f"out={tmp_path / 'killed'}", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    stored, deadline = RunFolder(tmp_path / "killed").checkpoint, time.monotonic() + 120
    while not stored.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(random.uniform(0.0, 0.6))
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() in (0, -signal.SIGKILL), process.stderr.read().decode()
    unlabel.pretrain(resume=tmp_path / "killed")
    assert_identical(weights(tmp_path / "killed"), weights(tmp_path / "whole"))
    ours = [{**line, "seconds": 0, "images_per_second": 0} for line in RunFolder(tmp_path / "killed").readings()]
    theirs = [{**line, "seconds": 0, "images_per_second": 0} for line in RunFolder(tmp_path / "whole").readings()]
    assert ours == theirs  # the journal has no gap and nothing twice
