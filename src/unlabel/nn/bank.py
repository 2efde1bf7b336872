"""A memory of one vector for each image of the training set, by its index."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Bank(nn.Module):
    """n rows [n, d], row i for image i: v_i <- unit(m v_i + (1 - m) f_i) when image i is seen with features f_i.

    Seeing and moving are two things, as in `Queue`: `see` notes while the loss is computed, `move` follows once per
    update. Rows start uniform in ±√(3 / d), so that their length is about 1.

    Wu et al., instance discrimination, arXiv 1805.01978. Rows of all ranks: `see` gathered ones with gathered indices.
    """

    rows: Tensor  # [n, d]

    def __init__(self, images: int, width: int, *, momentum: float = 0.5) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("rows", torch.empty(images, width).uniform_(-1, 1) * math.sqrt(3 / width))
        self.noted: list[tuple[Tensor, Tensor]] = []

    def __len__(self) -> int:
        return len(self.rows)

    @torch.no_grad()
    def see(self, index: Tensor, features: Tensor) -> None:
        """Note unit features [b, d] of the images index [b]."""
        self.noted.append((index, features.detach().to(self.rows.dtype)))

    @torch.no_grad()
    def move(self) -> None:
        """The rows of the images that were noted follow."""
        for index, features in self.noted:
            self.rows[index] = F.normalize(self.rows[index].lerp(features, 1 - self.momentum), dim=1)
        self.noted = []
