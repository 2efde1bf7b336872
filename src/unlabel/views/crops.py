"""The laws by which crops are drawn, as functions of uniforms: all images of a batch at once, and all attempts.

random       torchvision's RandomResizedCrop
contrastive  boxes of the same sides whose middle lies in a region of the image, at its edges rather than in its midst
             (Peng, Wang, Zhu, You, ContrastiveCrop, CVPR 2022, arXiv 2202.03278, section 3)
salient      boxes of the same sides whose middle is near an object, and which must show a share of it
             (Selvaraju, Desai, Johnson, Naik, CAST, CVPR 2021, arXiv 2012.04630, section 3.1)

Departures
    contrastive  places lie from where the middle is on the region's first edge to where it is on its last, both clipped
                 to the image. By this formula alpha = 1 and a region that is the whole image give the random crop: the
                 first place is 0 and the last the largest that fits, so no more mass lies at borders. The last place
                 is drawn as often as the others.
    salient      an image in which nothing stands out is all object, where the authors replace it by another image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unlabel.views.recipe import View

Box = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""(top, left, height, width), each int64 [B], in pixels of the images."""


def random_box(
    view: View,
    areas: np.ndarray,
    ratios: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    H: np.ndarray,
    W: np.ndarray,
    regions: np.ndarray | None = None,
) -> Box:
    """The rule of torchvision's RandomResizedCrop, and with `regions` that of ContrastiveCrop.

    areas, ratios  [B, n] uniforms of n attempts; the first whose box fits in the image counts. If none fits: the
                   largest central box whose ratio is within bounds
    row, column    [B] uniforms of the place
    H, W           [B] the images' sides
    regions        [B, 4] (top, left, bottom, right) as fractions of the sides: the box's middle lies in there, as far
                   as the box then stays in the image, at `suppressed` places. None: it lies anywhere, uniformly
    """
    heights, widths, fits = sides(view, areas, ratios, H, W)
    first = fits.argmax(axis=1)[:, None]
    height, width = (np.take_along_axis(side, first, axis=1)[:, 0] for side in (heights, widths))
    if regions is None:
        top, left = place(row, H - height + 1), place(column, W - width + 1)
    else:
        row, column = (suppressed(u, view.crop_alpha) for u in (row, column))
        top = _with_middle_in(row, regions[:, 0], regions[:, 2], H, height)
        left = _with_middle_in(column, regions[:, 1], regions[:, 3], W, width)

    (narrow, wide), shape = view.ratio, W / H
    h = np.where(shape < narrow, np.rint(W / narrow), H).astype(np.int64)
    w = np.where(shape > wide, np.rint(H * wide), W).astype(np.int64)
    found = fits.any(axis=1)
    return (
        np.where(found, top, (H - h) // 2),
        np.where(found, left, (W - w) // 2),
        np.where(found, height, h),
        np.where(found, width, w),
    )


def sides(
    view: View, areas: np.ndarray, ratios: np.ndarray, H: np.ndarray, W: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heights and widths [B, n] of the boxes of n attempts, and which of them fit in the image.

    An attempt draws a share of the area uniformly and an aspect ratio log-uniformly.
    """
    area = (H * W)[:, None] * between(areas, *view.scale)
    ratio = np.exp(between(ratios, *np.log(view.ratio)))
    width = np.rint(np.sqrt(area * ratio)).astype(np.int64)
    height = np.rint(np.sqrt(area / ratio)).astype(np.int64)
    return height, width, (width > 0) & (width <= W[:, None]) & (height > 0) & (height <= H[:, None])


def suppressed(u: np.ndarray, alpha: float) -> np.ndarray:
    """Uniforms as values of Beta(alpha, alpha), by its quantile function: below alpha = 1 rarely near 1/2.

    Their variance is 1 / (4 (2 alpha + 1)); alpha = 1 leaves them as they are.
    """
    from scipy.special import betaincinv  # a tenth of a second to import, and few crops need it

    return betaincinv(alpha, alpha, u)


def _with_middle_in(
    u: np.ndarray, low: np.ndarray, high: np.ndarray, extent: np.ndarray, side: np.ndarray
) -> np.ndarray:
    """Where boxes of `side` begin, whose middle is between the fractions `low` and `high` of `extent`."""
    room = np.maximum(extent - side, 0)
    first, last = (np.clip(np.floor(extent * edge).astype(np.int64) - side // 2, 0, room) for edge in (low, high))
    return first + np.minimum(place(u, last - first + 1), last - first)


@dataclass(frozen=True)
class Objects:
    """Where the salient object of each of B images is.

    masks   [H, W] bool each, true on the object
    area    [B] its pixels
    centre  [B, 2] (row, column) of its centre of mass
    extent  [B, 4] (top, left, bottom, right) of the smallest box around it
    """

    masks: Sequence[np.ndarray]
    area: np.ndarray
    centre: np.ndarray
    extent: np.ndarray

    @classmethod
    def of(cls, masks: Sequence[np.ndarray]) -> "Objects":
        """What the masks show. An image in which nothing stands out is all object."""
        masks = [mask if mask.any() else np.ones_like(mask) for mask in masks]
        rows, columns = ([mask.sum(axis=axis) for mask in masks] for axis in (1, 0))  # pixels in each of them
        area = np.array([along.sum() for along in rows])
        centre = [[(np.arange(len(along)) + 0.5) @ along for along in pair] for pair in zip(rows, columns, strict=True)]
        ends = [[np.flatnonzero(along)[[0, -1]] for along in pair] for pair in zip(rows, columns, strict=True)]
        extent = [(top, left, bottom + 1, right + 1) for (top, bottom), (left, right) in ends]
        return cls(masks, area, np.array(centre) / area[:, None], np.array(extent, np.int64))


def salient_box(
    view: View,
    areas: np.ndarray,
    ratios: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    reach: np.ndarray,
    H: np.ndarray,
    W: np.ndarray,
    objects: Objects,
) -> Box:
    """CAST's rule: the first attempt that fits in the image and shows enough of the object.

    areas, ratios, rows, columns  [B, n] uniforms of n attempts. The middle is drawn from a Gaussian at the object's
                                  centre of mass, as wide as the image, cut off where the box would leave it
    reach                         [B, 4] uniforms of the box that is taken if no attempt succeeds: around the whole
                                  object, with its top, left, bottom and right edges anywhere beyond it; where the ratio
                                  is out of bounds, drawn in as far as the object lets it

    Enough is min(`crop_cover`, least area of a crop / area of the object), as a share of the object.
    """
    height, width, fits = sides(view, areas, ratios, H, W)
    top = _with_middle_near(rows, objects.centre[:, 0], H, height)
    left = _with_middle_near(columns, objects.centre[:, 1], W, width)
    enough = np.minimum(view.crop_cover * objects.area, view.scale[0] * H * W)
    boxes = np.stack(_around(view, reach, H, W, objects.extent), axis=1)  # [B, 4]
    for i, mask in enumerate(objects.masks):
        for k in np.flatnonzero(fits[i]):
            y, x, h, w = top[i, k], left[i, k], height[i, k], width[i, k]
            if np.count_nonzero(mask[y : y + h, x : x + w]) >= enough[i]:
                boxes[i] = y, x, h, w
                break
    y, x, h, w = boxes.T
    return y, x, h, w


def _with_middle_near(u: np.ndarray, centre: np.ndarray, extent: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Where boxes of `side` [B, n] begin, whose middle is Gaussian around `centre` [B], inside of `extent` [B]."""
    from scipy.special import ndtr, ndtri

    centre, extent = centre[:, None], extent[:, None]
    low, high = side / 2, extent - side / 2
    least, most = (ndtr((edge - centre) / extent) for edge in (low, high))
    middle = centre + extent * ndtri(least + u * (most - least))
    return np.clip(np.floor(middle - low), 0, np.maximum(extent - side, 0)).astype(np.int64)


def _around(view: View, reach: np.ndarray, H: np.ndarray, W: np.ndarray, extent: np.ndarray) -> Box:
    """A box around the object that has `extent`, of a ratio as near to the bounds as possible."""
    above, before, below, after = extent.T
    top, left = place(reach[:, 0], above + 1), place(reach[:, 1], before + 1)
    height = below + place(reach[:, 2], H - below + 1) - top
    width = after + place(reach[:, 3], W - after + 1) - left
    narrow, wide = view.ratio
    width = np.minimum(width, np.maximum((height * wide).astype(np.int64), after - before))
    left = np.maximum(left, after - width)
    height = np.minimum(height, np.maximum((width / narrow).astype(np.int64), below - above))
    return np.maximum(top, below - height), left, height, width


def place(u: np.ndarray, count: int | np.ndarray) -> np.ndarray:
    """Uniform over 0 .. count - 1."""
    return np.floor(u * count).astype(np.int64)


def between(u: np.ndarray, low: float, high: float) -> np.ndarray:
    """Uniform in [low, high]."""
    return low + (high - low) * u
