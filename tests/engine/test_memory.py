"""What a batch takes is what autograd holds."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from unlabel.engine.memory import free_memory, lasting_bytes, saved_bytes


def toy(optimiser: str = "adamw") -> SimpleNamespace:
    """y = (x W)^2: autograd saves x for the gradient of W, and x W for that of the square."""
    layer = nn.Linear(10, 20, bias=False)
    still = nn.Parameter(torch.zeros(7), requires_grad=False)
    return SimpleNamespace(
        plan=SimpleNamespace(optimiser=optimiser), parameters=lambda: iter([layer.weight, still]),
        buffers=lambda: iter([]), loss=lambda x: layer(x).square().sum(),
    )  # fmt: skip


def test_weights_gradients_and_moments() -> None:
    assert lasting_bytes(toy("adamw")) == 4 * (4 * 200 + 7)  # type: ignore[arg-type]
    assert lasting_bytes(toy("sgd")) == 4 * (3 * 200 + 7)  # type: ignore[arg-type]


def test_what_autograd_saves_without_the_weights() -> None:
    x = torch.randn(5, 10)
    assert saved_bytes(toy(), x) == 4 * (5 * 10 + 5 * 20)  # type: ignore[arg-type]


def test_free_memory_is_some_of_the_machines() -> None:
    free = free_memory("cpu")
    assert free is None or 1e6 < free < 1e14


def test_a_limit_of_the_container_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 8000 kB\n", "/sys/fs/cgroup/memory.max": "3000000\n"}
    monkeypatch.setattr("unlabel.engine.memory.Path.read_text", lambda path: files[str(path)])
    assert free_memory("cpu") == 3_000_000
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert free_memory("cpu") == 8_192_000
