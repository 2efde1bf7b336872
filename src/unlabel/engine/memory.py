"""How much memory there is, and how much a batch takes."""

import os
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from unlabel.methods import Method
from unlabel.views import Batch

WORKING = 2.0
"""What is in use while a batch is worked on, as a multiple of what autograd saves; measured were 1.62 to 2.63."""


def free_memory(device: str) -> int | None:
    """Bytes that a run could take now, on the GPU for "cuda" and else of the machine; None where nothing says so."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    known = []
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        known.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")))
    with suppress(OSError, ValueError):  # "max": no limit
        known.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    if not known and hasattr(os, "sysconf"):
        with suppress(OSError, ValueError):
            known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(known, default=None)


def lasting_bytes(method: Method) -> int:
    """Bytes of weights, their gradients and the moments of the optimiser, whatever the batch."""
    moments = {"adam": 2, "adamw": 2, "sgd": 1, "lars": 1}[method.plan.optimiser]
    own = sum(p.numel() * p.element_size() for p in method.parameters())
    trained = sum(p.numel() * p.element_size() for p in method.parameters() if p.requires_grad)
    return own + (1 + moments) * trained


def saved_bytes(method: Method, batch: Batch) -> int:
    """Bytes that autograd saves for the backward pass of a loss, weights and buffers apart."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*method.parameters(), *method.buffers())}
    kept: dict[int, int] = {}
    held: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        held.append(tensor)  # so that its place is not given to another
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        method.loss(batch)
    return sum(size for place, size in kept.items() if place not in own)
