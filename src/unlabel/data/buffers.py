"""Memory for batches that is used again as soon as nobody looks at it any more.

Fresh memory is handed out page by page when it is first written, which costs as much as drawing small views does.
"""

import math
import sys
import threading

import numpy as np
import torch
from torch import Tensor

_UNUSED = 3  # references to a piece of memory that no tensor has: the list's, the loop's and the question's own


class Buffers:
    """Tensors [B, C, H, W] in memory that was used before, where there is some of the same length.

    most: how many pieces are kept, of all lengths; tensors beyond that have memory of their own.

    A tensor may be kept as long as one likes: its memory comes back only when it and every view of it are gone.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._pieces: list[np.ndarray] = []
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, int, int, int], memory_format: torch.memory_format, dtype: torch.dtype) -> Tensor:
        """An uninitialised tensor."""
        flat = torch.from_numpy(self._piece(math.prod(shape) * dtype.itemsize)).view(dtype)
        batch, channels, height, width = shape
        if memory_format == torch.channels_last:
            return flat.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return flat.view(shape)

    def _piece(self, length: int) -> np.ndarray:
        """Bytes that nobody looks at; a tensor made of them counts as a reference to them."""
        with self._lock:
            for piece in self._pieces:
                if len(piece) == length and sys.getrefcount(piece) == _UNUSED:
                    return piece
            fresh = np.empty(length, np.uint8)
            if len(self._pieces) < self.most:
                self._pieces.append(fresh)
            return fresh
