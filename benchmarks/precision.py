"""Does bf16 learn as well as float32? SimCLR on CIFAR-10 for the same updates at both precisions, some seeds each.

    python benchmarks/precision.py --cifar10 DIR [--seeds 0 1 2] [--epochs 1] [--limit 10000]

--cifar10 holds train/CLASS and test/CLASS. Processors without bf16 emulate it: slowly, with the same roundings.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from common import keep

import unlabel
from unlabel.reporting.words import spread

NOTE = (
    "kNN in per cent (k = 20, cosine), mean and standard deviation over seeds; loss: mean of the last tenth of the "
    "updates. The same data, order and first weights at both precisions. Losses are computed in float32 at both."
)


def trained(arguments: argparse.Namespace, precision: str, seed: int) -> dict[str, float]:
    """kNN and last losses of one run."""
    with tempfile.TemporaryDirectory() as place:
        done = unlabel.pretrain(
            "simclr", data=f"{arguments.cifar10}/train", eval_data=f"{arguments.cifar10}/test", backbone="tiny_resnet",
            recipe="minutes", precision=precision, seed=seed, epochs=arguments.epochs, limit=arguments.limit,
            monitors=0, out=f"{place}/run",
        )  # fmt: skip
        lines = [json.loads(line) for line in (Path(place) / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    return {"knn": (done.evaluation or {})["knn"]["run"], "loss": statistics.mean(losses[-max(1, len(losses) // 10) :])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--limit", type=int, default=10_000)
    arguments = parser.parse_args()
    found = {name: [trained(arguments, name, seed) for seed in arguments.seeds] for name in ("32", "bf16")}
    lines = ["| precision | kNN | loss |", "|---|---|---|"]
    for name, runs in found.items():
        cells = [spread([run[what] for run in runs], 2) for what in ("knn", "loss")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    keep("precision", f"SimCLR on {arguments.limit:,} images of CIFAR-10, float32 and bf16", "\n".join(lines),
         note=NOTE, runs=found)  # fmt: skip


if __name__ == "__main__":
    main()
