"""Other backgrounds behind the objects of images: which ones is drawn, then pixels are put together.

Ryali, Schwab, Morcos, arXiv 2103.12719: BG_RM ("remove"), BG_Random ("random"), BG_Swaps ("swap"). A background is that
of another image, whose own object is covered as in the Backgrounds Challenge (Xiao et al., arXiv 2006.09994): the
smallest box around it is filled with the largest strip beside that box, repeated.

Departures
    Masks come from whoever gives them, by default from GrabCut, where the paper has DeepUSPS's.
    The image whose background is taken is any of the data set, where the paper's is one of the batch: what is drawn
    then depends on seed, epoch and image alone.
    The share of images that get another background, 0.2, is a choice; the paper's values are not confirmed.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from unlabel.views.crops import place
from unlabel.views.philox import BACKGROUNDS, words
from unlabel.views.recipe import Background

DRAWN = np.dtype(
    [
        ("on", "?"),  # whether the image gets another background
        ("grey", "u1"),  # its level, where the background is removed
        ("behind", "i8"),  # the position of the image whose background it gets
        ("before", "i8"),  # the position of the image whose object is seen
    ]
)

_COIN, _GREY, _FIRST, _SECOND, _WORDS = range(5)


def sample_backgrounds(
    background: Background, *, seed: int, epoch: int, view_index: int, indices: np.ndarray, images: int, views: int
) -> np.ndarray:
    """Draw what is put behind the objects of B images in one view: DRAWN [B].

    indices  [B] the images' positions in their source
    images   n, how many there are; "random" needs two of them and "swap" three, with fewer nothing is done
    views    how many views an image has; the view of that number is the hard negative
    """
    index = np.asarray(indices, np.int64)

    def drawn(view: int) -> np.ndarray:
        return words(_WORDS, seed=seed, epoch=epoch, indices=index, stream=BACKGROUNDS, view=view) * 2.0**-32

    u = drawn(view_index)
    record = np.zeros(len(index), DRAWN)
    record["before"] = record["behind"] = index
    record["grey"] = place(u[:, _GREY], 256)
    if background.kind == "swap":
        if images < 3:
            return record
        shared = drawn(0)
        record["on"] = shared[:, _COIN] < background.share
        first = 1 + place(shared[:, _FIRST], images - 1)  # how far on the first view's background is
        second = 1 + place(u[:, _SECOND], images - 2)
        second += second >= first
        if view_index in (0, views):
            record["behind"] = (index + first) % images
        else:
            record["behind"] = (index + second) % images
        if view_index == views:
            record["before"] = (index + second) % images
        return record
    record["on"] = u[:, _COIN] < background.share
    if background.kind == "random":
        if images < 2:
            record["on"] = False
            return record
        record["behind"] = (index + 1 + place(u[:, _FIRST], images - 1)) % images
    return record


def composed(image: Tensor, mask: Tensor, behind: Tensor) -> Tensor:
    """M x + (1 - M) b, of uint8 images x and b [C, H, W] and M = mask / 255 [1, H, W]; exact where M is 0 or 1."""
    m = mask.to(torch.int32)
    return ((m * image + (255 - m) * behind + 127) // 255).to(torch.uint8)


def bare(image: Tensor, mask: Tensor) -> Tensor | None:
    """The background of an image [C, H, W] without its object; None where the object leaves nothing beside it."""
    height, width = image.shape[1:]
    rows, columns = mask[0].any(dim=1).nonzero()[:, 0], mask[0].any(dim=0).nonzero()[:, 0]
    if not len(rows):
        return image
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    strips = (image[:, :top], image[:, bottom:], image[:, :, :left], image[:, :, right:])
    strip = max(strips, key=Tensor.numel)
    if not strip.numel():
        return None
    down, across = torch.arange(height) % strip.shape[1], torch.arange(width) % strip.shape[2]
    filled = image.clone()
    filled[:, top:bottom, left:right] = strip[:, down[top:bottom]][:, :, across[left:right]]
    return filled


def stretched(image: Tensor, size: tuple[int, int]) -> Tensor:
    """A uint8 image [C, H, W] at another (height, width)."""
    if tuple(image.shape[1:]) == size:
        return image
    return F.interpolate(image.contiguous()[None], size, mode="bilinear", antialias=True)[0]
