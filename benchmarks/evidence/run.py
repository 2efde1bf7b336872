"""Runs every method of the evidence table, three seeds each, and records what came out with its controls.

    python benchmarks/evidence/run.py --cifar10 DIR --summer2winter DIR [--minutes 3] [--seeds 0 1 2] [--only simclr]

--cifar10 holds train/CLASS and test/CLASS; --summer2winter holds trainA_summer, trainB_winter, testA_summer and
testB_winter. Finished runs are kept and not repeated; a run that was cut off goes on where it was.
Each method's record is written to benchmarks/evidence/METHOD.json, the table of them all to the README.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import unlabel
from unlabel import catalogue

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
METHODS, METHODS_END = "<!-- methods: written by benchmarks/evidence/run.py --tables -->", "<!-- /methods -->"
BEGIN, END = "<!-- evidence: written by benchmarks/evidence/run.py -->", "<!-- /evidence -->"
ON_CIFAR10 = {
    "simclr": "tiny_resnet",
    "byol": "tiny_resnet",
    "dino": "tiny_resnet",
    "rotation": "tiny_resnet",
    "mae": "tiny_vit",
}


def options(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of one method's run, without the seed."""
    common = {"budget": f"{arguments.minutes:g}m", "monitors": 6}
    if name in ON_CIFAR10:
        data = {"data": f"{arguments.cifar10}/train", "eval_data": f"{arguments.cifar10}/test"}
        return {**common, **data, "backbone": ON_CIFAR10[name]}
    folder = arguments.summer2winter
    return {
        **common, "data": f"{folder}/trainA_summer", "data_b": f"{folder}/trainB_winter", "size": 64,
        "eval_data": f"{folder}/testA_summer", "eval_data_b": f"{folder}/testB_winter",
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


def record(name: str, chosen: dict[str, Any], folders: list[Path]) -> dict[str, Any]:
    """What the runs of one method showed: every seed's numbers, with protocol, length, machine and versions."""
    runs = [json.loads((folder / "run.json").read_text()) for folder in folders]
    evaluations = [json.loads((folder / "evaluation.json").read_text()) for folder in folders]
    shown = {key: Path(value).name if "data" in key else value for key, value in chosen.items()}
    seeds = []
    for run, evaluation in zip(runs, evaluations, strict=True):
        numbers = {key: evaluation.get(key) for key in ("knn", "linear", "translation", "effective_rank", "verdict")}
        length = {"updates": run["updates"], "epochs": run["updates"] / run["updates_per_epoch"]}
        seeds.append({"seed": run["run"]["seed"], **length, "cost": run["cost"], **numbers})
    return {
        "method": name, "options": shown,
        "backbone": runs[0]["backbone"], "plan": runs[0]["plan"], "hyper": runs[0]["hyper"],
        "protocol": evaluations[0].get("protocol") or (evaluations[0].get("translation") or {}).get("protocol"),
        "machine": runs[0]["machine"], "versions": runs[0]["versions"], "unlabel": runs[0]["unlabel"], "seeds": seeds,
    }  # fmt: skip


def spread(values: list[float]) -> str:
    """Mean ± standard deviation over seeds."""
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}"


def table(records: list[dict[str, Any]]) -> str:
    """The records as Markdown: representation learning, then image translation."""
    lines = [
        "| method | backbone | training | seeds | kNN | linear | random weights: kNN | linear "
        "| raw pixels: kNN | linear |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in records:
        seeds = entry["seeds"]
        if not seeds[0]["knn"]:
            continue
        cells = [spread([s["knn"]["run"] for s in seeds]), spread([s["linear"]["run"]["top1"] for s in seeds])]
        cells += [spread([s["knn"]["random"] for s in seeds]), spread([s["linear"]["random"]["top1"] for s in seeds])]
        cells += [spread([s["knn"]["pixels"] for s in seeds]), spread([s["linear"]["pixels"]["top1"] for s in seeds])]
        title = catalogue.entry(entry["method"]).title
        epochs = statistics.mean(s["epochs"] for s in seeds)
        length = f"{entry['options']['budget']} ({epochs:.1f} epochs)"
        lines.append(f"| {title} | {entry['backbone']['name']} | {length} | {len(seeds)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def methods_table() -> str:
    """All methods as Markdown, from their files."""
    lines = ["| name | method | family | year | paper |", "|---|---|---|---|---|"]
    for entry in catalogue.entries():
        paper = f"[{entry.paper}](https://arxiv.org/abs/{entry.paper})"
        lines.append(f"| `{entry.name}` | {entry.title} | {entry.family} | {entry.year} | {paper} |")
    return "\n".join(lines)


def put(text: str, begin: str, end: str, content: str) -> str:
    """The text with `content` between its marks."""
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}"


def write_tables() -> None:
    """Put the tables of all methods and of all records into the README, between their marks."""
    records = [json.loads(path.read_text()) for path in sorted(HERE.glob("*.json"))]
    text = put(README.read_text(), METHODS, METHODS_END, methods_table())
    README.write_text(put(text, BEGIN, END, table(records) if records else "No runs are recorded yet."))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path)
    parser.add_argument("--summer2winter", type=Path)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=[*ON_CIFAR10, "cut"])
    parser.add_argument("--runs", type=Path, default=Path("runs/evidence"))
    parser.add_argument("--tables", action="store_true", help="only write the README's tables again")
    arguments = parser.parse_args()
    if arguments.tables:
        write_tables()
        return
    folders: dict[str, list[Path]] = {name: [] for name in arguments.only}
    for seed in arguments.seeds:  # seed by seed, so that a first row of everything is there early
        for name in arguments.only:
            folders[name].append(one_run(name, seed, options(name, arguments), arguments.runs))
            entry = record(name, options(name, arguments), folders[name])
            (HERE / f"{name}.json").write_text(json.dumps(entry, indent=1) + "\n")
            write_tables()


if __name__ == "__main__":
    main()
