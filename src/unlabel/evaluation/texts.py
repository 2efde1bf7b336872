"""What a network that reads knows of images it was not trained on, as part of an evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unlabel.data.source import Source
from unlabel.evaluation.features import Embed, extract
from unlabel.evaluation.image_text import Retrieval, ZeroShot, class_vectors, retrieval, zero_shot
from unlabel.evaluation.kinds import Declared
from unlabel.evaluation.protocol import Protocol
from unlabel.views import View

TEMPLATE = "a {}"


def evaluate_texts(
    images: Embed,
    texts: Callable[[list[str]], Tensor],
    queries: Source,
    *,
    view: View,
    indices: np.ndarray,
    protocol: Protocol,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Naming the classes of images, and finding images by their captions and captions by their images.

    images, texts  [B, C, S, S] on `device` -> [B, D]; n sentences -> [n, D], on the host
    queries        images with labels, or captions, or both; `indices` [n] are those that are asked about
    protocol       says what the network is shown

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
        named = zero_shot(vectors[known], found.labels[known], class_vectors(prompts[:, None]))
        result["zeroshot"] = asdict(named_by(named, protocol.shown(view), [TEMPLATE]))
    if queries.captioned:
        different, pairs = distinct(queries, found.index.tolist())
        result["retrieval"] = asdict(searched_by(retrieval(vectors, texts(different), pairs), protocol.shown(view)))
    return result


def named_by(found: ZeroShot, protocol: Protocol, templates: Sequence[str]) -> ZeroShot:
    """The same with how it was measured."""
    stated = {
        **_seen(protocol),
        "images": found.images,
        "classes": found.classes,
        "templates": list(templates),
        "similarity": "cosine with each class's mean vector of all templates, on the sphere",
        "ties": "a class as near as the true one counts as nearer",
        "chance": "one class of all, each as likely",
    }
    return replace(found, protocol=Declared("zeroshot", stated).as_dict())


def searched_by(found: Retrieval, protocol: Protocol) -> Retrieval:
    """The same with how it was measured."""
    stated = {
        **_seen(protocol),
        "images": found.text_to_image.candidates,
        "texts": found.text_to_image.queries,
        "recall@k": "whether one at least of what belongs to a query is among the k nearest",
        "similarity": "cosine; equal captions are one text",
        "ties": "what does not belong comes first",
        "chance": "mean over all orders",
    }
    return replace(found, protocol=Declared("captions", stated).as_dict())


def _seen(protocol: Protocol) -> dict[str, str]:
    own = {"weights": "those of both towers", "layer": "the vectors of both towers that the loss compares"}
    return protocol.seen() | own


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
