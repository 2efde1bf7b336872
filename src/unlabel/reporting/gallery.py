"""What the map and the rows of neighbours are drawn from."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unlabel.reporting.embedding_map import Map, others
from unlabel.reporting.files import Embeddings, Sprite
from unlabel.reporting.pictures import jpeg_url

SHOWN = 8  # neighbours in a row, and of a point on the map
_QUERIES = 6
_SEED = 0


@dataclass(frozen=True)
class Item:
    """One image of a row: its picture, name, label in words; cosine and agreement where it is a neighbour."""

    url: str
    path: str
    label: str
    cosine: float | None = None
    agrees: bool | None = None


@dataclass(frozen=True)
class Row:
    """A query and its nearest images; note: what is to be said of it, if anything."""

    query: Item
    nearest: list[Item]
    note: str = ""


@dataclass(frozen=True)
class Near:
    """The nearest other images of every embedding: index and cosine [n, k], nearest first."""

    index: np.ndarray
    cosine: np.ndarray

    @classmethod
    def of(cls, embeddings: Embeddings, k: int = SHOWN) -> "Near":
        """The k nearest, fewer where there are fewer others."""
        index, distance = others(embeddings, np.arange(len(embeddings.vectors)), k)
        return cls(index, 1 - distance)


def label_names(labels: np.ndarray, classes: list[str] | None) -> list[str]:
    """The label of each row in words; "" where it is unknown."""
    names = classes or []
    return ["" if label < 0 else names[label] if label < len(names) else f"class {label}" for label in labels.tolist()]


def pictured(embeddings: Embeddings, sprite: Sprite) -> np.ndarray:
    """The embeddings whose thumbnail is there, ascending."""
    return np.flatnonzero(embeddings.tile < sprite.count)


def item(
    embeddings: Embeddings,
    sprite: Sprite,
    names: list[str],
    row: int,
    query: int | None = None,
    cosine: float | None = None,
) -> Item:
    """One image; as a neighbour of the image `query`, if there is one."""
    tile = int(embeddings.tile[row])
    url = jpeg_url(sprite.crop(tile)) if tile < sprite.count else ""
    known = query is not None and min(embeddings.labels[row], embeddings.labels[query]) >= 0
    agrees = bool(embeddings.labels[row] == embeddings.labels[query]) if known else None
    return Item(url, embeddings.paths[row], names[row], cosine, agrees)


def rows_of(
    embeddings: Embeddings,
    sprite: Sprite,
    names: list[str],
    near: Near,
    queries: Iterable[int],
    notes: Iterable[str] | None = None,
) -> list[Row]:
    """A row for each query; notes: one for each of them."""
    queries = [int(query) for query in queries]
    said = list(notes) if notes is not None else [""] * len(queries)
    return [
        Row(
            item(embeddings, sprite, names, query),
            [
                item(embeddings, sprite, names, int(j), query, float(cosine))
                for j, cosine in zip(near.index[query], near.cosine[query], strict=True)
            ],
            note,
        )
        for query, note in zip(queries, said, strict=True)
    ]


def gallery(embeddings: Embeddings, sprite: Sprite, names: list[str], near: Near) -> list[Row]:
    """A few queries, drawn at random with a fixed seed (one per class as far as they go), with their nearest images."""
    shown = pictured(embeddings, sprite)
    if len(shown) < 2:
        return []
    order = np.random.default_rng(_SEED).permutation(shown)
    labels = embeddings.labels[order]
    _, first = np.unique(labels, return_index=True)
    first = np.sort(first[labels[first] >= 0])
    chosen = np.concatenate([order[first], np.setdiff1d(order, order[first])])[:_QUERIES]
    return rows_of(embeddings, sprite, names, near, chosen)


def agreement(embeddings: Embeddings, near: Near) -> float | None:
    """How many per cent of the eight nearest images share the label, over all labelled images; None without labels."""
    if len(embeddings.labels) < 2 or (embeddings.labels < 0).any():
        return None
    return float((embeddings.labels[near.index] == embeddings.labels[:, None]).mean() * 100)


def map_data(found: Map, embeddings: Embeddings, sprite: Sprite | None, names: list[str], near: Near) -> dict[str, Any]:
    """What the page's script draws the map from.

    x, y, row: per point;  path, label, tile: per embedding;  nearest, cosine: per point, its neighbours' embeddings
    """
    known = sorted({(label, name) for label, name in zip(embeddings.labels.tolist(), names, strict=True) if label >= 0})
    position = {label: i for i, (label, _) in enumerate(known)}
    return {
        "x": found.points[:, 0].round(4),
        "y": found.points[:, 1].round(4),
        "row": found.rows,
        "nearest": near.index[found.rows],
        "cosine": near.cosine[found.rows].astype(np.float64).round(3),
        "path": embeddings.paths,
        "tile": embeddings.tile,
        "kind": [position.get(label, -1) for label in embeddings.labels.tolist()],
        "kinds": [name for _, name in known],
        "sprite": None if sprite is None else {"tile": sprite.tile, "columns": sprite.columns, "count": sprite.count},
    }
