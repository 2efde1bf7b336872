"""A first-in, first-out memory of vectors: the negatives of MoCo, the extra samples of SwAV."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Queue(nn.Module):
    """K rows [K, d]; new ones take the places of the oldest.

    Seeing and moving are two things: `see` notes rows while the loss is computed, `move` puts them in once per update.
    So no key is a negative of its own step, the loss of a batch does not depend on how often it is asked for, and
    accumulated batches go in together. Rows start as random unit vectors; `filled` says how many have been replaced.

    He et al., MoCo, arXiv 1911.05722. Rows of all ranks: `see` the gathered ones.
    """

    rows: Tensor  # [K, d]
    pushed: Tensor  # [] int64, how many rows ever went in

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.register_buffer("rows", F.normalize(torch.randn(length, width), dim=1))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))
        self.noted: list[Tensor] = []

    @property
    def filled(self) -> int:
        """How many of the K rows are real by now."""
        return min(int(self.pushed), len(self.rows))

    @torch.no_grad()
    def see(self, rows: Tensor) -> None:
        """Note rows [n, d] to go in at the next move."""
        self.noted.append(rows.detach().to(self.rows.dtype))

    @torch.no_grad()
    def move(self) -> None:
        """What was noted goes in, in order; of more than K rows the last K."""
        if not self.noted:
            return
        new = torch.cat(self.noted)
        self.noted = []
        places = (self.pushed + torch.arange(len(new), device=new.device)) % len(self.rows)
        self.rows[places[-len(self.rows) :]] = new[-len(self.rows) :]
        self.pushed += len(new)
