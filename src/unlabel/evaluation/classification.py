"""How often classifiers are right, all on the same images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from unlabel.data.source import Source
from unlabel.errors import Fault
from unlabel.evaluation.features import Embed, extract_all
from unlabel.evaluation.linear import top
from unlabel.evaluation.protocol import balanced
from unlabel.views import View


@dataclass(frozen=True)
class Scores:
    """scores: classifier -> {"top1", "top5"} in per cent, without top5 below six classes; queries, skipped: images."""

    scores: dict[str, dict[str, float]]
    queries: int
    skipped: int


def classification(
    classifiers: Mapping[str, Embed],
    source: Source,
    *,
    view: View,
    limit: int,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> Scores:
    """Ask several classifiers about the same labelled images.

    classifiers  images [B, C, S, S] on `device` -> logits [B, K], in evaluation mode
    source       the images; those without a label are left out
    view         the deterministic view of all
    limit        at most so many images, as many of each class as there are; `seed` is of their choice

    Fault: no labelled image can be read.
    """
    labelled = np.flatnonzero(source.labels >= 0)
    asked = labelled[balanced(source.labels[labelled], limit, seed)]
    found = extract_all(classifiers, source, view, indices=asked, device=device, progress=progress)
    scores = {}
    for who, said in found.items():
        if not len(said):
            raise Fault(f"{source.name}: none of the labelled images that evaluation looked at can be read")
        scores[who] = {f"top{k}": top(said.vectors, said.labels, k) for k in (1, 5) if said.vectors.shape[1] > k}
    return Scores(scores, len(said), len(said.skipped))
