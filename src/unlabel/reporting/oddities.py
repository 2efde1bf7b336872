"""What a look at the embedded images finds in the data: the same picture twice, and pictures unlike all others."""

from dataclasses import dataclass

import numpy as np
import torch

from unlabel.data.findings import FLAT
from unlabel.data.perceptual import near_duplicates, perceptual_hash, shrunk, small_copy
from unlabel.evaluation.alike import alike
from unlabel.reporting.charts import Table
from unlabel.reporting.embedding_map import unit
from unlabel.reporting.extremes import NEAREST, closeness
from unlabel.reporting.files import Embeddings, Sprite
from unlabel.reporting.gallery import Item, Near, Row, item, pictured, rows_of

DISTANCE = 0.01  # cosine distance of centred embeddings up to which two images may be the same, as in a scan
FENCE = 3.0  # interquartile ranges above the upper quartile, beyond which an image is an outlier
_FEW = 20  # images below which quartiles say nothing
_GROUPS, _OUTLIERS, _LISTED = 12, 6, 200


@dataclass(frozen=True)
class Oddities:
    """looked: how many images; groups of the same picture and rows of outliers, the first of them, with tables of all
    (as far as they are listed); so_many: how many there are; beyond: the distance that makes an outlier, None for too
    few images."""

    looked: int
    groups: list[list[Item]]
    so_many_groups: int
    group_table: Table | None
    outliers: list[Row]
    so_many_outliers: int
    outlier_table: Table | None
    beyond: float | None


def oddities(embeddings: Embeddings, sprite: Sprite, names: list[str], near: Near) -> Oddities:
    """Duplicates and outliers among the images whose thumbnail is there."""
    shown = pictured(embeddings, sprite)
    groups = duplicates(embeddings, sprite)
    z = unit(embeddings.vectors)
    whole = [
        [
            item(embeddings, sprite, names, i, first, None if i == first else float(z[i] @ z[first]))
            for i in (first, *rest)
        ]
        for first, *rest in groups[:_GROUPS]
    ]
    lines = [
        [embeddings.paths[i], embeddings.paths[first], f"{z[i] @ z[first]:.4f}"]
        for first, *rest in groups
        for i in rest
    ]
    out, beyond = outliers(near)
    out = out[np.isin(out, shown)]
    mean = closeness(near)
    notes = [f"mean cosine {mean[i]:.3f}" for i in out[:_OUTLIERS]]
    far = [[embeddings.paths[i], f"{mean[i]:.3f}"] for i in out[:_LISTED]]
    return Oddities(
        looked=len(shown),
        groups=whole,
        so_many_groups=len(groups),
        group_table=Table("The same picture", ["image", "as", "cosine"], lines[:_LISTED]) if lines else None,
        outliers=rows_of(embeddings, sprite, names, near, out[:_OUTLIERS], notes),
        so_many_outliers=len(out),
        outlier_table=Table("Outliers", ["image", f"mean cosine to the nearest {NEAREST}"], far) if far else None,
        beyond=beyond,
    )


def duplicates(embeddings: Embeddings, sprite: Sprite) -> list[list[int]]:
    """Groups of images that are the same to the eye and to the network, as ascending positions.

    To the eye: `near_duplicates` of the thumbnails, but for those of nearly one grey. To the network: within a cosine
    distance of 0.01 of the first of the group, the mean of all embeddings, each of length one, taken away (`alike`).
    """
    shown = pictured(embeddings, sprite)
    tiles = [sprite.crop(int(embeddings.tile[i])) for i in shown]
    grey = [tile.convert("L") for tile in tiles]
    textured = [i for i, one in enumerate(grey) if np.asarray(one, np.float64).std() >= FLAT]
    if len(textured) < 2:
        return []
    small, tones = map(np.stack, zip(*(shrunk(tiles[i], grey[i]) for i in textured), strict=True))
    rows, vectors = shown[textured], torch.from_numpy(unit(embeddings.vectors))
    found = []
    for group in near_duplicates(perceptual_hash(small), small_copy(small, tones)):
        here = rows[group]
        found += [here[near].tolist() for near in alike(vectors[here], DISTANCE, vectors.mean(0))]
    return sorted(found)


def outliers(near: Near) -> tuple[np.ndarray, float | None]:
    """The images that lie farther from their nearest five than nearly all others, farthest first, and how far that is.

    An image is an outlier if its mean cosine distance to the nearest five is above q3 + 3 (q3 - q1), q1 and q3 being
    the quartiles of that over all images. The distance is that of Angiulli and Pizzuti, Fast outlier detection in high
    dimensional spaces, PKDD 2002; the fence is the outer one of Tukey, Exploratory Data Analysis, 1977. None where
    there are fewer than 20 images.
    """
    if len(near.index) < _FEW:
        return np.empty(0, np.int64), None
    distance = 1 - closeness(near)
    q1, q3 = np.quantile(distance, (0.25, 0.75))
    beyond = float(q3 + FENCE * (q3 - q1))
    # Where most images are the same to the network, rounding errors are no distance.
    far = np.flatnonzero(distance > beyond + 1e-5)
    return far[np.argsort(-distance[far], kind="stable")], beyond
