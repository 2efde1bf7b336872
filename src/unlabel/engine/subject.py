"""What an evaluation is of, weights and images: numbers of the same subject and protocol need not be taken again."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unlabel.engine.sources import Sources
from unlabel.errors import command
from unlabel.evaluation.shape import MANY, MOST_VIEWS, lidar_views
from unlabel.methods import Method

_WORDS = {"clustering": "clustering", "robustness": "corrupted images", "objects": "objects"}
_WHO = {"random": "random weights", "pixels": "raw pixels"}


def subject_of(method: Method, sources: Sources) -> dict[str, str]:
    """Fingerprints of all weights of a method, and of the images that are remembered and asked about."""
    return {
        "weights": fingerprint(method.state_dict()),
        "memory": sources.memory.fingerprint(),
        "queries": sources.queries.fingerprint(),
    }


def fingerprint(tensors: Mapping[str, Any]) -> str:
    """Changes with any name, shape, type or bit of the tensors; whatever else is among them does not count."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        if isinstance(tensor, Tensor):
            found.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def whose(method: Method) -> str:
    """Whose weights are evaluated, in words: the teacher's or the student's, where there are both."""
    followed = method.followed()
    if followed is None:
        return "the network's, which has no teacher"
    return "the teacher's" if method.kept is followed[0] else "the student's"


def remarks(result: Mapping[str, Any], earlier: Mapping[str, Any], run: Path) -> list[str]:
    """What a reader should know: what an evaluation has or lacks of an `earlier` one, and which controls it lacks."""
    said = [
        f"{_WHO[who]}: {count:,} embeddings of this control are not finite numbers, so that it is left out"
        for who, count in result["controls_non_finite"].items()
    ]
    if result.get("std") is not None and lidar_views(result["dimensions"], result["images"]) is None:
        said.append(
            f"LiDAR: embeddings of {result['dimensions']:,} dimensions need more than {MOST_VIEWS} views of each of "
            f"{min(MANY, result['images'])} images, so that it is left out"
        )
    if result["kept"]:
        words = " and ".join(_WORDS[name] for name in result["kept"])
        said.append(f"{words}: as measured before, of the same weights and images by the same protocol")
    gone = [words for name, words in _WORDS.items() if earlier.get(name) and not result.get(name)]
    if gone:
        said.append(
            f"{' and '.join(gone)} had been measured of other weights or images, or by another protocol, and are left "
            f"out: `{command('evaluate', run, '--all')}` measures them"
        )
    return said
