"""Where in an image the places of a view's feature map lie, and which places of two views are the same."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unlabel.views.sample import boxes


@dataclass(frozen=True)
class Bins:
    """The crop of each of B images cut into equal boxes, as many as its feature map has places, row by row.

    centres   [B, N, 2] (y, x) of their middles, in pixels of the image as it lies before any flip
    diagonal  [B] of one box, in pixels
    """

    centres: Tensor
    diagonal: Tensor


def bins(record: np.ndarray, grid: tuple[int, int]) -> Bins:
    """Where the places of a feature map of `grid` (rows, columns) lie, float64.

    record  RECORD [B] of the view that the map was made of

    Place (i, j) of the map is box (i, j) of the crop; of a flipped crop it is the box as far from the other side.
    Pixels of the image and not fractions of its sides, so that distances are those that one sees.
    """
    sides = np.stack([record["source_height"], record["source_width"]] * 2, axis=1)
    top, left, height, width = torch.from_numpy(boxes(record) * sides).T[..., None]  # [B, 1] each
    rows, columns = ((torch.arange(n, dtype=torch.float64) + 0.5) / n for n in grid)
    across = torch.where(torch.from_numpy(record["flip"])[:, None], 1 - columns, columns)  # [B, columns]
    y, x = top + height * rows, left + width * across
    shape = (len(record), *grid)
    centres = torch.stack((y[:, :, None].expand(shape), x[:, None, :].expand(shape)), dim=-1)
    return Bins(centres.flatten(1, 2), torch.hypot(height / grid[0], width / grid[1])[:, 0])


def same_places(first: Bins, second: Bins, *, distance: float = 0.7) -> Tensor:
    """Which places of two views of the same images are the same: bool [B, N, M].

    A_ij = 1 where the distance of both middles is at most `distance` diagonals of the larger box. A place of one view
    may have several in the other, or none.  Xie et al., arXiv 2011.10043, eq. 1.
    """
    # Without the matrix product, whose distances of near places are wrong in half of their digits.
    apart = torch.cdist(first.centres, second.centres, compute_mode="donot_use_mm_for_euclid_dist")
    return apart <= distance * torch.maximum(first.diagonal, second.diagonal)[:, None, None]
