"""What the machine is good at: device, precision, memory format; what it ran with and what it used."""

import ctypes
import os
import platform
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from unlabel.data.ahead import cores
from unlabel.engine.run import Device, Precision
from unlabel.errors import Fault

_MALLOC_TRIM_THRESHOLD, _MALLOC_MMAP_THRESHOLD = -1, -3  # names of glibc's mallopt


@dataclass(frozen=True)
class Settings:
    """How this run uses the machine, and why."""

    device: Device
    precision: Precision
    channels_last: bool
    reasons: tuple[str, ...]
    explicit_attention: bool = False

    def as_dict(self) -> dict[str, object]:
        """Plain values for run.json."""
        return asdict(self)

    @property
    def here(self) -> torch.device:
        """Where what was trained is looked at: on the device that trained it, or the CPU of a machine without one."""
        return torch.device(self.device if available(self.device) else "cpu")


def available(device: Device) -> bool:
    """Whether this machine has such a device, and torch can use it."""
    backend = {"cuda": torch.cuda, "mps": torch.backends.mps}.get(device)
    return backend is None or backend.is_available()


def cpuinfo() -> str:
    """What Linux says of the processors; empty elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def _cpu_has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware; emulated, it is ten times slower than float32."""
    flags = cpuinfo()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def settings(
    device: Device = "auto", precision: Precision = "auto", channels_last: bool | None = None, *, cnn: bool = True
) -> Settings:
    """Choose what is left to choose, by what the machine has; Fault for a device that it has not."""
    reasons = []
    if device == "auto":
        device = "cuda" if available("cuda") else "mps" if available("mps") else "cpu"
    if not available(device):
        raise Fault(f"torch finds no {device} on this machine: leave out the option `device`, or give cpu")
    if precision == "auto":
        if device == "cuda":
            has = torch.cuda.is_bf16_supported()
            reasons.append("bf16: the GPU has it" if has else "float32: the GPU has no bf16")
        elif device == "cpu":
            has = _cpu_has_bf16()
            reasons.append("bf16: the processor has it" if has else "float32: the processor has no bf16 instructions")
        else:
            has = False
            reasons.append("float32 on this device")
        precision = "bf16" if has else "32"
    if channels_last is None:
        channels_last = cnn
        reasons.append(
            "channels last: convolutions are faster so" if cnn else "channels first: no convolutions to speed up"
        )
    if sys.platform == "linux":
        kept = "as the environment sets it" if "MALLOC_TRIM_THRESHOLD_" in os.environ else "keeps freed memory"
        reasons.append(f"allocator: {kept}")
    return Settings(device, precision, channels_last, tuple(reasons))


def keep_freed_memory() -> None:
    """Ask glibc to keep freed memory, for handing out fresh pages in every step costs time.

    Elsewhere than on Linux, or with MALLOC_TRIM_THRESHOLD_ in the environment, this does nothing.
    """
    if sys.platform != "linux" or "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return
    library = ctypes.CDLL(None)
    mallopt = getattr(library, "mallopt", None)  # absent with other C libraries
    if mallopt is not None:
        mallopt(_MALLOC_MMAP_THRESHOLD, 1 << 30)
        mallopt(_MALLOC_TRIM_THRESHOLD, 2**31 - 1)


def processor() -> str:
    """The name of the processor, as the system has it."""
    lines = cpuinfo().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def peak_memory_mb() -> float:
    """The most memory this process has used so far, in MB (on CUDA: of the device)."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (1e6 if sys.platform == "darwin" else 1e3)


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that numbers depend on."""
    names = ("torch", "torchvision", "pytorch-lightning", "timm", "numpy", "pillow")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def machine() -> dict[str, object]:
    """System, processor, cores and accelerators: what numbers depend on, not whose machine it is."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": cores(),
        "torch_threads": torch.get_num_threads(),
        "gpus": gpus,
    }


def git_commit() -> str | None:
    """The commit of the current folder, if it is in a git repository."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
