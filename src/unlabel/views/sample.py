"""Drawing what will be done to every image of a batch, without touching a pixel.

A record depends on (seed, epoch, index, view), the image's size and what is known of its content (a region of interest,
an object) only. Every record takes its uniforms from places of their own, so that changing one probability changes
nothing else.
"""

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from unlabel.views.crops import Objects, between, place, random_box, salient_box
from unlabel.views.philox import words
from unlabel.views.recipe import BOXED, RandomMask, Recipe, View

# Crop boxes are in source pixels for those of BOXED, and in pixels of the resized image for "pad"
# (where they may reach `pad` pixels beyond it) and "load"; `boxes` gives them all in one frame.
RECORD = np.dtype(
    [
        ("top", "i4"),
        ("left", "i4"),
        ("height", "i4"),
        ("width", "i4"),
        ("flip", "?"),
        ("jitter", "?"),
        ("order", "u1", (4,)),  # of brightness 0, contrast 1, saturation 2, hue 3
        ("brightness", "f4"),  # factors; 1, 1, 1 and 0 where nothing is jittered
        ("contrast", "f4"),
        ("saturation", "f4"),
        ("hue", "f4"),  # in turns of the colour circle
        ("grey", "?"),
        ("sigma", "f4"),  # of the blur in output pixels; 0 = none
        ("solarise", "?"),
        ("seed", "u8"),  # for a transform of the user's own
        ("source_height", "i4"),
        ("source_width", "i4"),
    ]
)

_VIEWS, _MASKS = 0, 1  # streams
_ATTEMPTS = 10
# Where each uniform of a record lies: areas, log ratios, then one each.
_AREA, _RATIO = slice(0, _ATTEMPTS), slice(_ATTEMPTS, 2 * _ATTEMPTS)
_ROW, _COLUMN, _FLIP, _JITTER, _ORDER, _FACTORS = 20, 21, 22, 23, 24, slice(25, 29)
_GREY, _BLUR, _SIGMA, _SOLARISE, _SEED_LOW, _SEED_HIGH, _WORDS = 29, 30, 31, 32, 33, 34, 35
# Of a "salient" crop also: middles of all attempts, and the edges of a box around the object.
_MIDDLE_ROW, _MIDDLE_COLUMN, _REACH, _SALIENT_WORDS = slice(35, 45), slice(45, 55), slice(55, 59), 59

_ORDERS = np.array(list(permutations(range(4))), np.uint8)  # [24, 4]


def sample(
    view: View,
    *,
    seed: int,
    epoch: int,
    view_index: int,
    indices: np.ndarray,
    sizes: np.ndarray,
    regions: np.ndarray | None = None,
    objects: Objects | None = None,
) -> np.ndarray:
    """Draw one view of B images.

    indices  [B] int, the images' positions in their source
    sizes    [B, 2] int, their (height, width)
    regions  [B, 4] (top, left, bottom, right) in fractions: where "contrastive" crops have their middle; None: not
             known yet, and the crops are "random_resized" unless the view has a region for all images
    objects  what "salient" crops look at
    returns  RECORD [B]
    """
    count = _SALIENT_WORDS if view.crop == "salient" else _WORDS
    word = words(count, seed=seed, epoch=epoch, indices=indices, stream=_VIEWS, view=view_index)  # [B, 35] or more
    u = word * 2.0**-32  # in [0, 1)
    size = np.asarray(sizes, np.int64).reshape(-1, 2)
    record = np.zeros(len(word), RECORD)
    record["source_height"], record["source_width"] = size.T
    record["seed"] = word[:, _SEED_LOW] | word[:, _SEED_HIGH] << np.uint64(32)

    for name, value in zip(("top", "left", "height", "width"), _crop(view, u, size, regions, objects), strict=True):
        record[name] = value
    record["flip"] = u[:, _FLIP] < _share(view, "flip", view.flip)
    record["grey"] = u[:, _GREY] < _share(view, "grey", view.grey)
    record["solarise"] = u[:, _SOLARISE] < _share(view, "solarise", view.solarise)
    blurred = u[:, _BLUR] < _share(view, "blur", view.blur)
    record["sigma"] = np.where(blurred, between(u[:, _SIGMA], *view.blur_sigma), 0.0)
    _jitter(view, u, record)
    return record


def _share(view: View, step: str, share: float) -> float:
    """How often a step happens: never where the view's order leaves it out."""
    return share if step in view.order else 0.0


def _crop(
    view: View, u: np.ndarray, size: np.ndarray, regions: np.ndarray | None, objects: Objects | None
) -> tuple[np.ndarray, ...]:
    """(top, left, height, width), each [B]."""
    H, W = size.T
    if view.crop == "salient":
        if objects is None:
            raise ValueError("a view with crop `salient` is drawn for images whose objects are known")
        middles = u[:, _MIDDLE_ROW], u[:, _MIDDLE_COLUMN]
        return salient_box(view, u[:, _AREA], u[:, _RATIO], *middles, u[:, _REACH], H, W, objects)
    if view.crop in ("random_resized", "contrastive"):
        if view.crop == "random_resized":
            regions = None
        elif view.crop_region is not None:
            regions = np.tile(view.crop_region, (len(u), 1))
        return random_box(view, u[:, _AREA], u[:, _RATIO], u[:, _ROW], u[:, _COLUMN], H, W, regions)
    if view.crop == "centre":
        side = np.minimum(H, W)
        return (H - side) // 2, (W - side) // 2, side, side
    side = np.full(len(u), view.size)
    if view.crop == "pad":
        places, first = 2 * view.pad + 1, -view.pad
    else:
        assert view.load_size is not None
        places, first = view.load_size - view.size + 1, 0
    return first + place(u[:, _ROW], places), first + place(u[:, _COLUMN], places), side, side


def _jitter(view: View, u: np.ndarray, record: np.ndarray) -> None:
    """Factors uniform in [max(0, 1 - strength), 1 + strength], the hue's shift in [-strength, strength]."""
    record["order"] = _ORDERS[place(u[:, _ORDER], len(_ORDERS))]
    strengths = view.jitter or (0.0, 0.0, 0.0, 0.0)
    on = u[:, _JITTER] < _share(view, "jitter", view.jitter_p if view.jitter else 0.0)
    record["jitter"] = on
    factor = u[:, _FACTORS]
    for i, name in enumerate(("brightness", "contrast", "saturation")):
        low, high = max(0.0, 1.0 - strengths[i]), 1.0 + strengths[i]
        record[name] = np.where(on, between(factor[:, i], low, high), 1.0)
    record["hue"] = np.where(on, between(factor[:, 3], -strengths[3], strengths[3]), 0.0)


def sample_all(
    recipe: Recipe,
    *,
    seed: int,
    epoch: int,
    indices: Sequence[np.ndarray],
    sizes: Sequence[np.ndarray],
    regions: np.ndarray | None = None,
    objects: Objects | None = None,
) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Draw everything of a recipe: RECORD [B] for each view, and bool [B, N] where it has a mask.

    indices, sizes    for each source, as `sample` takes them; the mask is that of the images of source 0
    regions, objects  of the images of source 0
    """
    records = [
        sample(
            view,
            seed=seed,
            epoch=epoch,
            view_index=k,
            indices=indices[view.source],
            sizes=sizes[view.source],
            regions=regions,
            objects=objects,
        )
        for k, view in enumerate(recipe.views)
    ]
    mask = recipe.mask
    return records, None if mask is None else sample_masks(mask, seed=seed, epoch=epoch, indices=indices[0])


def boxes(record: np.ndarray, view: View) -> np.ndarray:
    """The crop boxes in one frame for every kind of crop: float64 [B, 4] of (top, left, height, width).

    They are fractions of the image's sides, as the image lies before any flip; those of "pad" may leave [0, 1].
    """
    if view.crop in BOXED:
        H, W = record["source_height"], record["source_width"]
    else:
        H = W = np.full(len(record), view.load_size if view.crop == "load" else view.size)
    return np.stack((record["top"] / H, record["left"] / W, record["height"] / H, record["width"] / W), axis=1)


def least_sizes(record: np.ndarray, view: View) -> np.ndarray:
    """(height, width) that images must have at least, so that no box is shown coarser than it is: int [B, 2]."""
    size = np.stack((record["source_height"], record["source_width"]), axis=1)
    if view.crop in BOXED:
        box = np.stack((record["height"], record["width"]), axis=1)
        return np.minimum(-(-view.size * size // box), size)
    frame = view.size if view.crop == "pad" else view.load_size
    return np.minimum(np.full_like(size, frame), size)


def rescaled(record: np.ndarray, view: View, sizes: np.ndarray) -> np.ndarray:
    """The same boxes in images decoded at other `sizes` [B, 2] (height, width), to the nearest pixel."""
    new = record.copy()
    for k, (side, start, length) in enumerate((("height", "top", "height"), ("width", "left", "width"))):
        old, extent = record[f"source_{side}"].astype(np.int64), sizes[:, k]
        new[f"source_{side}"] = extent
        if view.crop in BOXED:
            first, last = (np.rint(edge * extent / old).astype(np.int64) for edge in
                           (record[start], record[start] + record[length]))  # fmt: skip
            first = np.minimum(first, extent - 1)
            new[start], new[length] = first, np.maximum(last - first, 1)
    return new


def sample_masks(mask: RandomMask, *, seed: int, epoch: int, indices: np.ndarray) -> np.ndarray:
    """Draw the masks of B images: bool [B, N], row-major over the grid, True = masked, `mask.masked` in each row.

    Every cell gets a random word; the cells with the smallest are masked (all subsets are equally likely). The
    cell's number in the lowest bits keeps two equal words apart.
    """
    word = words(mask.cells, seed=seed, epoch=epoch, indices=indices, stream=_MASKS)  # [B, N]
    key = word << np.uint64(20) | np.arange(mask.cells, dtype=np.uint64)
    return key < np.partition(key, mask.masked, axis=1)[:, mask.masked, None]
