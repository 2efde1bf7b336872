"""Random words as a function of where they are asked for: Philox4x32-10, vectorised over records.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A block cipher of ten
rounds turns a 128-bit counter and a 64-bit key into four random 32-bit words, with no state in between: the
words of image i are the same in whatever batch, process or order they are drawn. NumPy's own Philox makes one
stream per generator object; a batch needs one stream per image, so the rounds are written out here.

    key      = seed                                           64 bits
    counter  = index | epoch | stream, view, block            64 | 32 | 4, 12, 16 bits
"""

import numpy as np

VIEWS, MASKS, ORDER, SHAPES, SHARED, CAPTIONS, BACKGROUNDS = range(7)
"""Streams, one for each thing that is drawn: records of views, masks, the order of pictures, the built-in shapes, boxes
that several views share, which caption of a picture, and what is put behind objects."""

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """counter [4, ...] of 32-bit values held in uint64, key two 32-bit values -> words [4, ...] likewise."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]  # 64-bit products of 32-bit values: exact
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _HALF) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack((c0, c1, c2, c3))


def words(count: int, *, seed: int, epoch: int, indices: np.ndarray, stream: int, view: int = 0) -> np.ndarray:
    """`count` random 32-bit words for every index: uint64 [B, count], a function of the arguments alone.

    seed     in [0, 2**64), the run's
    epoch    in [0, 2**32)
    indices  [B] integers, the images' positions in their source
    stream   in [0, 16), what the words are for
    view     in [0, 4096), which view of the image
    """
    blocks = -(-count // 4)
    assert 0 <= seed < 2**64 and 0 <= epoch < 2**32 and stream < 16 and view < 4096 and blocks <= 65536
    index = np.asarray(indices).astype(np.uint64)[:, None]
    last = np.arange(blocks, dtype=np.uint64) | np.uint64(stream << 28 | view << 16)
    shape = (len(index), blocks)
    counter = (
        np.broadcast_to(index & _LOW, shape),
        np.broadcast_to(index >> _HALF, shape),
        np.full(shape, epoch, np.uint64),
        np.broadcast_to(last, shape),
    )
    drawn = philox(np.stack(counter), (seed & 0xFFFFFFFF, seed >> 32))  # [4, B, blocks]
    return drawn.transpose(1, 2, 0).reshape(len(index), 4 * blocks)[:, :count]
