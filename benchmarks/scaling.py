"""How the making of views scales: with threads, with the side of the views, with their number, and what the step needs.

python benchmarks/scaling.py [--rounds 3]
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from common import compete, record
from photographs import jpegs, small

from unlabel.data.arrays import Arrays
from unlabel.data.folder import Folder
from unlabel.data.loader import ViewLoader
from unlabel.data.pack import Pack, write_pack
from unlabel.data.source import Cached, Source
from unlabel.views import Recipe, View, prepare_renderer
from views import ours, strengths

SIDES = (32, 64, 96, 128, 224, 384)


def drawn(source: Source, views: tuple[View, ...], batch: int, batches: int) -> Callable[[], int]:
    """Draws some batches in this thread."""
    loader = ViewLoader([source], Recipe(views=views), batch, seed=0, stop=batches, threads=0)
    return lambda: sum(map(len, loader))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    prepare_renderer()
    torch.set_num_threads(1)
    images = Cached(Arrays(small(2048)), 1 << 30)
    threads = {f"{n} threads": ours(images, 32, 256, 32 * max(1, n), threads=n) for n in (1, 2)}
    record("scaling-threads", "Two SimCLR views at 32 px from memory, by threads",
           compete(threads, baseline="1 threads", rounds=arguments.rounds), unit="images/s",
           note="Ratios to one thread.")  # fmt: skip

    numbers = {f"{n} views": drawn(images, (strengths(32),) * n, 256, 32) for n in (1, 2, 4, 8)}
    record("scaling-views", "SimCLR views at 32 px from memory, by their number, one core",
           compete(numbers, baseline="1 views", rounds=arguments.rounds), unit="images/s",
           note="Ratios to one view.")  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        folder = jpegs(Path(place) / "files", 96)
        pack = Path(place) / "raw.pack"
        write_pack(Folder(folder), pack, size=512, quality=None)
        sides = {f"{side} px": ours(Pack(pack), side, 32, 3, threads=0) for side in SIDES}
        record("scaling-sides", "Two SimCLR views from a raw pack of 500 x 375 pixels, by their side, one core",
               compete(sides, baseline="32 px", rounds=arguments.rounds), unit="images/s",
               note="Ratios to 32 px.")  # fmt: skip
        plain = replace(strengths(224), jitter=None, grey=0.0, blur=0.0)
        coloured = replace(strengths(224), blur=0.0)
        steps = {"crop and flip": plain, "with jitter and grey": coloured, "with blur": strengths(224)}
        parts = {name: drawn(Pack(pack), (view,) * 2, 32, 3) for name, view in steps.items()}
        record("scaling-steps", "Two views at 224 px from a raw pack of 500 x 375 pixels, by their steps, one core",
               compete(parts, baseline="crop and flip", rounds=arguments.rounds), unit="images/s",
               note="Ratios to crop and flip alone.")  # fmt: skip


if __name__ == "__main__":
    main()
