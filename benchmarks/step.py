"""How long a training step takes: unlabel whole, the bare networks of a method, lightly's example at equal shapes.

    python benchmarks/step.py [--rounds 5] [--methods simclr byol ...] [--seconds 6]

"unlabel" is `unlabel.pretrain` as it is: heads, loss, teacher, optimiser, log, Lightning, with views drawn beside the
step. "bare networks" is forward and backward of the same networks on one batch that never changes, at the same
precision and memory format, and nothing else. lightly's examples get that batch too: as they are written (float32,
channels first, default allocator), and with our precision, format and allocator. Each measurement is a process of
its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

METHODS = ("simclr", "byol", "dino", "mae", "rotation", "cut")
OURS, BARE, LIGHTLY, EQUAL = "unlabel, whole step", "bare networks", "lightly as written", "lightly, our settings"
IMAGES = 8192


def prepared(name: str, folder: str) -> tuple:
    """(job, method, first batch) as `unlabel.pretrain` would begin."""
    from unlabel import recipes
    from unlabel.engine import options
    from unlabel.engine.fit import loader, prepare
    from unlabel.engine.job import decide
    from unlabel.engine.run import Run
    from unlabel.engine.sources import open_sources

    chosen = options.check(name, asked(name, folder))
    sources = open_sources(Run(**chosen.run))
    job = decide(chosen, recipes.choose(name, "auto", data="", size=32)[1], sources)
    method = prepare(job).train()
    return job, method, loader(job, method, sources.training, 0, 1).batch(0)


def asked(name: str, folder: str) -> dict[str, object]:
    """The options of a run that trains and does nothing else."""
    data = {"data": f"{folder}/images.npy", "eval_data": f"{folder}/images.npy"}
    if name == "cut":
        data |= {"data_b": f"{folder}/images.npy", "eval_data_b": f"{folder}/images.npy", "size": 64, "batch_size": 1}
    return {**data, "monitors": 0, "evaluate": False, "save_every": "1h"}


def bare(name: str, method, batch) -> Callable[[], None]:  # type: ignore[no-untyped-def]
    """Forward and backward of a method's networks: what any implementation of it must do."""
    import torch

    from unlabel.methods.base import frozen
    from unlabel.methods.rotation import turns
    from unlabel.nn.multicrop import multicrop

    views = batch.views
    if name == "simclr":
        return lambda: method.backbone(torch.cat(views)).sum().backward()
    if name == "rotation":
        return lambda: method.backbone(turns(views[0])).sum().backward()
    if name == "mae":
        return lambda: method.reconstruct(views[0], batch.masks).sum().backward()
    if name == "byol":
        teacher = method.teacher[0]

        def both() -> None:
            with torch.no_grad():
                for view in views:
                    teacher(view)
            torch.stack([method.backbone(view).sum() for view in views]).sum().backward()

        return both
    if name == "dino":
        teacher = method.teacher["backbone"]

        def crops() -> None:
            with torch.no_grad():
                teacher(torch.cat(views[:2]))
            multicrop(method.backbone, views).sum().backward()

        return crops

    def players() -> None:
        outputs, _ = method.generator.trace(torch.cat(views))
        fake = outputs[: len(batch)]
        (method.discriminator(views[1]).sum() + method.discriminator(fake.detach()).sum()).backward()
        with frozen(method.discriminator):
            taps = torch.stack([tap.mean() for tap in method.generator.encode(outputs)])
            (method.discriminator(fake).sum() + taps.sum()).backward()

    return players


def timed(step: Callable[[], None], zero: Callable[[], None], seconds: float) -> list[float]:
    """Seconds of each step, after a few that do not count."""
    found: list[float] = []
    for turn in range(3 + 10_000):
        begun = time.perf_counter()
        zero()
        step()
        if turn >= 3:
            found.append(time.perf_counter() - begun)
        if len(found) >= 5 and sum(found) > seconds:
            break
    return found


def one(name: str, who: str, folder: str, seconds: float, images: int) -> None:
    """Measure one contestant of one method here and now; prints images and seconds a step."""
    if who != LIGHTLY:
        import unlabel  # noqa: F401 (before torch: it sets how threads wait)
    import torch

    from unlabel.engine import fit

    if who == LIGHTLY:
        fit.keep_freed_memory = lambda: None
    if who == OURS:
        found, batch = whole(name, folder, images)
        print(json.dumps({"seconds": statistics.median(found), "images": batch}))
        return
    job, method, batch = prepared(name, folder)
    autocast = job.settings.precision == "bf16" and who != LIGHTLY
    if who == BARE:
        work = bare(name, method, batch)
    else:
        from lightly_steps import STEPS

        if who == LIGHTLY:
            method = method.to(memory_format=torch.contiguous_format)
            batch.views = [view.contiguous() for view in batch.views]
        step = STEPS[name](method, job.hyper)
        work = lambda: step(batch.views)  # noqa: E731

    def cast() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            work()

    print(json.dumps({"seconds": statistics.median(timed(cast, method.zero_grad, seconds)), "images": len(batch)}))


def whole(name: str, folder: str, images: int) -> tuple[list[float], int]:
    """Seconds of each update of a run of one epoch, from its journal, and images an update."""
    import unlabel

    with tempfile.TemporaryDirectory() as out:
        run = unlabel.pretrain(name, **asked(name, folder), epochs=1, limit=images, out=f"{out}/run").folder
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        plan = json.loads((run / "run.json").read_text())["plan"]
    moments = [line["seconds"] for line in lines if "loss" in line]
    return [b - a for a, b in pairwise(moments[3:])], plan["batch_size"]


def measured(name: str, who: str, folder: str, seconds: float, images: int) -> tuple[float, int]:
    """Images a second of one contestant, and images in a batch; `images` is the length of a run of ours."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", who, "--methods", name, "--folder", folder,
         "--seconds", str(seconds), "--images", str(images)], capture_output=True, text=True,
        env={k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["images"] / found["seconds"], found["images"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--seconds", type=float, default=6.0, help="to measure for, each time")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--images", type=int, default=IMAGES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.methods[0], arguments.one, arguments.folder, arguments.seconds, arguments.images)
        return
    import numpy as np
    from common import installed, record, rows  # not above: they import torch, and unlabel before it
    from photographs import small

    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "images.npy", small(IMAGES))
        for name in arguments.methods:
            peers = (LIGHTLY, EQUAL) if name not in ("rotation", "cut") and installed("lightly") else ()
            rates: dict[str, list[float]] = {who: [] for who in (BARE, OURS, *peers)}
            for _ in range(arguments.rounds):
                images = IMAGES
                for who, found in rates.items():
                    rate, batch = measured(name, who, folder, arguments.seconds, images)
                    found.append(rate)
                    if who == BARE:
                        images = min(IMAGES, max(12 * batch, int(rate * arguments.seconds)))
            note = "Ratios to the bare networks, forward and backward and nothing else."
            record(f"step-{name}", f"A training step of {name}", rows(rates, BARE), unit="images/s", note=note)


if __name__ == "__main__":
    main()
