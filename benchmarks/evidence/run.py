"""Runs every method of the evidence table, three seeds each, and records what came out with its controls.

    python benchmarks/evidence/run.py --cifar10 DIR --facades DIR [--minutes 5] [--seeds 0 1 2] [--only simclr cut]

--cifar10 holds train/CLASS and test/CLASS; --facades holds train/labels, train/photo, val/labels and val/photo, where
equal names are one building: training never learns which, so the pairs are a hidden answer to measure against.
Finished runs are kept and not repeated; a run that was cut off goes on where it was. Each method's record is
written to benchmarks/evidence/METHOD.json, the tables to the README.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import unlabel

HERE = Path(__file__).parent
ON_CIFAR10 = {
    "simclr": "tiny_resnet",
    "byol": "tiny_resnet",
    "dino": "tiny_resnet",
    "rotation": "tiny_resnet",
    "mae": "tiny_vit",
}


ON_SHAPES = ("clip",)  # with the sentences on what they show


def options(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of one method's run, without the seed."""
    common = {"budget": f"{arguments.minutes:g}m", "monitors": 6}
    if name in ON_CIFAR10:
        data = {"data": f"{arguments.cifar10}/train", "eval_data": f"{arguments.cifar10}/test"}
        return {**common, **data, "recipe": "minutes", "backbone": ON_CIFAR10[name]}
    if name in ON_SHAPES:
        return {**common, "data": "shapes", "recipe": "shapes"}
    facades = arguments.facades
    return {
        **common, "data": f"{facades}/train/labels", "data_b": f"{facades}/train/photo", "size": 64,
        "eval_data": f"{facades}/val/labels", "eval_data_b": f"{facades}/val/photo",
    }  # fmt: skip


def one_run(name: str, seed: int, chosen: dict[str, Any], runs: Path) -> Path:
    """Do one run, or finish it, or find it finished; returns its folder."""
    folder = runs / f"{name}-{chosen['budget']}-{seed}"
    if (folder / "run.json").exists():
        if not json.loads((folder / "run.json").read_text())["finished"]:
            unlabel.pretrain(resume=folder)
    else:
        unlabel.pretrain(name, **chosen, seed=seed, out=folder)
    return folder


def _place(path: str) -> str:
    """The end of a path, which means something on other machines too."""
    return "/".join(Path(path).parts[-3:])


def record(name: str, chosen: dict[str, Any], folders: list[Path]) -> dict[str, Any]:
    """What the runs of one method showed: every seed's numbers, with protocol, length, machine and versions."""
    runs = [json.loads((folder / "run.json").read_text()) for folder in folders]
    evaluations = [json.loads((folder / "evaluation.json").read_text()) for folder in folders]
    shown = {key: _place(value) if "data" in key else value for key, value in chosen.items()}
    protocol = evaluations[0].get("protocol") or (evaluations[0].get("translation") or {}).get("protocol")
    if protocol.get("data"):
        protocol["data"] = _place(protocol["data"])
    seeds = []
    for folder, run, evaluation in zip(folders, runs, evaluations, strict=True):
        numbers = {key: evaluation.get(key) for key in ("knn", "linear", "translation", "effective_rank", "verdict")}
        length = {"updates": run["updates"], "epochs": run["updates"] / run["updates_per_epoch"]}
        if (folder / "towers.json").exists():
            numbers["zeroshot"], numbers["retrieval"] = (
                asdict(ask(folder)) for ask in (unlabel.zeroshot, unlabel.retrieve)
            )
        seeds.append({"seed": run["run"]["seed"], **length, "cost": run["cost"], **numbers})
    return {
        "method": name, "options": shown,
        "backbone": runs[0]["backbone"], "plan": runs[0]["plan"], "hyper": runs[0]["hyper"],
        "protocol": protocol,
        "machine": runs[0]["machine"], "versions": runs[0]["versions"], "unlabel": runs[0]["unlabel"], "seeds": seeds,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path)
    parser.add_argument("--facades", type=Path)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=[*ON_CIFAR10, *ON_SHAPES, "cut"])
    parser.add_argument("--runs", type=Path, default=Path("runs/evidence"))
    arguments = parser.parse_args()
    folders: dict[str, list[Path]] = {name: [] for name in arguments.only}
    for seed in arguments.seeds:  # seed by seed, so that a first row of everything is there early
        for name in arguments.only:
            folders[name].append(one_run(name, seed, options(name, arguments), arguments.runs))
            entry = record(name, options(name, arguments), folders[name])
            (HERE / f"{name}.json").write_text(json.dumps(entry, indent=1) + "\n")
            subprocess.run([sys.executable, HERE / "tables.py"], check=True)


if __name__ == "__main__":
    main()
