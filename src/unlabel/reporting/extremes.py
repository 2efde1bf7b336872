"""The images whose neighbours are best and worst: where the representation does well, and where it fails."""

from dataclasses import dataclass

import numpy as np

from unlabel.reporting.charts import Table
from unlabel.reporting.files import Embeddings, Sprite
from unlabel.reporting.gallery import Near, Row, pictured, rows_of

NEAREST = 5  # whose mean cosine says how lonely an image is
_ROWS = 4  # of the best, and of the worst
_LISTED = 15


@dataclass(frozen=True)
class Extremes:
    """Rows of the best and of the worst queries with a sentence each on what that means, and their numbers."""

    best_said: str
    best: list[Row]
    worst_said: str
    worst: list[Row]
    table: Table


def extremes(embeddings: Embeddings, sprite: Sprite, names: list[str], near: Near) -> Extremes | None:
    """The queries with the best and the worst neighbours; None where there are too few images to tell these apart.

    Where every image has a label: by the share of the eight nearest that have the query's own; of equal shares those
    with the larger mean cosine to these first, so that the worst are the surest mistakes. Without labels: by the mean
    cosine to the nearest five, the closest images and the loneliest ones.
    """
    shown = pictured(embeddings, sprite)
    if len(shown) < 2 * _ROWS or near.index.shape[1] < NEAREST:
        return None
    labelled = bool((embeddings.labels >= 0).all())
    if labelled:
        k = near.index.shape[1]
        score = (embeddings.labels[near.index] == embeddings.labels[:, None]).sum(axis=1)
        cosine = near.cosine.mean(axis=1)
        down = shown[np.lexsort((-cosine[shown], -score[shown]))]
        up = shown[np.lexsort((-cosine[shown], score[shown]))]
        notes = [f"{n} of {k} nearest are of its class" for n in score.tolist()]
        said = [
            f"The most of their own class among the nearest {k}; of equal shares, the larger cosines first.",
            f"The fewest of their own class among the nearest {k}; of equal shares, those that the network finds "
            "most alike first. A hard class, a wrong label, or something else that these images have in common.",
        ]
        head = ["class", f"of its class, of {k}", "mean cosine"]
        cells = [[names[i], str(score[i]), f"{cosine[i]:.3f}"] for i in range(len(names))]
    else:
        cosine = closeness(near)
        down, up = (shown[np.argsort(sign * cosine[shown], kind="stable")] for sign in (-1, 1))
        notes = [f"mean cosine to the nearest {NEAREST}: {value:.3f}" for value in cosine.tolist()]
        said = [
            f"The closest images: the largest mean cosine to the nearest {NEAREST}.",
            f"The loneliest images: the smallest mean cosine to the nearest {NEAREST}. Rare things, or broken ones.",
        ]
        head = [f"mean cosine to the nearest {NEAREST}"]
        cells = [[f"{value:.3f}"] for value in cosine.tolist()]
    down, up = down[:_LISTED], up[:_LISTED]
    best, worst = (
        rows_of(embeddings, sprite, names, near, order[:_ROWS], [notes[i] for i in order[:_ROWS]])
        for order in (down, up)
    )
    listed = [
        [embeddings.paths[i], f"{words} {place}", *cells[i]]
        for words, order in (("best", down), ("worst", up))
        for place, i in enumerate(order, 1)
    ]
    table = Table("Best and worst neighbours", ["image", "place", *head], listed)
    return Extremes(said[0], best, said[1], worst, table)


def closeness(near: Near) -> np.ndarray:
    """The mean cosine [n] of each image to its nearest five: the smaller, the lonelier."""
    return np.asarray(near.cosine[:, :NEAREST].astype(np.float64).mean(axis=1))
