"""Which form of attention is faster here: torch's fused one, or products and a softmax one after the other.

On processors the fused kernel loses for the short sequences of small images, by up to a factor of two in bfloat16.
Both compute the same; they round differently, so that a run keeps the one it began with. What was measured is kept in
the user's cache folder: a second run of the same shape must not choose otherwise because the machine was busy.
"""

import contextlib
import json
import os
import statistics
import time
from pathlib import Path

import torch
from timm.layers import Attention
from torch import nn

from unlabel.engine.machine import processor

_ROUNDS, _BATCH = 5, 64


def explicit_is_faster(width: int, heads: int, tokens: int, *, bf16: bool) -> bool:
    """Whether attention written out beats the fused kernel on this processor, for [batch, tokens, width]."""
    key = f"{processor()}, torch {torch.__version__}, {torch.get_num_threads()} threads, " + (
        f"{width} x {tokens}, {heads} heads, {'bf16' if bf16 else 'float32'}"
    )
    known = _read()
    if key not in known:
        known[key] = _measure(width, heads, tokens, bf16)
        _write(known)
    return known[key]


def use_explicit_attention(module: nn.Module) -> None:
    """Write attention out in every part of `module` that could use the fused kernel."""
    for part in module.modules():
        if isinstance(part, Attention):
            vars(part)["fused_attn"] = False  # timm calls it final


def _measure(width: int, heads: int, tokens: int, bf16: bool) -> bool:
    seconds: dict[bool, list[float]] = {True: [], False: []}
    with torch.random.fork_rng(devices=[]):
        attention = Attention(width, num_heads=heads)
        x = torch.randn(_BATCH, tokens, width, requires_grad=True)
        for _ in range(_ROUNDS):
            for fused in (True, False):  # in turn, so that a busy moment hurts both
                vars(attention)["fused_attn"] = fused
                begun = time.perf_counter()
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    y = attention(x)
                y.float().sum().backward()
                seconds[fused].append(time.perf_counter() - begun)
    return statistics.median(seconds[False]) < statistics.median(seconds[True])


def _file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unlabel" / "attention.json"


def _read() -> dict[str, bool]:
    try:
        known = json.loads(_file().read_text())
    except (OSError, ValueError, RuntimeError):  # not there, not ours, or nobody's home
        return {}
    return {k: v for k, v in known.items() if isinstance(v, bool)} if isinstance(known, dict) else {}


def _write(known: dict[str, bool]) -> None:
    with contextlib.suppress(OSError, RuntimeError):  # without a cache it is measured each time
        _file().parent.mkdir(parents=True, exist_ok=True)
        part = _file().with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(known, indent=1))
        os.replace(part, _file())
