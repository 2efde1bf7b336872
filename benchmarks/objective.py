"""Time and memory of NT-Xent, forward and backward, of N embeddings of 128 numbers: unlabel beside lightly and others.

    python benchmarks/objective.py [--rounds 3] [--sizes 512 1024 ...]

Every measurement is a process of its own, so that its memory can be told from that of others.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from common import installed, record, rows
from torch import Tensor

from unlabel.engine.machine import keep_freed_memory
from unlabel.losses import blockwise, nt_xent

DIM, TEMPERATURE = 128, 0.1
Loss = Callable[[Tensor, Tensor], Tensor]


def ours(z1: Tensor, z2: Tensor) -> Tensor:
    return nt_xent(z1, z2, temperature=TEMPERATURE)


def whole(z1: Tensor, z2: Tensor) -> Tensor:
    blockwise.held_whole = lambda *_: True
    return nt_xent(z1, z2, temperature=TEMPERATURE)


def lightly(z1: Tensor, z2: Tensor) -> Tensor:
    from lightly.loss import NTXentLoss

    return NTXentLoss(temperature=TEMPERATURE)(z1, z2)


def metric_learning(z1: Tensor, z2: Tensor) -> Tensor:
    from pytorch_metric_learning.losses import NTXentLoss, SelfSupervisedLoss

    return SelfSupervisedLoss(NTXentLoss(temperature=TEMPERATURE))(z1, z2)


LOSSES: dict[str, tuple[Loss, str | None, int]] = {  # the loss, its package, the largest N that it is asked for
    "lightly": (lightly, "lightly", 16_384),
    "pytorch-metric-learning": (metric_learning, "pytorch-metric-learning", 512),
    "unlabel, matrix held": (whole, None, 16_384),
    "unlabel": (ours, None, 1 << 20),
}


def one(name: str, n: int) -> None:
    """Print the seconds of one forward and backward pass, and the megabytes that it took beyond its inputs."""
    keep_freed_memory()
    torch.manual_seed(0)
    z1, z2 = (torch.randn(n // 2, DIM).requires_grad_() for _ in range(2))
    loss = LOSSES[name][0]
    loss(*(z[:64] for z in (z1, z2))).backward()  # imports and first calls
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    while len(seconds) < 3 or (sum(seconds) < 1 and len(seconds) < 50):
        if sum(seconds) > 20:
            break
        begun = time.perf_counter()
        value = loss(z1, z2)
        value.backward()
        seconds.append(time.perf_counter() - begun)
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    print(json.dumps({"seconds": statistics.median(seconds), "megabytes": taken, "loss": value.item()}))


def measured(name: str, n: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--one", name, "--sizes", str(n)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 4096, 16_384, 65_536])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one, arguments.sizes[0])
        return
    there = [name for name, (_, package, _) in LOSSES.items() if package is None or installed(package)]
    for n in arguments.sizes:
        names = [name for name in there if n <= LOSSES[name][2]]
        found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for _ in range(arguments.rounds):
            for name in names:
                found[name].append(measured(name, n))
        rates = {name: [1 / run["seconds"] for run in runs] for name, runs in found.items()}
        memory = "; ".join(
            f"{name} {statistics.median(run['megabytes'] for run in runs):,.0f} MB" for name, runs in found.items()
        )
        note = f"Ratios to the first row. Memory beyond the embeddings: {memory}."
        record(
            f"nt-xent-{n:06}",
            f"NT-Xent of {n:,} embeddings, forward and backward",
            rows(rates, names[0]),
            unit="passes/s",
            note=note,
        )


if __name__ == "__main__":
    main()
