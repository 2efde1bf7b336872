"""Which classes does a classifier take for which?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

WHOLE = 100  # classes up to which all counts are kept
MOST = 30  # most confused pairs that are kept


def confusion(said: Int[np.ndarray, "m"], truth: Int[np.ndarray, "m"], classes: int = 0) -> dict[str, Any]:
    """How often each class was taken for each, as plain values for JSON.

    said     [m] int64 >= 0, what a classifier says
    truth    [m] int64 >= 0
    classes  there are at least so many, for classes that neither of both holds

    Returns {"images": m, "classes": C, "counts": [C][C] where C <= 100, else None, "pairs": `most_confused` where
    C > 100, else None}. counts[t][s] is how many images of class t were taken for s: the diagonal is what was right,
    a row adds up to the images of its class.
    """
    count = max(classes, *(int(part.max()) + 1 if len(part) else 0 for part in (said, truth)))
    keys, found = np.unique(truth.astype(np.int64) * count + said, return_counts=True)
    whole = count <= WHOLE
    counts = np.zeros(count * count if whole else 0, np.int64)
    if whole:
        counts[keys] = found
    return {
        "images": len(truth),
        "classes": count,
        "counts": counts.reshape(count, count).tolist() if whole else None,
        "pairs": None if whole else _first(keys // count, keys % count, found, np.bincount(truth, minlength=count)),
    }


def most_confused(counts: Sequence[Sequence[int]], most: int = MOST) -> list[dict[str, int]]:
    """The mistakes that were made most often, most frequent first.

    counts  [C][C], as `confusion` returns them

    Returns up to `most` of {"truth", "said": classes, "count": images of class `truth` taken for `said`, "of": images
    of class `truth`}; of equally many, the one with the larger share of its class first.
    """
    table = np.asarray(counts, np.int64)
    truth, said = np.nonzero(table)
    return _first(truth, said, table[truth, said], table.sum(1), most)


def _first(
    truth: np.ndarray, said: np.ndarray, count: np.ndarray, images: np.ndarray, most: int = MOST
) -> list[dict[str, int]]:
    wrong = truth != said
    truth, said, count = truth[wrong], said[wrong], count[wrong]
    order = np.lexsort((said, truth, images[truth], -count))[:most]
    return [
        {"truth": int(truth[i]), "said": int(said[i]), "count": int(count[i]), "of": int(images[truth[i]])}
        for i in order
    ]
