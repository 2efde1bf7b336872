"""How good is a backbone after so many minutes? SimCLR on CIFAR-10: unlabel's recipe `cifar10_fast` beside lightly.

    python benchmarks/quality.py --cifar10 DIR [--minutes 1 2 5 10 20 40] [--seeds 0 1 2] [--runs runs/quality]

--cifar10 holds train/CLASS and test/CLASS. Of ours every length is a run of its own, whose schedule ends with it.
lightly's pipeline is that of its SimCLR example (transform, data set, DataLoader, head, loss, SGD at a constant rate),
with the same backbone, which is evaluated like ours. Having no schedule, it is one run to the longest length, looked at
on the way with its clock stopped; its rate falls to zero over the last quarter, which its example does not do.
What was measured is in the result and in --runs, and not measured again: a few seeds at a time will do. The machine
must be idle beside it: how many updates a run has is measured at its beginning.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCH, RATE, WORKERS = 256, 0.06, 2
NOTE = (
    "Mean and standard deviation over seeds, in per cent. Of unlabel every length is a run of its own whose schedule "
    "ends with it; lightly's is one run at the constant rate of its example, decayed to zero over its last quarter. "
    "Both train the same backbone and are evaluated by the same protocol (kNN: k = 20, cosine, weights "
    "exp(cos / 0.07), 20,000 training images remembered, 5,000 test images asked; linear: logistic "
    "regression on frozen features)."
)


def ours(data: str, lengths: list[float], seed: int, out: Path) -> Iterator[tuple[float, dict[str, float]]]:
    import unlabel

    chosen = {"data": f"{data}/train", "eval_data": f"{data}/test", "recipe": "cifar10_fast", "monitors": 0}
    for minutes in lengths:
        run = out / f"run-{minutes:g}-{seed}"
        shutil.rmtree(run, ignore_errors=True)  # what an interrupted benchmark left
        done = unlabel.pretrain("simclr", **chosen, budget=f"{minutes:g}m", seed=seed, out=run)
        stored = json.loads((run / "run.json").read_text())
        images = stored["updates"] * stored["plan"]["batch_size"]
        yield minutes, _numbers(done.evaluation or {}) | {"images": images, "seconds": stored["cost"]["seconds"]}


def by_lightly(data: str, lengths: list[float], seed: int, out: Path) -> Iterator[tuple[float, dict[str, float]]]:
    import torch
    from lightly.data import LightlyDataset
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.transforms import SimCLRTransform
    from torch.utils.data import DataLoader

    from unlabel.data import open_source
    from unlabel.evaluation.evaluate import evaluate
    from unlabel.evaluation.protocol import Protocol
    from unlabel.nn import backbones
    from unlabel.recipes import recipes
    from unlabel.views import evaluation

    torch.manual_seed(seed)
    backbone = backbones.build(backbones.resolve(recipes("simclr")["cifar10_fast"]()["backbone"], 32))
    head = SimCLRProjectionHead(backbone.num_features, 512, 128)
    parameters = [*backbone.parameters(), *head.parameters()]
    criterion, optimiser = NTXentLoss(), torch.optim.SGD(parameters, lr=RATE, momentum=0.9, weight_decay=5e-4)
    dataset = LightlyDataset(f"{data}/train", transform=SimCLRTransform(input_size=32, gaussian_blur=0.0))
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=WORKERS)

    def found(seconds: float, images: int) -> dict[str, float]:
        backbone.eval()
        numbers = evaluate(
            backbone, open_source(f"{data}/train"), open_source(f"{data}/test"), view=evaluation(32), untrained=None,
            protocol=Protocol(),
        )  # fmt: skip
        backbone.train()
        return _numbers(numbers) | {"images": images, "seconds": seconds}

    ahead, end, images = sorted(lengths), 60 * max(lengths), 0
    begun = time.monotonic()
    while ahead:  # epochs
        for views, _, _ in loader:
            passed = time.monotonic() - begun
            if passed >= 60 * ahead[0]:
                looked = time.monotonic()
                yield ahead.pop(0), found(passed, images) | {"end": end / 60}
                if not ahead:
                    return
                begun += time.monotonic() - looked
            for group in optimiser.param_groups:
                group["lr"] = RATE * min(1.0, 4 * max(0.0, 1 - passed / end))
            z0, z1 = (head(backbone(view)) for view in views)
            optimiser.zero_grad()
            criterion(z0, z1).backward()
            optimiser.step()
            images += len(z0)


def _numbers(evaluation: dict[str, Any]) -> dict[str, float]:
    return {"knn": evaluation["knn"]["run"], "linear": evaluation["linear"]["run"]["top1"]}


CONTESTANTS = {"unlabel": ours, "lightly": by_lightly}


def table(found: list[dict[str, Any]]) -> str:
    """Markdown: one row for each length, means over seeds."""
    from unlabel.reporting.words import spread  # not above: contestants need none of it

    lines = ["| minutes | seeds | unlabel: kNN | linear | images seen | lightly: kNN | linear | images seen |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for minutes in _lengths(found):
        row, seeds = [], []
        for who in CONTESTANTS:
            of = _of(found, who, minutes)
            seeds.append(str(len(of)))
            row += [spread([entry["knn"] for entry in of]), spread([entry["linear"] for entry in of]), _mean(of)]
        lines.append(f"| {minutes:g} | {' and '.join(dict.fromkeys(seeds))} | {' | '.join(row)} |")
    return "\n".join(lines)


def reached(found: list[dict[str, Any]]) -> str:
    """The shortest measured length at which ours is as good as lightly's longest, in a sentence; "" if none is."""
    lengths = {who: [minutes for minutes in _lengths(found) if _of(found, who, minutes)] for who in CONTESTANTS}
    if not lengths["lightly"]:
        return ""
    last = lengths["lightly"][-1]
    ours = [
        minutes for minutes in lengths["unlabel"] if _knn(found, "unlabel", minutes) >= _knn(found, "lightly", last)
    ]
    return f" What lightly has by kNN after {last:g} minutes, unlabel has after {ours[0]:g}." if ours else ""


def _lengths(found: list[dict[str, Any]]) -> list[float]:
    return sorted({entry["minutes"] for entry in found})


def _of(found: list[dict[str, Any]], who: str, minutes: float) -> list[dict[str, Any]]:
    return [entry for entry in found if entry["who"] == who and entry["minutes"] == minutes]


def _knn(found: list[dict[str, Any]], who: str, minutes: float) -> float:
    return statistics.mean(entry["knn"] for entry in _of(found, who, minutes))


def _mean(of: list[dict[str, Any]]) -> str:
    return f"{statistics.mean(entry['images'] for entry in of):,.0f}" if of else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", required=True)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 2, 5, 10, 20, 40])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument("--runs", type=Path, default=Path("runs/quality"))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:  # a process of its own
        (seed,) = arguments.seeds
        for minutes, numbers in CONTESTANTS[arguments.one](arguments.cifar10, arguments.minutes, seed, arguments.runs):
            result = {"who": arguments.one, "minutes": minutes, "seed": seed, **numbers}
            _place(arguments.runs, arguments.one, minutes, seed).write_text(json.dumps(result))
        return
    from common import RESULTS, keep  # not above: contestants need none of it

    arguments.runs.mkdir(parents=True, exist_ok=True)
    result = RESULTS / "time-to-quality.json"
    for entry in json.loads(result.read_text())["runs"] if result.exists() else ():
        _place(arguments.runs, **entry).write_text(json.dumps(entry))
    ends = {json.loads(path.read_text())["end"] for path in arguments.runs.glob("lightly-*.json")}
    if "lightly" in arguments.only and ends - {max(arguments.minutes)}:
        found = ", ".join(f"{end:g}" for end in ends)
        raise SystemExit(f"lightly's rate fell to 0 at {found} minutes so far: give --minutes with that last")
    for seed in arguments.seeds:
        for who in arguments.only:
            left = [m for m in arguments.minutes if not _place(arguments.runs, who, m, seed).exists()]
            for lengths in [left] if who == "lightly" else [[m] for m in left]:  # lightly: all in one run
                if lengths:
                    asked = ["--cifar10", arguments.cifar10, "--runs", arguments.runs, "--seeds", seed, "--minutes"]
                    command = [sys.executable, __file__, "--one", who, *asked, *lengths]
                    subprocess.run(list(map(str, command)), check=True)
                    found = [json.loads(path.read_text()) for path in sorted(arguments.runs.glob("*-*-*.json"))]
                    keep("time-to-quality", "SimCLR on CIFAR-10, by minutes of training on two cores", table(found),
                         note=NOTE + reached(found), runs=found)  # fmt: skip


def _place(runs: Path, who: str, minutes: float, seed: int, **numbers: Any) -> Path:
    return runs / f"{who}-{minutes:g}-{seed}.json"


if __name__ == "__main__":
    main()
