"""Training end to end, with data from files: unlabel, lightly's SimCLR example, and a step that needs no data.

    python benchmarks/loader.py [--rounds 3] [--data DIR] [--seconds 10]

SimCLR on images of 32 px with the same backbone. lightly's example as it is written (its transform, its data set, a
DataLoader with worker processes, float32), and with our precision, memory format and allocator. Every measurement is a
process of its own. Without --data, 5,000 PNG files are made of parts of two photographs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

OURS, NOTHING = "unlabel", "unlabel's step on one batch, no data"
LIGHTLY = {  # name: (worker processes, our settings?)
    "lightly as written, 0 workers": (0, False),
    "lightly as written, 2 workers": (2, False),
    "lightly, our settings, 0 workers": (0, True),
    "lightly, our settings, 2 workers": (2, True),
}
BATCH = 256


def options(data: str) -> dict[str, object]:
    return {"data": data, "recipe": "small", "batch_size": BATCH, "monitors": 0, "evaluate": False, "save_every": "1h"}


def one(who: str, data: str, seconds: float) -> float:
    """Images a second of one contestant, here and now."""
    equal = who not in LIGHTLY or LIGHTLY[who][1]
    if equal:
        import unlabel  # noqa: F401 (before torch: it sets how threads wait)
    import torch

    from unlabel.engine import fit

    if who == OURS:
        return BATCH / statistics.median(whole(data, seconds))
    if not equal:
        fit.keep_freed_memory = lambda: None
    job, method, batch = prepared(data)
    if who == NOTHING:
        optimiser = method.configure_optimizers()[0]
        batches: Iterator = iter(lambda: batch.views, None)

        def step(views: list) -> None:
            batch.views = views
            optimiser.zero_grad()
            method.loss(batch).backward()
            optimiser.step()
    else:
        from lightly_steps import simclr

        if not equal:
            method = method.to(memory_format=torch.contiguous_format)
        step = simclr(method, job.hyper)
        batches = theirs(data, LIGHTLY[who][0])
    form = torch.channels_last if equal and job.settings.channels_last else torch.contiguous_format
    moments = [time.perf_counter()]
    for views in batches:
        with torch.autocast("cpu", torch.bfloat16, enabled=equal and job.settings.precision == "bf16"):
            step([view.contiguous(memory_format=form) for view in views])
        moments.append(time.perf_counter())
        if len(moments) > 8 and moments[-1] - moments[4] > seconds:
            break
    # The mean and not the median: behind worker processes, batches come in bursts.
    return BATCH * (len(moments) - 5) / (moments[-1] - moments[4])


def prepared(data: str) -> tuple:
    """(job, method, first batch) as `unlabel.pretrain` would begin."""
    from unlabel import recipes
    from unlabel.engine import options as chosen
    from unlabel.engine.fit import loader, prepare
    from unlabel.engine.job import decide
    from unlabel.engine.run import Run
    from unlabel.engine.sources import open_sources

    asked = chosen.check("simclr", options(data))
    sources = open_sources(Run(**asked.run))
    job = decide(asked, recipes.choose("simclr", "small", data="", size=32)[1], sources)
    method = prepare(job).train()
    return job, method, loader(job, method, sources.training, 0, 1).batch(0)


def theirs(data: str, workers: int) -> Iterator[list]:
    """Batches of lightly's SimCLR example: views of both crops, epoch after epoch."""
    from lightly.data import LightlyDataset
    from lightly.transforms import SimCLRTransform
    from torch.utils.data import DataLoader

    dataset = LightlyDataset(data, transform=SimCLRTransform(input_size=32, gaussian_blur=0.0))
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=workers)
    while True:
        for views, _, _ in loader:
            yield views


def whole(data: str, seconds: float) -> list[float]:
    """Seconds of each update of a run of ours, from its journal."""
    import unlabel

    with tempfile.TemporaryDirectory() as out:
        run = unlabel.pretrain("simclr", **options(data), budget=f"{2 * seconds:g}s", out=f"{out}/run").folder
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    moments = [line["seconds"] for line in lines if "loss" in line]
    return [b - a for a, b in pairwise(moments[3:])]


def measured(who: str, data: str, seconds: float) -> float:
    done = subprocess.run(
        [sys.executable, __file__, "--one", who, "--data", data, "--seconds", str(seconds)],
        capture_output=True, text=True, env={k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", help="a folder of images of 32 px, such as CIFAR-10's")
    parser.add_argument("--seconds", type=float, default=10.0, help="to measure for, each time")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(one(arguments.one, arguments.data, arguments.seconds))
        return
    from common import installed, record, rows  # not above: they import torch, and unlabel before it
    from photographs import small
    from PIL import Image

    with tempfile.TemporaryDirectory() as place:
        if arguments.data is None:
            for i, image in enumerate(small(5_000)):
                Image.fromarray(image).save(Path(place) / f"{i}.png")
        data = arguments.data or place
        peers = tuple(LIGHTLY) if installed("lightly") else ()
        rates: dict[str, list[float]] = {who: [] for who in (*peers, OURS, NOTHING)}
        for _ in range(arguments.rounds):
            for who, found in rates.items():
                found.append(measured(who, data, arguments.seconds))
    note = f"SimCLR, batch {BATCH}, tiny_resnet, images of 32 px from files. Ratios to the first row."
    record("end-to-end", "Training end to end", rows(rates, next(iter(rates))), unit="images/s", note=note)


if __name__ == "__main__":
    main()
