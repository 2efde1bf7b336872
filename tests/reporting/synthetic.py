"""A run folder as training and evaluation leave it, made up but believable: ten classes of drawn shapes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image, ImageDraw

from unlabel.diagnostics import outline
from unlabel.evaluation.confusion import confusion
from unlabel.evaluation.factors import word
from unlabel.reporting import views_grid, write_picture, write_thumbnails

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FACTORS: dict[str, dict[str, Any]] = {
    "shape": {"run": 94.1, "random": 51.0, "pixels": 43.5, "kind": "class", "chance": 25.0},
    "texture": {"run": 46.7, "random": 66.2, "pixels": 38.4, "kind": "class", "chance": 20.0},
    "colour": {"run": 48.9, "random": 83.4, "pixels": 91.0, "kind": "class", "chance": 12.5},
    "background": {"run": 61.2, "random": 60.3, "pixels": 59.5, "kind": "class", "chance": 16.7},
    "rotation": {"run": 0.52, "random": 0.21, "pixels": 0.18, "kind": "regression", "chance": 0.0},
    "size": {"run": 0.78, "random": 0.61, "pixels": 0.55, "kind": "regression", "chance": 0.0},
    "horizontal position": {"run": 0.31, "random": 0.74, "pixels": 0.88, "kind": "regression", "chance": 0.0},
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def shape(kind: int, rng: np.random.Generator, side: int = 48) -> torch.Tensor:
    """One image uint8 [3, side, side]: a regular polygon of kind + 3 corners before a sky of two colours."""
    hue, ground = rng.integers(0, 360), rng.integers(0, 360)
    image = Image.new("RGB", (side, side), f"hsl({ground}, 35%, 72%)")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, side * rng.uniform(0.5, 0.8), side, side), fill=f"hsl({ground}, 30%, 50%)")
    centre = tuple(rng.uniform(0.38, 0.62, 2) * side)
    draw.regular_polygon(
        (centre, side * rng.uniform(0.22, 0.34)), kind + 3, int(rng.integers(0, 360)), fill=f"hsl({hue}, 65%, 45%)"
    )
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def make_run(
    folder: Path, *, queries: int = 300, updates: int = 800, classes: list[str] | None = None, odd: bool = True
) -> Path:
    """Writes every file that a finished run has; returns the folder."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    classes = classes or CLASSES
    write_json(folder / "run.json", run_json(updates, queries))
    write_metrics(folder, metrics(rng, updates))
    write_json(folder / "evaluation.json", evaluation(rng, classes, queries))

    labels = rng.integers(0, len(classes), queries)
    images = [shape(int(label) % 10, rng) for label in labels]
    centres = rng.normal(size=(len(classes), 64))
    vectors = np.pad(centres[labels] + 2.3 * rng.normal(size=(queries, 64)), ((0, 0), (0, 1))).astype(np.float32)
    if odd:  # the last pictures are the first ones again, and one lies in a direction of its own
        images[-2:], vectors[-2:] = images[:2], vectors[:2] * 1.5
        vectors[-3] = np.eye(65)[64]
    paths = [f"test/{classes[label]}/{i:05d}.png" for i, label in enumerate(labels)]
    write_embeddings(folder, paths, labels, vectors)
    artifacts = folder / "artifacts"
    write_thumbnails(images, artifacts)
    batch = torch.stack([shape(i, rng, 64) for i in range(6)]).float() / 255
    normal = (batch - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    write_picture(
        views_grid([normal, normal.flip(-1), -normal, normal[:, :, 8:40, 8:40]], MEAN, STD, images=5),
        artifacts / "views.png",
    )
    write_picture(
        views_grid([normal, normal.roll(9, -1), normal * 0.6], MEAN, STD, images=4), artifacts / "reconstructions.png"
    )
    skipped = [{"path": "train/cat/broken.jpg", "reason": "truncated: 311 of 2,048 bytes"},
               {"path": "train/dog/notes.txt", "reason": "not an image"}]  # fmt: skip
    (folder / "skipped.jsonl").write_text("".join(json.dumps(line) + "\n" for line in skipped))
    return folder


def run_json(updates: int, queries: int) -> dict[str, Any]:
    return {
        "unlabel": "0.1.0",
        "run": {"method": "simclr", "data": "/data/cifar10", "recipe": "auto", "backbone": "resnet18", "size": 32,
                "seed": 0, "device": "cpu", "precision": "32", "limit": None, "budget": None,
                "threads": 1},
        "hyper": {"temperature": 0.2, "projection": 128},
        "plan": {"optimiser": "lars", "lr": 0.3, "lr_per": 256, "weight_decay": 1e-6, "betas": [0.9, 0.999],
                 "nesterov": False, "batch_size": 256, "epochs": 16},
        "backbone": {"name": "resnet18", "timm": "resnet18", "kwargs": {"zero_init_last": False}, "stem": "small",
                     "size": 32},
        "versions": {"python": "3.13.1", "torch": "2.14.0", "timm": "1.0.31"},
        "machine": {"system": "Linux", "processor": "x86_64", "cores": 2, "gpus": []},
        "data": {"spec": "/data/cifar10", "images": [12_800], "classes": CLASSES, "fingerprint": "9f3c" * 16,
                 "skipped": 2},
        "protocol": {"k": 20, "temperature": 0.07},
        "updates": updates,
        "updates_per_epoch": 50,
        "cost": {"seconds": 4312.4, "images_per_second": 411.7, "peak_memory_mb": 1931.0},
        "finished": True,
    }  # fmt: skip


def metrics(rng: np.random.Generator, updates: int, monitors: int = 13) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    moments = {round(updates * i / (monitors - 1)) for i in range(monitors)}
    for u in range(updates + 1):
        t = u / updates
        if u:
            pull, push = (
                1.6 * np.exp(-4 * t) + 0.35 + 0.05 * rng.normal(),
                4.1 * np.exp(-2 * t) / 2 + 2.2 + 0.06 * rng.normal(),
            )
            rate = 0.3 * min(t / 0.1, 1) * 0.5 * (1 + np.cos(np.pi * max(0, (t - 0.1) / 0.9)))
            lines.append(
                {
                    "update": u,
                    "epoch": u / 50,
                    "seconds": 5.2 * u,
                    "loss": pull + push,
                    "terms": {"alignment": pull, "uniformity": push},
                    "lr": rate,
                    "images_per_second": 410.0 + 5 * rng.normal(),
                }
            )
        if u in moments:
            rise = 1 - np.exp(-3 * t)
            lines.append(
                {
                    "update": u,
                    "epoch": u / 50,
                    "seconds": 5.2 * u,
                    "monitor": {
                        "knn": 31 + 38 * rise + rng.normal() * 0.6,
                        "effective_rank": 12 + 40 * rise,
                        "std": 0.018 + 0.024 * rise,
                        "alignment": 1.1 - 0.75 * rise,
                        "uniformity": -0.8 - 2.3 * rise,
                        "mean_cosine": 0.8 - 0.7 * rise,
                        "dimensions": 512,
                        "projection_alignment": 1.3 - rise,
                        "projection_uniformity": -0.5 - 3.0 * rise,
                    },
                    "spectrum": {
                        "representation": outline(torch.exp(-torch.arange(512) / (9 + 30 * rise))),
                        "projection": outline(torch.exp(-torch.arange(128) / (6 + 8 * rise))),
                    },
                }
            )
    return lines  # fmt: skip


def evaluation(rng: np.random.Generator, classes: list[str], queries: int) -> dict[str, Any]:
    decay = np.exp(-np.arange(512) / 38) + 2e-4 * np.exp(-np.arange(512) / 200)
    return {
        "protocol": {"version": 1, "data": "cifar10", "split": "its own test split", "memory": 12_800,
                     "queries": queries, "k": 20, "temperature": 0.07, "view": "largest central square at 32 px",
                     "layer": "what the method's `embed` returns", "weights": "the network's, which has no teacher",
                     "linear": {"classifier": "logistic regression", "l2": [1.0, 0.1]}, "seed": 0},
        "classes": classes,
        "knn": {"run": 69.4, "random": 38.7, "pixels": 35.2},
        "linear": {"run": {"top1": 76.2, "top5": 97.9}, "random": {"top1": 43.8, "top5": 88.1},
                   "pixels": {"top1": 39.3, "top5": 84.6}},
        "confusion": confusion(*_answers(classes or ["none"], queries), len(classes)),
        "untrained": {"alignment": 1.05, "uniformity": -0.9, "effective_rank": 14.0},
        "factors": {name: entry | {"word": word(entry)} for name, entry in FACTORS.items()},
        "spectrum": (decay * (1 + 0.02 * rng.normal(size=512)) * 31).clip(1e-5).tolist(),
        "effective_rank": 51.3, "dimensions": 512, "dimensions_99": 143, "images": queries, "non_finite": 0,
        "std": 0.0413, "alignment": 0.362, "uniformity": -3.04, "mean_cosine": 0.11,
        "verdict": {
            "state": "learning",
            "sentence": "It learned: on 1,500 images with labels, kNN 69.4 % against 38.7 % with random weights "
                        "and 35.2 % from raw pixels.",
            "advice": "Use the backbone; it was still improving in the second half, so a longer run may be better.",
        },
        "translation": None,
    }  # fmt: skip


def _answers(classes: list[str], queries: int) -> tuple[np.ndarray, np.ndarray]:
    """What a probe said of queries of known classes: a quarter wrong, mostly the class beside the right one."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, len(classes), queries)
    wrong = (truth + rng.choice([1, 1, 1, 2, 5], queries)) % len(classes)
    return np.where(rng.random(queries) < 0.25, wrong, truth), truth


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def write_metrics(folder: Path, lines: list[dict[str, Any]]) -> None:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_embeddings(folder: Path, paths: list[str], labels: np.ndarray, vectors: np.ndarray) -> None:
    table = pa.table({
        "path": pa.array(paths, pa.string()),
        "label": pa.array(labels, pa.int64()),
        "vector": pa.array(list(vectors), pa.list_(pa.float32())),
    })  # fmt: skip
    pq.write_table(table, folder / "embeddings.parquet")
