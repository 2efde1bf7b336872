"""How long a training step takes: unlabel whole, the bare networks of a method, lightly's example at equal shapes.

    python benchmarks/step.py [--rounds 8] [--methods simclr byol ...] [--seconds 4]

"unlabel" is `unlabel.pretrain` as it is: heads, loss, teacher, optimiser, log, Lightning, with views drawn beside the
step. "bare networks" is forward and backward of the same networks on one batch that never changes, at the same
precision and memory format, and nothing else. lightly's examples get that batch too: as they are written (float32,
channels first, default allocator), and with our precision, format and allocator. "unlabel, one batch" is what compares
with them: the step without views, log and Lightning. Each is a process of its own; they take turns.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ours import prepared, trained, updating
from turns import rates, tell

METHODS = ("simclr", "byol", "dino", "mae", "rotation", "cut")
OURS, ONE, BARE = "unlabel, whole step", "unlabel, one batch", "bare networks"
LIGHTLY, EQUAL = "lightly as written", "lightly, our settings"
IMAGES = 8192


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


def one(name: str, who: str, folder: str) -> None:
    """Take step after step as one of the contestants."""
    import torch

    if who == OURS:
        trained(name, asked(name, folder))
    if who == LIGHTLY:
        os.environ["MALLOC_TRIM_THRESHOLD_"] = "default"  # then ours leaves the allocator alone
    job, method, batch = prepared(name, asked(name, folder))
    autocast = job.settings.precision == "bf16" and who != LIGHTLY
    if who == BARE:
        work = bare(name, method, batch)
    elif who == ONE:
        work = updating(method, batch)
    else:
        from lightly_steps import STEPS
        from timm.layers import Attention, use_fused_attn

        if who == LIGHTLY:
            for part in method.modules():
                if isinstance(part, Attention):
                    part.__dict__["fused_attn"] = use_fused_attn()  # what timm does by itself
            method = method.to(memory_format=torch.contiguous_format)
            batch.views = [view.contiguous() for view in batch.views]
        step = STEPS[name](method, job.hyper)
        work = lambda: step(batch.views)  # noqa: E731
    while True:
        begun = time.perf_counter()
        method.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            work()
        tell(time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.methods[0], arguments.one, arguments.folder)
        return
    import numpy as np
    from common import installed, record, rows  # not above: contestants need none of it
    from photographs import small

    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "images.npy", small(IMAGES))
        for name in arguments.methods:
            peers = (ONE, LIGHTLY, EQUAL) if name not in ("rotation", "cut") and installed("lightly") else ()
            commands = {
                who: [__file__, "--one", who, "--methods", name, "--folder", folder] for who in (BARE, OURS, *peers)
            }
            found = rates(commands, rounds=arguments.rounds, seconds=arguments.seconds)
            note = "Ratios to the bare networks, forward and backward and nothing else."
            record(f"step-{name}", f"A training step of {name}", rows(found, BARE), unit="steps/s", note=note)


if __name__ == "__main__":
    main()
