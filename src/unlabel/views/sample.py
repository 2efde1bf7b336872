"""Drawing what will be done to every image of a batch, without touching a pixel.

A record depends on (seed, epoch, index, view), the image's size and what is known of its content (a region of interest,
an object) only. Every uniform of a record has a place of its own whatever its view needs, so that changing one
probability, or adding operations, changes nothing else.
"""

from collections.abc import Sequence
from functools import partial
from itertools import permutations

import numpy as np

from unlabel.views.crops import Box, Objects, between, place, random_box, salient_box
from unlabel.views.philox import MASKS, SHARED, VIEWS, words
from unlabel.views.recipe import MOST, RandomMask, Recipe, View
from unlabel.views.strong import LEVELS, OPERATIONS

# Crop boxes are in pixels of a frame: the image itself where `View.boxed`, the resized image for "pad" (where they may
# reach `pad` pixels beyond it) and "load"; `boxes` gives them all as fractions.
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
        ("operations", "u1", (MOST,)),  # strong ones in order, by their numbers in `OPERATIONS`
        ("levels", "i1", (MOST,)),
        ("seed", "u8"),  # for a transform of the user's own
        ("source_height", "i4"),
        ("source_width", "i4"),
        ("frame_height", "i4"),
        ("frame_width", "i4"),
    ]
)

_ATTEMPTS = 10
# Where each uniform of a record lies: areas, log ratios, then one each. A "pad" crop has no areas, and uses the first.
_AREA, _RATIO, _MOVED = slice(0, _ATTEMPTS), slice(_ATTEMPTS, 2 * _ATTEMPTS), 0
_ROW, _COLUMN, _FLIP, _JITTER, _ORDER, _FACTORS = 20, 21, 22, 23, 24, slice(25, 29)
_GREY, _BLUR, _SIGMA, _SOLARISE, _SEED_LOW, _SEED_HIGH, _OPERATIONS = 29, 30, 31, 32, 33, 34, 35
# Of a "salient" crop also: middles of all attempts, and the edges of a box around the object.
_END = _OPERATIONS + MOST
_MIDDLE_ROW, _MIDDLE_COLUMN = slice(_END, _END + _ATTEMPTS), slice(_END + _ATTEMPTS, _END + 2 * _ATTEMPTS)
_REACH, _SALIENT_WORDS = slice(_END + 2 * _ATTEMPTS, _END + 2 * _ATTEMPTS + 4), _END + 2 * _ATTEMPTS + 4
_OF_A_BOX = 22  # words: areas, log ratios, row and column

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
    drawn = partial(words, seed=seed, epoch=epoch, indices=indices)
    count = _SALIENT_WORDS if view.crop == "salient" else _OPERATIONS + view.strong
    word = drawn(count, stream=VIEWS, view=view_index)  # [B, 35 and more]
    u = word * 2.0**-32  # in [0, 1)
    size = np.asarray(sizes, np.int64).reshape(-1, 2)
    record = np.zeros(len(word), RECORD)
    record["source_height"], record["source_width"] = size.T
    record["frame_height"], record["frame_width"] = _frame(view, size).T
    record["seed"] = word[:, _SEED_LOW] | word[:, _SEED_HIGH] << np.uint64(32)

    if view.crop == "cell":  # the words of the box know no view: it is the same for all cells of an image
        shared = drawn(_OF_A_BOX, stream=SHARED) * 2.0**-32  # [B, 22]
        box = _cell(view, u, shared, size)
    else:
        box = _crop(view, u, size, regions, objects)
    for name, value in zip(("top", "left", "height", "width"), box, strict=True):
        record[name] = value
    turned = u if view.flip_of is None else drawn(_FLIP + 1, stream=VIEWS, view=view.flip_of) * 2.0**-32
    record["flip"] = turned[:, _FLIP] < _share(view, "flip", view.flip)
    record["grey"] = u[:, _GREY] < _share(view, "grey", view.grey)
    record["solarise"] = u[:, _SOLARISE] < _share(view, "solarise", view.solarise)
    blurred = u[:, _BLUR] < _share(view, "blur", view.blur)
    record["sigma"] = np.where(blurred, between(u[:, _SIGMA], *view.blur_sigma), 0.0)
    _jitter(view, u, record)
    _operations(view, u, record)
    return record


def _share(view: View, step: str, share: float) -> float:
    """How often a step happens: never where the view's order leaves it out."""
    return share if step in view.order else 0.0


def _frame(view: View, size: np.ndarray) -> np.ndarray:
    """(height, width) [B, 2] of what the box is cut from."""
    if view.boxed:
        return size
    return np.full_like(size, view.load_size if view.crop == "load" else view.size)


def _crop(view: View, u: np.ndarray, size: np.ndarray, regions: np.ndarray | None, objects: Objects | None) -> Box:
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
        return _anywhere(view, u, size, regions)
    if view.crop == "centre":
        side = np.minimum(H, W)
        return (H - side) // 2, (W - side) // 2, side, side
    side = np.full(len(u), view.size)
    if view.crop == "pad":
        moved = u[:, _MOVED] < view.pad_p
        top, left = (place(u[:, which], 2 * view.pad + 1) - view.pad for which in (_ROW, _COLUMN))
        return np.where(moved, top, 0), np.where(moved, left, 0), side, side
    assert view.load_size is not None
    places = view.load_size - view.size + 1
    return place(u[:, _ROW], places), place(u[:, _COLUMN], places), side, side


def _cell(view: View, u: np.ndarray, shared: np.ndarray, size: np.ndarray) -> Box:
    """A part of one cell of the box that `shared` draws."""
    top, left, height, width = _anywhere(view, shared, size)
    row, column = divmod(view.cell, view.grid[1])
    y, height = _part(height, row, view.grid[0], view.cell_share, u[:, _ROW])
    x, width = _part(width, column, view.grid[1], view.cell_share, u[:, _COLUMN])
    return top + y, left + x, height, width


def _anywhere(view: View, u: np.ndarray, size: np.ndarray, regions: np.ndarray | None = None) -> Box:
    """A random box of the image, or of its region."""
    return random_box(view, u[:, _AREA], u[:, _RATIO], u[:, _ROW], u[:, _COLUMN], size[:, 0], size[:, 1], regions)


def _part(side: np.ndarray, k: int, cells: int, share: float, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where `share` of the k-th of `cells` equal parts of a side begins, at a place drawn by u, and how long it is.

    Whole pixels, at least one; parts overlap only where a side has fewer pixels than cells.
    """
    first = k * side // cells
    whole = np.maximum((k + 1) * side // cells - first, 1)
    length = np.maximum(np.rint(share * whole).astype(np.int64), 1)
    return first + place(u, whole - length + 1), length


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


def _operations(view: View, u: np.ndarray, record: np.ndarray) -> None:
    """Strong operations with replacement, each taken half the time, at a level of 1 to 9 of either sign."""
    u = u[:, _OPERATIONS : _OPERATIONS + view.strong]  # one uniform for each
    cell = place(u, 2 * 2 * LEVELS * len(OPERATIONS))  # [B, strong]
    cell, taken = np.divmod(cell, 2)
    cell, negative = np.divmod(cell, 2)
    operation, level = np.divmod(cell, LEVELS)
    record["operations"][:, : view.strong] = operation * taken
    record["levels"][:, : view.strong] = (1 + level) * (1 - 2 * negative)


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


def boxes(record: np.ndarray) -> np.ndarray:
    """The crop boxes in one frame for every kind of crop: float64 [B, 4] of (top, left, height, width).

    They are fractions of the image's sides, as the image lies before any flip; those of "pad" may leave [0, 1].
    """
    H, W = record["frame_height"], record["frame_width"]
    return np.stack((record["top"] / H, record["left"] / W, record["height"] / H, record["width"] / W), axis=1)


def least_sizes(record: np.ndarray, view: View) -> np.ndarray:
    """(height, width) that images must have at least, so that no box is shown coarser than it is: int [B, 2]."""
    size = np.stack((record["source_height"], record["source_width"]), axis=1)
    if view.boxed:
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
        if view.boxed:
            first, last = (np.rint(edge * extent / old).astype(np.int64) for edge in
                           (record[start], record[start] + record[length]))  # fmt: skip
            first = np.minimum(first, extent - 1)
            new[start], new[length] = first, np.maximum(last - first, 1)
            new[f"frame_{side}"] = extent
    return new


def sample_masks(mask: RandomMask, *, seed: int, epoch: int, indices: np.ndarray) -> np.ndarray:
    """Draw the masks of B images: bool [B, N], row-major over the grid, True = masked, `mask.masked` in each row.

    Every cell gets a random word; the cells with the smallest are masked (all subsets are equally likely). The
    cell's number in the lowest bits keeps two equal words apart.
    """
    word = words(mask.cells, seed=seed, epoch=epoch, indices=indices, stream=MASKS)  # [B, N]
    key = word << np.uint64(20) | np.arange(mask.cells, dtype=np.uint64)
    return key < np.partition(key, mask.masked, axis=1)[:, mask.masked, None]
