"""What the loss compared, beside the representation that is kept: the same images after the projector."""

from collections.abc import Callable

import torch
from torch import Tensor

_ROWS = 256  # representations that go through a projector at once


def projected(project: Callable[[Tensor], Tensor], h: Tensor, device: torch.device | str) -> Tensor | None:
    """Embeddings [n, d] of representations h [n, D], on the host.

    project  [b, D] on `device` -> [b, d], in evaluation mode

    None where they are the representations themselves, or where one is not finite.
    """
    with torch.inference_mode():
        z = torch.cat([project(part.to(device)).float().cpu() for part in h.split(_ROWS)])
    same = z.shape == h.shape and torch.equal(z, h)
    return None if same or not torch.isfinite(z).all() else z
