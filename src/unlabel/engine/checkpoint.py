"""Checkpoints: written whole or not at all, read without running code."""

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unlabel.engine.folder import write_atomically
from unlabel.errors import Fault
from unlabel.methods import Method

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """The state of training between two updates.

    method: weights, buffers and clock; optimisers: their states in order of play; rng: torch's generators;
    lines: bytes of metrics.jsonl written so far; seconds: of training so far; regions: [n, 4] of interest in the images
    of training, where crops are led by them and they have been looked for; neighbours: `Monitor.neighbours`;
    stop: the decision to end training early, as plain values, once it is made.
    """

    method: dict[str, Any]
    optimisers: list[dict[str, Any]]
    rng: dict[str, Any]
    lines: int
    seconds: float
    regions: Tensor | None = None
    neighbours: tuple[int, Tensor] | None = None
    stop: dict[str, Any] | None = None

    @property
    def updates(self) -> int:
        """Updates done."""
        return int(self.method["_extra_state"]["updates"])


def rng_state() -> dict[str, Any]:
    """The states of torch's generators."""
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_rng(state: dict[str, Any]) -> None:
    """Put torch's generators back to where they were."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def save(
    path: Path,
    method: Method,
    optimisers: list[torch.optim.Optimizer],
    *,
    lines: int,
    seconds: float,
    regions: Tensor | None = None,
    neighbours: tuple[int, Tensor] | None = None,
    stop: dict[str, Any] | None = None,
) -> None:
    """Write the state of training, atomically: a crash while writing leaves the old checkpoint."""
    buffer = io.BytesIO()
    content = {
        "format": FORMAT,
        "method": method.state_dict(),
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        "rng": rng_state(),
        "lines": lines,
        "seconds": seconds,
        "regions": regions,
        "neighbours": neighbours,
        "stop": stop,
    }
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; nothing in the file is executed. Fault if it is missing, damaged or of another kind."""
    if not path.exists():
        raise Fault(f"{path} does not exist: the run has no checkpoint yet; start it again without --resume")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as problem:
        raise Fault(f"{path} is damaged or no checkpoint of unlabel ({problem.__class__.__name__})") from problem
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise Fault(f"{path} is no checkpoint that this version of unlabel can read")
    content.pop("format")
    try:
        return Checkpoint(**content)
    except TypeError as problem:
        raise Fault(f"{path} is no checkpoint that this version of unlabel can read ({problem})") from problem


def restore(method: Method, stored: Checkpoint, path: Path) -> None:
    """Give a method the state that was read from `path`; Fault where it is of another network."""
    try:
        method.load_state_dict(stored.method)
    except RuntimeError as problem:
        raise Fault(
            f"{path} does not belong to the run that run.json beside it describes: restore the one that does"
        ) from problem
