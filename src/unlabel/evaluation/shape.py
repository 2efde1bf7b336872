"""What the shape of embeddings and LiDAR are measured on, and the protocols that say so."""

import math
from typing import Any

from unlabel.diagnostics.lidar import DELTA
from unlabel.evaluation.kinds import Declared
from unlabel.evaluation.protocol import Protocol

PAIRS = 1_000  # images whose two views measure the alignment
MANY, VIEWS, MOST_VIEWS = 200, 8, 32  # images, and views of each, that measure LiDAR

_CROPS = "random crop of 40 to 100 % of the area, mirrored or not, drawn by the image alone"


def lidar_views(dimensions: int, images: int) -> int | None:
    """How many views of each of at most 200 images LiDAR takes: max(8, 1 + ceil(D / n)), None where that is beyond 32.

    So many make n (views - 1) >= D, without which the scatter within images has no rank to divide by; see
    `diagnostics.lidar`. The rule is ours: Thilak et al., ICLR 2024, arXiv 2312.04000, have tens of views of each of a
    thousand images. Numbers of different counts of views do not compare, since the noise of a mean falls with it.
    """
    views = max(VIEWS, 1 + math.ceil(dimensions / min(MANY, images)))
    return views if views <= MOST_VIEWS else None


def declared_shape(protocol: Protocol, images: int, pairs: int) -> Declared:
    """The protocol of all that describes a cloud of embeddings; `protocol` says what was shown."""
    return Declared(
        "shape",
        {
            **protocol.seen(),
            "images": images,
            "vectors": "of length one",
            "ranks": "of the singular values, the mean taken away",
            "uniformity": "t 2, of at most 2,000 of the images",
            "tolerance": "mean cosine over pairs of one class",
            "alignment": "squared distance, mean over the pairs",
            "pairs": pairs,
            "crops": _CROPS,
        },
    )


def declared_lidar(protocol: Protocol, images: int, views: int) -> Declared:
    """The protocol of LiDAR; `protocol` says what was shown."""
    stated: dict[str, Any] = {"images": images, "views": views, "vectors": "of length one", "delta": DELTA}
    return Declared("lidar", {**protocol.seen(), **stated, "crops": _CROPS})
