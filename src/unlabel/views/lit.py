"""Pictures of views in which some of their places stand out."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from unlabel.views.recipe import View
from unlabel.views.rgb import as_rgb

_GAP = 2  # pixels between pictures


def lit(columns: Sequence[tuple[Tensor, Tensor]], view: View) -> Tensor:
    """One row for each image, one column for each pair: a place of weight 1 is seen as it is, one of 0 in the dark.

    columns  rendered images [B, C, S, S], and the weights [B, rows, columns] of their places, in [0, 1]
    view     how the images were rendered: their mean and std

    Returns uint8 [3, H, W].
    """
    shown = []
    for x, weight in columns:
        mean, std = (x.new_tensor(values).view(-1, 1, 1) for values in (view.mean, view.std))
        light = F.interpolate(weight[:, None].to(x.dtype), x.shape[-2:], mode="nearest")
        picture = as_rgb(x * std + mean).clamp(0, 1) * (0.25 + 0.75 * light)
        shown.append(F.pad(picture, (_GAP, 0, _GAP, 0), value=1.0))  # [B, 3, S + gap, S + gap]
    rows = torch.cat(shown, dim=3)
    return (torch.cat(list(rows), dim=1) * 255).round().to(torch.uint8).cpu()
