"""Memory for batches that is used again as soon as nobody looks at it any more.

Fresh memory is handed out page by page when it is first written, which costs as much as drawing small views does.
"""

import math
import threading
import weakref

import numpy as np
import torch
from torch import Tensor


class Buffers:
    """Tensors [B, C, H, W] in memory that was used before, where there is some of the same length.

    most: how many pieces are kept, of all lengths; tensors beyond that have memory of their own.

    A tensor may be kept as long as one likes: its memory comes back only when it and every view of it are gone.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        # Each piece with the array through which it was last handed out. That array is referred to by the storage of
        # its tensors and by nothing else: it is gone when they are. Counts of references are up to the interpreter.
        self._pieces: list[tuple[np.ndarray, weakref.ref[np.ndarray]]] = []
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, int, int, int], memory_format: torch.memory_format, dtype: torch.dtype) -> Tensor:
        """An uninitialised tensor."""
        flat = torch.from_numpy(self._piece(math.prod(shape) * dtype.itemsize)).view(dtype)
        batch, channels, height, width = shape
        if memory_format == torch.channels_last:
            return flat.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return flat.view(shape)

    def _piece(self, length: int) -> np.ndarray:
        """Bytes that nobody looks at, and that count as looked at as long as the array that is returned lives."""
        with self._lock:
            for place, (piece, handed) in enumerate(self._pieces):
                if len(piece) == length and handed() is None:
                    return self._hand_out(piece, place)
            fresh = np.empty(length, np.uint8)
            if len(self._pieces) == self.most:
                return fresh
            return self._hand_out(fresh, len(self._pieces))

    def _hand_out(self, piece: np.ndarray, place: int) -> np.ndarray:
        handed = piece.view()
        self._pieces[place : place + 1] = [(piece, weakref.ref(handed))]
        return handed
