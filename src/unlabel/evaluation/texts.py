"""What a network that reads knows of images it was not trained on, as part of an evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unlabel.data.source import Source
from unlabel.evaluation.features import Embed, extract
from unlabel.evaluation.image_text import class_vectors, retrieval, zero_shot
from unlabel.views import View

TEMPLATE = "a {}"


def evaluate_texts(
    images: Embed,
    texts: Callable[[list[str]], Tensor],
    queries: Source,
    *,
    view: View,
    indices: np.ndarray,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Naming the classes of images, and finding images by their captions and captions by their images.

    images, texts  [B, C, S, S] on `device` -> [B, D]; n sentences -> [n, D], on the host
    queries        images with labels, or captions, or both; `indices` [n] are those that are asked about

    Returns plain values for JSON, {"zeroshot": `ZeroShot` or None without labels, "retrieval": `Retrieval` or None
    without captions}.
    """
    found = extract(images, queries, view, indices=indices, device=device)
    result: dict[str, Any] = {"zeroshot": None, "retrieval": None}
    if not len(found):
        return result
    vectors, known = found.vectors, found.labels >= 0
    if queries.classes and known.any():
        prompts = texts([TEMPLATE.format(spoken(name)) for name in queries.classes])
        result["zeroshot"] = asdict(zero_shot(vectors[known], found.labels[known], class_vectors(prompts[:, None])))
    if queries.captioned:
        different, pairs = distinct(queries, found.index.tolist())
        result["retrieval"] = asdict(retrieval(vectors, texts(different), pairs))
    return result


def spoken(name: str) -> str:
    """The name of a class as it would be said."""
    return name.replace("_", " ")


def distinct(source: Source, images: Sequence[int]) -> tuple[list[str], Tensor]:
    """The different captions of some images, and [p, 2] which image (by its place among them) has which."""
    number: dict[str, int] = {}
    pairs = [
        (row, number.setdefault(text, len(number)))
        for row, i in enumerate(images)
        for text in dict.fromkeys(source.captions(i))
    ]
    return list(number), torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
