"""Masks of salient objects, cut and resized as the views they belong to."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from unlabel.views.batched import render_batch
from unlabel.views.recipe import View

_NEUTRAL = {"jitter": False, "brightness": 1, "contrast": 1, "saturation": 1, "hue": 0, "grey": False, "sigma": 0,
            "solarise": False}  # fmt: skip


def render_saliency(masks: Sequence[Tensor], records: np.ndarray, view: View) -> Tensor:
    """How much of each pixel of a view is object: float32 [B, S, S] in [0, 1].

    masks    B tensors [1, H, W] uint8 of the sizes of the images, 255 on the object and 0 elsewhere
    records  RECORD [B], what was drawn for the view: crop and flip are followed, colours are not
    """
    shape = replace(
        view, interpolation="bilinear", order=("crop", "flip"), jitter=None, grey=0.0, mean=(0.0,), std=(1.0,)
    )
    moved = records.copy()
    for name, value in _NEUTRAL.items():
        moved[name] = value
    return render_batch(masks, moved, shape)[:, 0].clamp_(0.0, 1.0)  # sums of weights may be a rounding above 1


def fitted(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """A mask [1, H, W] at another (height, width), by its nearest pixels."""
    if tuple(mask.shape[1:]) == size:
        return mask
    rows, columns = ((torch.arange(new) * old + old // 2) // new for new, old in zip(size, mask.shape[1:], strict=True))
    return mask[:, rows][:, :, columns]
