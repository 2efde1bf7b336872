"""What the tests of methods that compare places share: a backbone with a map, and views with their crops."""

import numpy as np
import torch
from torch import Tensor, nn

from unlabel.views import RECORD, Batch, View, sample


class Mapping(nn.Module):
    """One convolution with batch norm, then a map of 4 x 4 places: the least that such a method can host."""

    num_features = 6

    def __init__(self, side: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(side))

    def forward_features(self, x: Tensor) -> Tensor:
        return self.layers(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).mean(dim=(2, 3))


def batch(b: int = 5, size: int = 8) -> Batch:
    """Two views of noise, float64, with crops as they are drawn for images of 40 x 60."""
    views = [torch.randn(b, 3, size, size, dtype=torch.float64) for _ in range(2)]
    records = [
        sample(View(size=size, scale=(0.3, 1.0)), seed=0, epoch=0, view_index=k, indices=np.arange(b),
               sizes=np.tile((40, 60), (b, 1)))
        for k in range(2)
    ]  # fmt: skip
    return Batch(views=views, index=torch.arange(b), records=records)


def whole(b: int = 5, *, left: int = 0, flip: bool = False) -> np.ndarray:
    """Records of b crops as large as their square images, `left` pixels beside them."""
    record = np.zeros(b, RECORD)
    for name in ("source_height", "source_width", "frame_height", "frame_width", "height", "width"):
        record[name] = 40
    record["left"], record["flip"] = left, flip
    return record
