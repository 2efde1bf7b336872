"""Run folders to put side by side: made up, small, of some methods and seeds."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.reporting.synthetic import CLASSES, evaluation, metrics, run_json, write_json, write_metrics

TAUGHT = ("byol", "moco_v2", "dino")
"""Methods with a teacher, whose protocol says whose weights were measured."""


def small_run(
    folder: Path,
    *,
    method: str = "simclr",
    seed: int = 0,
    knn: float = 60.0,
    run: dict[str, Any] | None = None,
    hyper: dict[str, Any] | None = None,
    plan: dict[str, Any] | None = None,
    images: int = 12_800,
    protocol: dict[str, Any] | None = None,
    found: dict[str, Any] | None = None,
    finished: bool = True,
    evaluated: bool = True,
    updates: int = 60,
    **entries: Any,
) -> Path:
    """Writes run.json, metrics.jsonl and evaluation.json; `run`, `hyper`, `plan`, `protocol`, `found` change parts."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    told = run_json(updates, 300)
    told["run"] |= {"method": method, "seed": seed, "out": str(folder), "data": "/data/cifar10", **(run or {})}
    told["hyper"] = {"temperature": 0.2} | (hyper or {}) if method == "simclr" else hyper or {}
    told["plan"] |= plan or {}
    told["data"] |= {"images": [images], "fingerprint": [f"{images:064x}"]}
    told["cost"]["seconds"] = 600.0 + seed  # no two runs take as long to the last digit
    told |= {"finished": finished, **entries}
    write_json(folder / "run.json", told)
    write_json(folder / "backbone.json", {"name": "resnet18", "size": 32, "method": method})
    lines = metrics(rng, updates, monitors=5)
    write_metrics(folder, lines if finished else lines[: len(lines) // 2])
    if evaluated:
        measured = evaluation(rng, CLASSES, 300)
        taught = {"weights": "the student's"} if method in TAUGHT else {}
        measured["protocol"] |= {"memory": min(images, 10_000), **taught, **(protocol or {})}
        measured["knn"]["run"] = knn
        measured["linear"]["run"] = {"top1": knn + 5, "top5": 95.0}
        measured |= {"effective_rank": 20 + knn / 2, "lidar": 100 - knn, "spectral_decay": 1.0}
        measured["retrieval"] = {"protocol": {}, "chance": {"mAP": 10.0},
                                 **{who: {"mAP": m} for who, m in (("run", knn - 20), ("random", 12.0), ("pixels", 11.0))}}  # fmt: skip
        measured["untrained"] = {"effective_rank": 88.0, "uniformity": -1.4}
        write_json(folder / "evaluation.json", measured | (found or {}))
    return folder


def classifier(folder: Path, *, seed: int = 0, top1: float = 80.0, origin_seed: int = 0) -> Path:
    """A fine-tuned run with its control inside, which is no run of its own."""
    job = run_json(60, 300)
    job["run"]["seed"] = origin_seed
    found = {
        "classification": {"run": {"top1": top1, "top5": 99.0}, "scratch": {"top1": 40.0, "top5": 85.0}},
        "labels": {"images": 128, "share": 0.01, "seed": 0},
    }
    made = small_run(
        folder, method="finetune", seed=seed, hyper={"labels": 0.01, "from_head": 0}, found=found,
        origin={"path": f"runs/simclr-{origin_seed}", "job": job},
    )  # fmt: skip
    small_run(made / "control", method="finetune", seed=seed, evaluated=False)
    return made


def translator(folder: Path, *, seed: int = 0, fd: float = 90.0) -> Path:
    """An image translation."""
    numbers = {"fd": fd, "kid": 20.0, "edges": 0.1, "psnr": 12.0, "ssim": 0.1}
    found = {
        "protocol": None,
        "translation": {
            "protocol": {"images_x": 100, "seconds_per_image": 0.01 + seed},
            "identity": {"fd": 150.0, "kid": 40.0, "edges": 0.0, "psnr": 7.0, "ssim": 0.0},
            "translation": numbers,
        },
    }
    return small_run(folder, method="cut", seed=seed, run={"data_b": "/data/photos"}, found=found, backbone=None)


def many(root: Path) -> Path:
    """What a comparison can meet: seeds, options, another protocol, no evaluation, an early end, other kinds."""
    for seed, knn in enumerate((60.0, 62.0, 64.0)):
        small_run(root / f"simclr-{seed}", seed=seed, knn=knn)
        small_run(root / f"simclr-warm-{seed}", seed=seed, knn=knn - 9.5, hyper={"temperature": 0.5})
    for i, method in enumerate(("byol", "simsiam", "moco_v2", "swav")):
        small_run(root / method, method=method, knn=50.0 - 3 * i)
    small_run(root / "fewer" / "simclr-0", knn=40.0, images=5_000, run={"limit": 5_000})
    small_run(root / "barlow", method="barlow_twins", evaluated=False)
    small_run(root / "dino", method="dino", finished=False, evaluated=False)
    classifier(root / "finetune-0"), classifier(root / "finetune-1", seed=1, origin_seed=1, top1=82.0)
    translator(root / "cut-0"), translator(root / "cut-1", seed=1, fd=80.0)
    return root
