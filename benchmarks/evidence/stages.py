"""SimCLR v2 in three stages on CIFAR-10: a tenth of the labels, with pre-training and without, and a student of that.

    python benchmarks/evidence/stages.py --cifar10 DIR [--seeds 0 1 2] [--runs runs/evidence]

Every stage has its control, trained as long with the same labels. Seeds that the record has are not repeated, nor
finished stages in --runs. The record is written to benchmarks/evidence/stages.json, the table to docs/evidence.md.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from tables import STAGES, write_tables

import unlabel

PRETRAIN = {"recipe": "minutes", "backbone": "tiny_resnet", "budget": "4m", "monitors": 0}
FINETUNE = {"labels": 0.1, "from_head": 1, "epochs": 16, "monitors": 0}
DISTIL = {"epochs": 2, "monitors": 0}


def stage(folder: Path, begin: Any) -> Path:
    """The folder of a finished stage: begun, gone on with, or found."""
    if not (folder / "run.json").exists():
        begin(folder)
    stored = json.loads((folder / "run.json").read_text())
    if not stored["finished"]:
        go_on = {"finetune": unlabel.finetune, "distil": unlabel.distil}.get(stored["run"]["method"], unlabel.pretrain)
        go_on(resume=folder)
    return folder


def stages(cifar10: Path, seed: int, runs: Path) -> dict[str, Any]:
    """The accuracies of all stages and controls for one seed."""
    data = {"data": cifar10 / "train", "eval_data": cifar10 / "test"}
    first = stage(runs / f"1-{seed}", lambda out: unlabel.pretrain("simclr_v2", **data, **PRETRAIN, seed=seed, out=out))
    second = stage(runs / f"2-{seed}", lambda out: unlabel.finetune(first, **FINETUNE, seed=seed, out=out))
    third = stage(runs / f"3-{seed}", lambda out: unlabel.distil(second, **DISTIL, seed=seed, out=out))
    return {
        name: json.loads((folder / "evaluation.json").read_text())["classification"]
        for name, folder in (("finetune", second), ("distil", third))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/evidence"))
    arguments = parser.parse_args()
    options = {"pretrain": PRETRAIN, "finetune": FINETUNE, "distil": DISTIL}
    record = json.loads(STAGES.read_text()) if STAGES.exists() else {}
    found = record["seeds"] if record.get("options") == options else {}  # of other options nothing is kept
    for seed in arguments.seeds:
        if str(seed) not in found:
            found[str(seed)] = stages(arguments.cifar10, seed, arguments.runs / "stages")
            record = {"options": options, "unlabel": unlabel.__version__, "seeds": found}
            STAGES.write_text(json.dumps(record, indent=1) + "\n")
    write_tables()


if __name__ == "__main__":
    main()
