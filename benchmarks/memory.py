"""How much memory a run takes, by the model of docs/speed.md and as measured: SimCLR at some sizes and batches.

    python benchmarks/memory.py

    program + weights x (4 weight + 4 gradient + 8 AdamW) bytes + 2 x saved + views

"program" is a process that has loaded everything and trained on almost nothing, "saved" what autograd keeps of one
batch for the backward pass, counted from the tensors themselves; gradients of activations, scratch memory and what the
allocator keeps are about as much again. Each run is a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

RUNS = [("tiny_resnet", 32, 8), ("tiny_resnet", 32, 256), ("tiny_resnet", 32, 1024), ("resnet18", 32, 128),
        ("resnet18", 96, 64), ("tiny_vit", 32, 256)]  # fmt: skip
"""Backbone, side, batch size; the first is the program."""
UPDATES = 8
WORKING = 2.0
"""What is in use while a batch is worked on, as a multiple of what autograd saves."""


def options(backbone: str, side: int, batch: int, folder: str) -> dict[str, object]:
    return {
        "data": f"{folder}/{side}.npy", "eval_data": f"{folder}/{side}.npy", "backbone": backbone, "batch_size": batch,
        "recipe": "small", "monitors": 0, "evaluate": False, "epochs": 1, "out": f"{folder}/run",
    }  # fmt: skip


def one(backbone: str, side: int, batch: int, folder: str) -> None:
    """Train, and print the most memory it took, in MB."""
    import unlabel

    unlabel.pretrain("simclr", **options(backbone, side, batch, folder))
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


def parts(backbone: str, side: int, batch: int, folder: str) -> None:
    """Print the MB of weights and their gradients and moments, of what autograd saves, and of views."""
    from ours import prepared

    from unlabel.engine.memory import saved_bytes

    asked = options(backbone, side, batch, folder)
    del asked["out"]
    _, method, views = prepared("simclr", asked)
    saved = saved_bytes(method, views)
    weights = sum(parameter.numel() for parameter in method.parameters())
    drawn = 3 * sum(view.nbytes for view in views.views)  # at most three batches, with one thread
    print("parts", json.dumps([weights * 16 / 1e6, saved / 1e6, drawn / 1e6]))


def asked(what: str, run: tuple[str, int, int], folder: str) -> str:
    """What a process of its own says."""
    command = [sys.executable, __file__, "--what", what, "--folder", folder, "--run", *map(str, run)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return next(line.partition(" ")[2] for line in lines if line.startswith(what))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=("peak", "parts"), help=argparse.SUPPRESS)
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what:
        backbone, side, batch = arguments.run
        {"peak": one, "parts": parts}[arguments.what](backbone, int(side), int(batch), arguments.folder)
        return
    from common import keep  # not above: the processes need none of it

    found, program = [], 0.0
    lines = ["| backbone, side, batch | weights | saved | views | predicted MB | measured MB | measured / predicted |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for run in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            draw = np.random.default_rng(0)
            shape = (UPDATES * run[2], run[1], run[1], 3)
            np.save(f"{folder}/{run[1]}.npy", draw.integers(0, 256, shape, dtype=np.uint8))
            peak, (weights, saved, drawn) = float(asked("peak", run, folder)), json.loads(asked("parts", run, folder))
            images = (Path(folder) / f"{run[1]}.npy").stat().st_size / 1e6
        if not program:
            program = peak - weights - WORKING * saved - drawn - images
            continue
        predicted = program + weights + WORKING * saved + drawn + images
        name = f"{run[0]}, {run[1]} px, {run[2]}"
        lines.append(
            f"| {name} | {weights:,.0f} | {saved:,.0f} | {drawn:,.0f} | {predicted:,.0f} | {peak:,.0f} | "
            f"{peak / predicted:.2f} |"
        )
        found.append({"run": name, "weights": weights, "saved": saved, "views": drawn, "images": images,
                      "predicted": predicted, "measured": peak})  # fmt: skip
    keep("memory", "Memory of a run of SimCLR with AdamW, predicted and measured", "\n".join(lines),
         note=f"In MB. The program alone, with all its libraries, takes {program:,.0f}; images are in memory.",
         program=program, runs=found)  # fmt: skip


if __name__ == "__main__":
    main()
