"""One batch as a method's loss receives it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass
class Batch:
    """The views of B images, with what was drawn to make them.

    views    per view a float32 tensor [B, C, S, S]; S may differ between views
    index    [B] int64, the images' positions in source 0
    records  per view an array of RECORD [B]: crop boxes, flips, colour factors (they stay on the host)
    masks    [B, N] bool, True = masked = to be predicted; None where the recipe has no mask
    tokens   [B, L] int64, ids of one caption of each image; None where the method does not read
    """

    views: list[Tensor]
    index: Tensor
    records: list[np.ndarray]
    masks: Tensor | None = None
    tokens: Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The same batch with its tensors on `device`."""
        return Batch(
            views=[view.to(device, non_blocking=non_blocking) for view in self.views],
            index=self.index.to(device, non_blocking=non_blocking),
            records=self.records,
            masks=None if self.masks is None else self.masks.to(device, non_blocking=non_blocking),
            tokens=None if self.tokens is None else self.tokens.to(device, non_blocking=non_blocking),
        )

    def rows(self, part: slice) -> "Batch":
        """The images of `part`, without copying: a micro-batch, or one rank's share."""
        return Batch(
            views=[view[part] for view in self.views],
            index=self.index[part],
            records=[record[part] for record in self.records],
            masks=None if self.masks is None else self.masks[part],
            tokens=None if self.tokens is None else self.tokens[part],
        )
