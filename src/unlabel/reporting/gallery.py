"""What the map and the neighbour gallery are drawn from."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from unlabel.reporting.embedding_map import Map, others
from unlabel.reporting.files import Embeddings, Sprite
from unlabel.reporting.pictures import jpeg_url

_QUERIES, _SHOWN, _ON_MAP = 6, 8, 8
_SEED = 0


@dataclass(frozen=True)
class Item:
    """One image of the gallery: its picture, name, label in words; distance and agreement where it is a neighbour."""

    url: str
    path: str
    label: str
    distance: float | None = None
    agrees: bool | None = None


@dataclass(frozen=True)
class Row:
    """A query and its nearest images."""

    query: Item
    nearest: list[Item]


def label_names(labels: np.ndarray, classes: list[str] | None) -> list[str]:
    """The label of each row in words; "" where it is unknown."""
    names = classes or []
    return ["" if label < 0 else names[label] if label < len(names) else f"class {label}" for label in labels.tolist()]


def gallery(embeddings: Embeddings, sprite: Sprite, names: list[str]) -> list[Row]:
    """A few queries, drawn at random with a fixed seed (one per class as far as they go), with their nearest images."""
    shown = np.flatnonzero(embeddings.tile < sprite.count)
    if len(shown) < 2:
        return []
    order = np.random.default_rng(_SEED).permutation(shown)
    labels = embeddings.labels[order]
    _, first = np.unique(labels, return_index=True)
    first = np.sort(first[labels[first] >= 0])
    chosen = np.concatenate([order[first], np.setdiff1d(order, order[first])])[:_QUERIES]
    nearest, distances = others(embeddings, chosen, _SHOWN)

    def item(row: int, query: int | None = None, distance: float | None = None) -> Item:
        tile = int(embeddings.tile[row])
        url = jpeg_url(sprite.crop(tile)) if tile < sprite.count else ""
        known = query is not None and min(embeddings.labels[row], embeddings.labels[query]) >= 0
        agrees = bool(embeddings.labels[row] == embeddings.labels[query]) if known else None
        return Item(url, embeddings.paths[row], names[row], distance, agrees)

    return [
        Row(item(query), [item(int(j), int(query), float(d)) for j, d in zip(nearest[i], distances[i], strict=True)])
        for i, query in enumerate(chosen)
    ]


def agreement(embeddings: Embeddings) -> float | None:
    """How many per cent of the eight nearest images share the label, over all labelled images; None without labels."""
    rows = np.flatnonzero(embeddings.labels >= 0)
    if len(rows) < 2 or len(rows) < len(embeddings.labels):
        return None
    nearest, _ = others(embeddings, rows, _SHOWN)
    return float((embeddings.labels[nearest] == embeddings.labels[rows, None]).mean() * 100)


def map_data(found: Map, embeddings: Embeddings, sprite: Sprite | None, names: list[str]) -> dict[str, Any]:
    """What the page's script draws the map from.

    x, y, row: per point;  path, label, tile: per embedding;  nearest, distance: per point, its neighbours' embeddings
    """
    nearest, distances = others(embeddings, found.rows, _ON_MAP)
    known = sorted({(label, name) for label, name in zip(embeddings.labels.tolist(), names, strict=True) if label >= 0})
    position = {label: i for i, (label, _) in enumerate(known)}
    return {
        "x": found.points[:, 0].round(4),
        "y": found.points[:, 1].round(4),
        "row": found.rows,
        "nearest": nearest,
        "distance": distances.astype(np.float64).round(3),
        "path": embeddings.paths,
        "tile": embeddings.tile,
        "kind": [position.get(label, -1) for label in embeddings.labels.tolist()],
        "kinds": [name for _, name in known],
        "sprite": None if sprite is None else {"tile": sprite.tile, "columns": sprite.columns, "count": sprite.count},
    }
