"""What a representation makes of objects and of backgrounds, for images whose salient objects are known.

The pointing game: asked for an object, does the network look at it? Query and key are an image and the same image with
its object alone; where the similarity of their vectors comes from (Grad-CAM) is highest, is there object?

Swapped backgrounds: how many queries are still recognised when their objects stand before the background of another?
The memory is as it was.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unlabel.data.backgrounds import Backgrounds
from unlabel.data.source import Source, Unreadable, digest
from unlabel.errors import Fault
from unlabel.evaluation.controls import SETTLED_ON, pixels, random_weights, settle
from unlabel.evaluation.features import Embed, extract_all
from unlabel.evaluation.kinds import Declared
from unlabel.evaluation.knn import knn_accuracy
from unlabel.evaluation.linear import linear_probe
from unlabel.evaluation.protocol import Protocol, balanced
from unlabel.nn.maps import similarity_map
from unlabel.views import Background, View, render_batch, render_saliency, sample
from unlabel.views.saliency import fitted

MEMORY, QUERIES = 5_000, 1_000  # images, at most
_BATCH = 64


def pointed(heat: Float[Tensor, "b h w"], masks: Float[Tensor, "b s s"]) -> Bool[Tensor, "b"]:
    """Whether the highest place of each map, resized to the masks, lies on the object.

    Zhang et al., Top-down Neural Attention by Excitation Backprop, ECCV 2016, arXiv 1608.00507.
    """
    large = F.interpolate(heat[:, None], size=masks.shape[1:], mode="bilinear")[:, 0]
    return masks.flatten(1).gather(1, large.flatten(1).argmax(dim=1)[:, None])[:, 0] > 0.5


def where_it_looks(network: nn.Module, x: Float[Tensor, "b c s s"], masks: Float[Tensor, "b s s"]) -> Tensor:
    """Grad-CAM [B, h, w] of the cosine between an image's vector and that of its object alone."""
    with torch.no_grad():
        key = network(x * masks[:, None])
    return similarity_map(network, x, key)


def pointing_game(
    networks: Mapping[str, nn.Module],
    source: Source,
    view: View,
    *,
    indices: np.ndarray,
    device: torch.device | str = "cpu",
) -> dict[str, Any] | None:
    """How often networks look at the object, in per cent.

    networks  by name, of convolutions, in evaluation mode on `device`

    Returns {each name, "centre": how often the middle of the image is object, "chance": how much of the images is,
    "images"}; None where no image shows an object. Images that cannot be read are left out, and so are networks whose
    maps are not finite.
    """
    hits: dict[str, list[Tensor]] = {name: [] for name in networks}
    shown: list[Tensor] = []
    lost: set[str] = set()
    for part in np.array_split(indices, max(1, -(-len(indices) // _BATCH))):
        x, masks = _rendered(source, view, part)
        x, masks = x.to(device), masks.to(device)
        if not len(x):
            continue
        shown.append(masks.cpu())
        for name, network in networks.items():
            heat = where_it_looks(network, x, masks)
            if not torch.isfinite(heat).all():
                lost.add(name)
            hits[name].append(pointed(heat, masks).cpu())
    if not shown:
        return None
    masks, middle = torch.cat(shown), view.size // 2
    found = {name: _per_cent(torch.cat(every)) for name, every in hits.items() if name not in lost}
    return found | {
        "centre": _per_cent(masks[:, middle, middle] > 0.5), "chance": _per_cent(masks), "images": len(masks),
    }  # fmt: skip


def _rendered(source: Source, view: View, indices: np.ndarray) -> tuple[Tensor, Tensor]:
    """The images that show an object, [b, C, S, S], and how much of each pixel is object, [b, S, S]."""
    images, masks, kept = [], [], []
    for i in indices:
        mask = source.mask(int(i))
        try:
            image = source.image(int(i))
        except Unreadable:
            continue
        if mask is not None:
            images.append(image)
            masks.append(fitted(mask, (image.shape[1], image.shape[2])))
            kept.append(i)
    sizes = np.array([image.shape[1:] for image in images], np.int64).reshape(-1, 2)
    records = sample(view, seed=0, epoch=0, view_index=0, indices=np.array(kept, np.int64), sizes=sizes)
    x, shown = render_batch(images, records, view), render_saliency(masks, records, view)
    there = shown.amax(dim=(1, 2)) > 0.5 if len(shown) else torch.zeros(0, dtype=torch.bool)
    return x[there], shown[there]


class Swapped(Source):
    """Another source's images, each before the background of another; those without a known object as they are."""

    def __init__(self, source: Source, seed: int = 0) -> None:
        super().__init__(source.name, source.labels, source.classes, source.factors, source.channels)
        self.source = source
        self.skipped = source.skipped
        self._behind = Backgrounds(Background(kind="random", share=1.0), source, seed=seed, epoch=0, views=1)

    def __len__(self) -> int:
        return len(self.source)

    def image(self, i: int) -> Tensor:
        """Picture i before another background."""
        image, mask = self.source.image(i), self.source.mask(i)
        if mask is None:
            return image
        (swapped,) = self._behind.view(0, np.array([i]), [image], [fitted(mask, (image.shape[1], image.shape[2]))])
        return swapped

    def path(self, i: int) -> str:
        """The name of picture i."""
        return self.source.path(i)

    def fingerprint(self) -> str:
        """Covers the source."""
        return digest(["swapped", self.source.fingerprint()])


def swapped_backgrounds(
    embeds: Mapping[str, Embed],
    memory: Source,
    queries: Source,
    view: View,
    *,
    remembered: np.ndarray,
    asked: np.ndarray,
    protocol: Protocol,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """kNN and linear accuracy, in per cent, on queries as they are and before other backgrounds.

    Returns {"knn" and "linear": {name: {"original", "swapped"}}, "images"}; without networks whose features are not
    finite.
    """
    known = extract_all(embeds, memory, view, indices=remembered, device=device)
    found: dict[str, Any] = {"knn": {}, "linear": {}}
    shown = {
        kind: extract_all(embeds, source, view, indices=asked, device=device)
        for kind, source in (("original", queries), ("swapped", Swapped(queries, protocol.seed)))
    }
    whole = [
        name
        for name in embeds
        if all(bool(torch.isfinite(part[name].vectors).all()) for part in (known, *shown.values()))
    ]
    for kind, vectors in shown.items():
        found["images"] = len(next(iter(vectors.values())))
        for name in whole:
            m, q = known[name], vectors[name]
            train, test = m.vectors, q.vectors
            score = linear_probe(train, m.labels, test, q.labels, l2=protocol.l2, seed=protocol.seed)
            found["linear"].setdefault(name, {})[kind] = score.top1
            if name == "pixels":
                train, test = train - train.mean(dim=0), test - train.mean(dim=0)
            accuracy = knn_accuracy(train, m.labels, test, q.labels, k=protocol.k, temperature=protocol.temperature)
            found["knn"].setdefault(name, {})[kind] = accuracy
    return found


def evaluate_objects(
    embed: Embed,
    network: nn.Module,
    memory: Source,
    queries: Source,
    *,
    view: View,
    untrained: Callable[[], nn.Module] | None,
    device: torch.device | str = "cpu",
    protocol: Protocol,
) -> dict[str, Any]:
    """Both measurements, of a run and of its controls, as plain values for JSON.

    embed, network  what is evaluated; the network whose maps are looked at, in evaluation mode on `device`
    memory, queries as for `evaluate`; queries know their objects
    untrained       makes the control, the same network with random weights; None leaves it out

    Returns {"pointing": see `pointing_game`, None for networks without maps, "swapped": see `swapped_backgrounds`, None
    without labels of two classes or queries of their own, "protocols": {"pointing", "swapped": of those measured}}.
    """
    networks = {"run": network}
    if untrained is not None:
        control = random_weights(untrained, protocol.seed).to(device)
        some = np.arange(len(memory))[balanced(memory.labels, SETTLED_ON, protocol.seed)]
        settle(control, memory, view, indices=some, device=device)
        networks["random"] = control
    candidates = balanced(queries.labels, 2 * QUERIES, protocol.seed)
    masked = np.array([i for i in candidates if _shows(queries.mask(int(i)))], np.int64)
    some = masked[balanced(queries.labels[masked], QUERIES, protocol.seed)]
    found: dict[str, Any] = {"pointing": None, "swapped": None, "protocols": {}}
    protocol = protocol.shown(view)
    with suppress(Fault):  # no convolutions, and so no maps
        found["pointing"] = pointing_game(networks, queries, view, indices=some, device=device)
    if found["pointing"] is not None:
        found["protocols"]["pointing"] = _pointing_declared(protocol, found["pointing"]["images"]).as_dict()
    known = np.flatnonzero(memory.labels >= 0)
    asked = some[queries.labels[some] >= 0]
    if memory is not queries and len(np.unique(memory.labels[known])) >= 2 and len(asked):
        remembered = known[balanced(memory.labels[known], MEMORY, protocol.seed)]
        embeds: dict[str, Embed] = {
            "run": embed,
            **{n: net for n, net in networks.items() if n != "run"},
            "pixels": pixels,
        }
        found["swapped"] = swapped_backgrounds(
            embeds, memory, queries, view, remembered=remembered, asked=asked, protocol=protocol, device=device
        )
        how = _swapped_declared(protocol, len(remembered), found["swapped"]["images"])
        found["protocols"]["swapped"] = how.as_dict()
    return found


def _pointing_declared(protocol: Protocol, images: int) -> Declared:
    return Declared(
        "pointing",
        {
            **protocol.seen(),
            "layer": "the last feature map, and the vector that is made of it",
            "images": images,
            "query": "the image",
            "key": "the image with its object alone, all else 0 after normalisation",
            "map": "Grad-CAM of the cosine of both vectors",
            "hit": "the highest place, the map resized (bilinear) to the mask, is object by more than a half",
            "chance": "share of object; beside it how often the middle is object",
            "seed": protocol.seed,
        },
    )


def _swapped_declared(protocol: Protocol, memory: int, images: int) -> Declared:
    return Declared(
        "swapped",
        {
            **protocol.seen(),
            "images": images,
            "memory": memory,
            "backgrounds": "of another query, drawn by the seed; the memory as it is",
            "k": protocol.k,
            "temperature": protocol.temperature,
            "linear": "as for the frozen features of this evaluation, fitted on this memory",
            "seed": protocol.seed,
        },
    )


def _shows(mask: Tensor | None) -> bool:
    return mask is not None and bool(mask.any())


def _per_cent(share: Tensor) -> float:
    return 100 * float(share.double().mean())
