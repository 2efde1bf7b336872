"""Training end to end, with data from files: unlabel, lightly's SimCLR example, and a step that needs no data.

    python benchmarks/loader.py [--rounds 8] [--data DIR] [--seconds 6]

SimCLR on images of 32 px with the same backbone. lightly's example as it is written (its transform, its data set, a
DataLoader with worker processes, float32), and with our precision, memory format and allocator. Each is a process of
its own; they take turns. The numbers of docs/speed.md come from CIFAR-10 (--data cifar10/train);
without --data, 5,000 PNG files are made of parts of two photographs.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

from ours import prepared, trained, updating
from turns import rates, tell

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


def one(who: str, data: str) -> None:
    """Take step after step as one of the contestants."""
    equal = who not in LIGHTLY or LIGHTLY[who][1]
    import torch

    if who == OURS:
        trained("simclr", options(data))
    if not equal:
        os.environ["MALLOC_TRIM_THRESHOLD_"] = "default"  # then ours leaves the allocator alone
    job, method, batch = prepared("simclr", options(data))
    if who == NOTHING:
        update = updating(method, batch)

        def step(_: list) -> None:
            update()

        batches: Iterator[list] = repeat(batch.views)
    else:
        from lightly_steps import simclr

        if not equal:
            method = method.to(memory_format=torch.contiguous_format)
        step = simclr(method, job.hyper)
        batches = theirs(data, LIGHTLY[who][0])
    form = torch.channels_last if equal and job.settings.channels_last else torch.contiguous_format
    last = time.perf_counter()
    for views in batches:
        with torch.autocast("cpu", torch.bfloat16, enabled=equal and job.settings.precision == "bf16"):
            step([view.contiguous(memory_format=form) for view in views])
        now = time.perf_counter()
        tell(now - last)
        last = now


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--data", help="a folder of images of 32 px, such as CIFAR-10's")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each turn")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one, arguments.data)
        return
    from common import installed, record, rows  # not above: contestants need none of it
    from photographs import small
    from PIL import Image

    with tempfile.TemporaryDirectory() as place:
        if arguments.data is None:
            for i, image in enumerate(small(5_000)):
                Image.fromarray(image).save(Path(place) / f"{i}.png")
        data = arguments.data or place
        names = (*(LIGHTLY if installed("lightly") else ()), OURS, NOTHING)
        commands = {who: [__file__, "--one", who, "--data", data] for who in names}
        found = rates(commands, rounds=arguments.rounds, seconds=arguments.seconds)
        found = {who: [BATCH * rate for rate in several] for who, several in found.items()}
    folder = "/".join(Path(data).parts[-2:])
    images = f"the files of {folder}" if arguments.data else "files of parts of two photographs"
    note = f"SimCLR, batch {BATCH}, tiny_resnet, images of 32 px, {images}. Ratios to the first row."
    record("end-to-end", "Training end to end", rows(found, names[0]), unit="images/s", note=note)


if __name__ == "__main__":
    main()
