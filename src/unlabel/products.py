"""Matrix products on the host, by the library that is fast there.

On processors torch multiplies with Intel's library, which on those of other makers reaches half the speed of OpenBLAS,
the one that numpy brings (43 to 80 against 120 GFLOP/s for 1024 x 128 x 1024 on two cores of Zen 3). Which one is taken
depends on the maker alone and not on a measurement: they differ in the last digits, and a run that goes on where it
was must go on exactly.
"""

import platform
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_KNOWN = (torch.float32, torch.float64)

LARGE = 2**26
"""Multiplications from which on numpy is asked: for fewer, waking its threads beside torch's takes what it saves."""


def product(a: Tensor, b: Tensor) -> Tensor:
    """a [m, k] times b [k, n]: a new tensor [m, n], without graph."""
    large = a.shape[0] * a.shape[1] * b.shape[1] >= LARGE
    if not large or a.device.type != "cpu" or a.dtype not in _KNOWN or not _numpy_is_faster():
        return torch.mm(a.detach(), b.detach())
    out = torch.empty(a.shape[0], b.shape[1], dtype=a.dtype)
    np.matmul(a.detach().numpy(), b.detach().numpy(), out=out.numpy())
    return out


@lru_cache(1)
def _numpy_is_faster() -> bool:
    return torch.backends.mkl.is_available() and "GenuineIntel" not in _maker()


def _maker() -> str:
    """The maker of the processor, somewhere in a text."""
    return cpuinfo() or platform.processor()


def cpuinfo() -> str:
    """What Linux says of the processors; empty elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
