"""How good is a backbone after so many minutes? SimCLR on CIFAR-10: unlabel's recipe `cifar10_fast` beside lightly.

    python benchmarks/quality.py --cifar10 DIR [--minutes 1 2 5 10 20 40] [--seeds 0 1 2] [--runs runs/quality]

--cifar10 holds train/CLASS and test/CLASS. Every length is a run of its own, whose schedule ends with it. lightly's
pipeline is that of its SimCLR example (transform, data set, DataLoader, head, loss, SGD with a cosine), with the same
backbone, which is evaluated like ours. Contestants take turns. Finished runs are kept and not repeated.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

BATCH, WORKERS = 256, 2
NOTE = (
    "Mean and standard deviation over seeds, in per cent. Every length is a run of its own whose schedule ends with "
    "it; both train the same backbone and are evaluated by the same protocol (kNN: k = 20, cosine, weights "
    "exp(cos / 0.07), 20,000 training images remembered, 5,000 test images asked; linear: logistic regression on "
    "frozen features)."
)


def ours(data: str, minutes: float, seed: int, out: Path) -> dict[str, Any]:
    import unlabel

    chosen = {"data": f"{data}/train", "eval_data": f"{data}/test", "recipe": "cifar10_fast", "monitors": 0}
    done = unlabel.pretrain("simclr", **chosen, budget=f"{minutes:g}m", seed=seed, out=out / "run")
    stored = json.loads((out / "run" / "run.json").read_text())
    images = stored["updates"] * stored["plan"]["batch_size"]
    return _numbers(done.evaluation or {}) | {"images": images, "seconds": stored["cost"]["seconds"]}


def by_lightly(data: str, minutes: float, seed: int, out: Path) -> dict[str, Any]:
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
    recipe = recipes("simclr")["cifar10_fast"]()
    spec = backbones.resolve(recipe["backbone"], 32)
    backbone = backbones.build(spec)
    head = SimCLRProjectionHead(backbone.num_features, 512, 128)
    parameters = [*backbone.parameters(), *head.parameters()]
    criterion, optimiser = NTXentLoss(), torch.optim.SGD(parameters, lr=0.06, momentum=0.9, weight_decay=5e-4)
    dataset = LightlyDataset(f"{data}/train", transform=SimCLRTransform(input_size=32, gaussian_blur=0.0))
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=WORKERS)
    begun, images = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < 60 * minutes:
        for views, _, _ in loader:
            passed = time.monotonic() - begun
            if passed >= 60 * minutes:
                break
            for group in optimiser.param_groups:
                group["lr"] = 0.06 * 0.5 * (1 + math.cos(math.pi * passed / (60 * minutes)))
            z0, z1 = (head(backbone(view)) for view in views)
            optimiser.zero_grad()
            criterion(z0, z1).backward()
            optimiser.step()
            images += len(z0)
    backbone.eval()
    found = evaluate(
        backbone, open_source(f"{data}/train"), open_source(f"{data}/test"), view=evaluation(32), untrained=None,
        protocol=Protocol(),
    )  # fmt: skip
    return _numbers(found) | {"images": images, "seconds": passed}


def _numbers(evaluation: dict[str, Any]) -> dict[str, float]:
    return {"knn": evaluation["knn"]["run"], "linear": evaluation["linear"]["run"]["top1"]}


CONTESTANTS = {"unlabel": ours, "lightly": by_lightly}


def table(found: list[dict[str, Any]]) -> str:
    """Markdown: one row for each length, means over seeds."""
    from unlabel.reporting.words import spread  # not above: contestants need none of it

    lines = ["| minutes | seeds | unlabel: kNN | linear | images seen | lightly: kNN | linear | images seen |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for minutes in sorted({entry["minutes"] for entry in found}):
        row, seeds = [], []
        for who in CONTESTANTS:
            of = [entry for entry in found if entry["who"] == who and entry["minutes"] == minutes]
            seeds.append(str(len(of)))
            row += [spread([entry["knn"] for entry in of]), spread([entry["linear"] for entry in of]), _mean(of)]
        lines.append(f"| {minutes:g} | {' and '.join(dict.fromkeys(seeds))} | {' | '.join(row)} |")
    return "\n".join(lines)


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
    if arguments.one:
        (minutes,), (seed,) = arguments.minutes, arguments.seeds
        result = CONTESTANTS[arguments.one](arguments.cifar10, minutes, seed, arguments.runs)
        (arguments.runs / "result.json").write_text(json.dumps(result))
        return
    from common import keep  # not above: contestants need none of it

    found = []
    for seed in arguments.seeds:
        for minutes in arguments.minutes:
            for who in arguments.only:
                place = arguments.runs / f"{who}-{minutes:g}-{seed}"
                if not (place / "result.json").exists():
                    place.mkdir(parents=True, exist_ok=True)
                    common = ["--cifar10", arguments.cifar10, "--runs", place, "--minutes", minutes, "--seeds", seed]
                    subprocess.run([sys.executable, __file__, "--one", who, *map(str, common)], check=True)
                result = json.loads((place / "result.json").read_text())
                found.append({"who": who, "minutes": minutes, "seed": seed, **result})
                keep("time-to-quality", "SimCLR on CIFAR-10, by minutes of training on two cores", table(found),
                     note=NOTE, runs=found)  # fmt: skip


if __name__ == "__main__":
    main()
