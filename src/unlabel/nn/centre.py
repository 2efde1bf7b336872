"""The running mean of a teacher's outputs, subtracted from them so that no output wins everywhere."""

import torch
from torch import Tensor, nn


class Centre(nn.Module):
    """c ← m c + (1 − m) · mean over the batch; forward: t − c.

    Seeing and moving are two things: `see` notes a batch's mean while the loss is computed, `move` follows
    once per update with the mean of what was seen. So the loss of a batch does not depend on how often it is
    asked for, and gradients that are accumulated over several batches move the centre once.

    Caron et al., DINO, arXiv 2104.14294, eq. 4.
    """

    value: Tensor  # [K]
    seen: Tensor  # [K] sum of the means noted since the last move

    def __init__(self, width: int, *, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.batches = 0
        self.register_buffer("value", torch.zeros(width))
        self.register_buffer("seen", torch.zeros(width), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        """[..., K] -> [..., K], centred."""
        return t - self.value

    @torch.no_grad()
    def see(self, mean: Tensor) -> None:
        """Note the mean [K] of one batch (of all ranks)."""
        self.seen += mean
        self.batches += 1

    @torch.no_grad()
    def move(self) -> None:
        """Follow what was seen since the last move; stay where nothing was."""
        if self.batches:
            self.value.lerp_(self.seen / self.batches, 1 - self.momentum)
        self.seen.zero_()
        self.batches = 0
