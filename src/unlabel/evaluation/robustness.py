"""Robustness: how often classifiers fitted on clean images are right on corrupted ones.

All see the same images, corrupted after they were brought to the size that the network is shown (`corruptions`).
The mean is over the benchmark's fifteen corruptions, as far as images of these channels can have them; its further four
stand beside it. Published numbers are over more images and, for frost, over other pictures: these are no substitute.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unlabel.data.ahead import cores
from unlabel.data.source import Source, Unreadable
from unlabel.evaluation.corruptions import applicable, corrupt
from unlabel.evaluation.kinds import Declared
from unlabel.evaluation.protocol import Protocol
from unlabel.evaluation.severities import FURTHER, SEVERITIES, settings, source_of
from unlabel.views import View, render_batch, sample

MEMORY, QUERIES = 5_000, 1_000  # images, at most
_BYTES = 64 << 20  # of normalised images held at once
_THREADS = 8  # that corrupt images, at most
_TRIED = 16  # images that tell how long all will take

Read = Callable[[Tensor], Mapping[str, Tensor]]
"""Normalised images [B, C, S, S] on the device -> by the name of each probe, the classes [B] that it says."""


def declared(view: View, *, memory: int, queries: int, protocol: Protocol) -> Declared:
    """How it is done: whose corruptions, how strong, on how many images."""
    known, names = settings(view.size), applicable(view.channels)
    return Declared(
        "robustness",
        {
            **protocol.shown(view).seen(),
            "images": min(queries, QUERIES),
            "corruptions": {name: list(known[name]) for name in names},
            "further": [name for name in names if name in FURTHER],
            "severities": f"1 to {SEVERITIES} as in {source_of(view.size)}, at {view.size} px",
            "means": "over severities, then over corruptions but the further ones, each counting as much",
            "linear": "the probe that was fitted on clean images",
            "knn": f"{min(memory, MEMORY):,} clean images remembered",
            "seed": protocol.seed,
        },
    )


def robustness(
    readers: Mapping[str, Read],
    source: Source,
    view: View,
    *,
    indices: np.ndarray,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable[[float], None] | None = None,
    announce: Callable[[float], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """The accuracy of several classifiers on the same images, clean and corrupted.

    readers  by name; each says a class by one probe or several, all by the same
    view     the deterministic view of all
    indices  [n] positions of labelled images; those that cannot be read are left out
    seed     of what is random in the corruptions
    progress is told the share that is done
    announce is told, before anything is counted, about how many seconds it will take: a few images are tried first

    Each image is seen 96 times by each reader, and only a share of all images is held at once.

    Returns {probe: {reader: {"clean", "corrupted", "further", "corruptions": {name: {"mean", "severities": [5]}}}}} in
    per cent: "mean" over severities, "corrupted" and "further" over the means. Raises ValueError where none of
    the images can be read.
    """
    names = applicable(view.channels)
    kinds = [("clean", 0), *((name, severity) for name in names for severity in range(1, SEVERITIES + 1))]
    step = max(1, _BYTES // (4 * view.channels * view.size**2))
    right: dict[tuple[str, str], Tensor] = {}  # (probe, reader) -> [kinds]
    if announce is not None:
        pictures, kept = _shown(source, view, indices[:_TRIED])
        if len(kept):
            announce(len(indices) / len(kept) * _seconds(readers, pictures, names, kept, view, device))
    count = 0
    for start in range(0, len(indices), step):
        pictures, kept = _shown(source, view, indices[start : start + step])
        if not len(kept):
            continue
        labels = torch.from_numpy(np.asarray(source.labels, np.int64)[kept])
        for number, (name, severity) in enumerate(kinds):
            seen = pictures if name == "clean" else _in_threads(pictures, name, severity, kept, seed)
            x = _normalised(seen, view).to(device)
            for who, read in readers.items():
                with torch.inference_mode():
                    said = read(x)
                for probe, classes in said.items():
                    hits = right.setdefault((probe, who), torch.zeros(len(kinds), dtype=torch.int64))
                    hits[number] += int((classes.cpu() == labels).sum())
            if progress is not None:
                done = start * len(kinds) + (number + 1) * min(step, len(indices) - start)
                progress(done / (len(indices) * len(kinds)))
        count += len(kept)
    if not count:
        raise ValueError("none of the images can be read")
    found: dict[str, dict[str, Any]] = {}
    for (probe, who), hits in right.items():
        found.setdefault(probe, {})[who] = _means((100 * hits.double() / count).tolist(), names)
    return found


def _seconds(
    readers: Mapping[str, Read],
    pictures: Tensor,
    names: tuple[str, ...],
    indices: np.ndarray,
    view: View,
    device: torch.device | str,
) -> float:
    """About how long these images take: each corruption tried in the middle one of its severities."""
    for name in names:
        corrupt(pictures[:1], name, SEVERITIES // 2, indices=indices[:1])  # whatever is compiled first is so here
    began = time.perf_counter()
    for name in names:
        x = _normalised(_in_threads(pictures, name, (SEVERITIES + 1) // 2, indices, 0), view).to(device)
        for read in readers.values():
            with torch.inference_mode():
                for said in read(x).values():
                    said.cpu()
    return SEVERITIES * (time.perf_counter() - began)


def _means(accuracy: list[float], names: tuple[str, ...]) -> dict[str, Any]:
    """Accuracies of clean images and of every severity of every corruption, in their order, with their means.

    "corrupted" is over those of the benchmark, "further" over the four others, None where there are none.
    """
    severities = np.array(accuracy[1:]).reshape(len(names), SEVERITIES)
    by_name = {
        name: {"mean": float(row.mean()), "severities": row.tolist()}
        for name, row in zip(names, severities, strict=True)
    }
    main = np.array([name not in FURTHER for name in names])
    return {
        "clean": accuracy[0],
        "corrupted": float(severities[main].mean()),
        "further": float(severities[~main].mean()) if not main.all() else None,
        "corruptions": by_name,
    }


def _in_threads(pictures: Tensor, name: str, severity: int, indices: np.ndarray, seed: int) -> Tensor:
    """The corrupted pictures; each is drawn by itself, so that it does not matter who does it."""
    workers = min(_THREADS, cores(), len(indices))
    parts = zip(pictures.tensor_split(workers), np.array_split(indices, workers), strict=True)
    with ThreadPoolExecutor(workers) as pool:
        return torch.cat(
            list(pool.map(lambda part: corrupt(part[0], name, severity, indices=part[1], seed=seed), parts))
        )


def _shown(source: Source, view: View, indices: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """The readable images as the view cuts them, uint8 [b, C, S, S], and their positions [b]."""
    images, kept = [], []
    for i in indices:
        try:
            images.append(source.image(int(i)))
        except Unreadable:
            continue
        kept.append(i)
    positions = np.array(kept, np.int64)
    sizes = np.array([image.shape[1:] for image in images], np.int64).reshape(-1, 2)
    records = sample(view, seed=0, epoch=0, view_index=0, indices=positions, sizes=sizes)
    out = torch.empty(len(images), view.channels, view.size, view.size, dtype=torch.uint8)
    return render_batch(images, records, view, out), positions


def _normalised(pictures: Tensor, view: View) -> Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (view.mean, view.std))
    return (pictures.float() / 255).sub_(mean).div_(std)
