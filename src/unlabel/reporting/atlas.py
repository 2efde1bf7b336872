"""Embeddings as a table for an interactive viewer: where each image lies, what it shows, who is near."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from unlabel.reporting.embedding_map import embedding_map, others
from unlabel.reporting.files import Embeddings, read_run
from unlabel.reporting.gallery import label_names

NEAREST = 10
MOST = 20_000
"""Rows: the map of more would take longer than a person waits."""


def stored_atlas(run: Path) -> pa.Table | None:
    """The table of what an evaluation left in a run folder; None where that holds no embeddings with pictures."""
    found = read_run(run)
    embeddings, sprite = found.embeddings, found.sprite
    if embeddings is None or sprite is None or len(embeddings.vectors) < 3:
        return None
    pictures = [sprite.crop(int(i)) if i < sprite.count else None for i in embeddings.tile]
    return atlas_table(embeddings, pictures, found.classes())


def atlas_table(embeddings: Embeddings, pictures: Sequence[Image.Image | None], classes: list[str] | None) -> pa.Table:
    """One row for each embedding, at least three of them.

    pictures  [n] thumbnails, None where there is none
    classes   names of the labels 0, 1, ..., where they are known

    Columns: x, y on the report's map (same method, same seed);  image, its bytes;  path;  label in words, where any is
    known;  neighbors, the ten nearest rows with their cosine distances;  nearest, the distance to the first;
    density, their mean cosine, low for what stands alone;  agree, the share of the ten that have the row's label, where
    all labels are known.
    """
    found = embedding_map(embeddings, most=len(embeddings.vectors))
    assert found is not None
    near, distance = others(embeddings, found.rows, NEAREST)
    columns = {
        "x": found.points[:, 0],
        "y": found.points[:, 1],
        "image": [picture and {"bytes": _encoded(picture), "path": None} for picture in pictures],
        "path": [path.encode("utf-8", "replace").decode() for path in embeddings.paths],
        "neighbors": [
            {"ids": ids, "distances": far} for ids, far in zip(near.tolist(), distance.tolist(), strict=True)
        ],
        "nearest": distance[:, 0],
        "density": 1 - distance.mean(1),
    }
    known = embeddings.labels >= 0
    if known.any():
        columns["label"] = label_names(embeddings.labels, classes)
    if known.all():
        columns["agree"] = (embeddings.labels[near] == embeddings.labels[:, None]).mean(1)
    return pa.table(columns)


def atlas_charts(table: pa.Table) -> dict[str, Any]:
    """What the viewer shows first, in its own words: the map coloured by label, the images, counts and histograms.

    No column is called its text: it would write the commonest words of file names over the map, and not pictures.
    """
    names = set(table.column_names)
    label = {"category": "label"} if "label" in names else {}
    data = {"x": "x", "y": "y", "image": "image", "neighbors": "neighbors", "importance": "density"}
    charts: list[dict[str, Any]] = [
        {"type": "embedding", "title": "Map", "data": data | label},
        {"type": "instances", "title": "Images"},
    ]
    if label:
        charts.append({"type": "count-plot", "title": "label", "data": {"field": "label"}})
    charts += [_histogram(name) for name in ("agree", "density", "nearest") if name in names]
    charts.append({"type": "predicates", "title": "SQL predicates"})
    return {str(i + 1): chart for i, chart in enumerate(charts)}


def _histogram(name: str) -> dict[str, Any]:
    bars = {"mark": "bar", "encoding": {"x": {"field": name}, "y": {"aggregate": "count"}}}
    layers = [bars | {"style": {"fillColor": "$markColorFade"}}, bars | {"filter": "$filter"}]
    return {"title": name, "layers": layers, "selection": {"brush": {"encoding": "x"}}}


def _encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG" if max(picture.size) <= 64 else "JPEG", quality=90)
    return buffer.getvalue()
