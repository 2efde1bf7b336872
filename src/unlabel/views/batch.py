"""One batch as a method's loss receives it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass
class Batch:
    """The views of B images, with what was drawn to make them.

    views     per view a float32 tensor [B, C, S, S]; S may differ between views
    index     [B] int64, the images' positions in source 0
    records   per view an array of RECORD [B]: crop boxes, flips, colour factors (they stay on the host)
    masks     [B, N] bool, True = masked = to be predicted; None where the recipe has no mask
    tokens    [B, L] int64, ids of one caption of each image; None where the method does not read
    saliency  per view [B, S, S] in [0, 1], how much of each pixel is object; None where the recipe is not salient
    negative  [B, C, S, S], other objects on the backgrounds of the first views; None where the recipe has no such
    matched   [B] bool, the images that have such a hard negative
    """

    views: list[Tensor]
    index: Tensor
    records: list[np.ndarray]
    masks: Tensor | None = None
    tokens: Tensor | None = None
    saliency: list[Tensor] | None = None
    negative: Tensor | None = None
    matched: Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The same batch with its tensors on `device`."""
        return self._each(lambda x: x.to(device, non_blocking=non_blocking), self.records)

    def rows(self, part: slice) -> "Batch":
        """The images of `part`, without copying: a micro-batch, or one rank's share."""
        return self._each(lambda x: x[part], [record[part] for record in self.records])

    def copied(self) -> "Batch":
        """The same batch in memory of its own: what it was a part of may go."""
        return self._each(torch.clone, [record.copy() for record in self.records])

    def _each(self, change: Callable[[Tensor], Tensor], records: list[np.ndarray]) -> "Batch":
        """The same batch with every tensor changed alike."""

        def changed(x: Tensor | None) -> Tensor | None:
            return None if x is None else change(x)

        return Batch(
            views=[change(view) for view in self.views],
            index=change(self.index),
            records=records,
            masks=changed(self.masks),
            tokens=changed(self.tokens),
            saliency=None if self.saliency is None else [change(x) for x in self.saliency],
            negative=changed(self.negative),
            matched=changed(self.matched),
        )
