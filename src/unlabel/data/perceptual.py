"""Pictures that look nearly alike, whatever their size, format and quality: found by a hash, made sure by small copies.

The hash: the signs of the lowest frequencies of the grey picture, shrunk to 32 x 32 by the mean over areas,

    c[u, v] = sum over x, y of g[y, x] cos(pi (2 y + 1) u / 64) cos(pi (2 x + 1) v / 64)      u, v = 0 .. 7
    bit 8 u + v = 1 where c[u, v] > STEP,    STEP = 64: waves below a quarter of a grey level count as none

(C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, has it with the median instead of
STEP). Re-encoding, scaling and small changes of lightness and contrast turn a few of the 64 bits, another picture half
of them. Two pictures are near duplicates if

    at most BITS bits differ,
    their grey copies of 16 x 16 pixels correlate by at least ALIKE, and
    their colours (Cb, Cr of 8 x 8 pixels) differ by at most TINT on the mean, or have the same direction (cosine of at
    least HUE), or one of them is grey.

Few pictures by chance agree in their signs, and fewer of these in their copies; copies that circulate are often tinted,
so colours may differ by much. Cropping by a twentieth, turning and mirroring make another picture.

Candidates: the hash is cut into 4 bands of 16 bits. Of at most 7 different bits one band has at most one, so only
pictures are compared that agree in a band but for one bit: 4 x 17 joins of sorted keys instead of all pairs.
"""

from collections.abc import Iterator

import numpy as np

from unlabel.data.groups import Together

BITS = 7
ALIKE = 0.85
TINT, HUE, GREY = 20.0, 0.5, 3.0
SIDE, COPY, TONES = 32, 16, 8
STEP = 64.0

_BANDS, _WIDTH = 4, 16
_AT_ONCE = 1 << 20  # pairs of hashes that are compared at once
_CHECKED = 1 << 15  # pairs of copies
_WAVE = np.cos(np.pi * np.arange(8)[:, None] * (2 * np.arange(SIDE) + 1) / (2 * SIDE))  # [8, 32]
_WAVES = np.kron(_WAVE, _WAVE)  # [64, 1024]: row 8 u + v is the product of wave u down and wave v across


def perceptual_hash(grey: np.ndarray) -> np.ndarray:
    """The hashes uint64 [n] of grey pictures uint8 [n, 32, 32]; bit k of the hash has the weight 2^k."""
    waves = grey.reshape(len(grey), SIDE * SIDE).astype(np.float64) @ _WAVES.T  # [n, 64]
    return np.packbits(waves > STEP, axis=1, bitorder="little").view("<u8")[:, 0].astype(np.uint64)


def small_copy(grey: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """What is kept of pictures for making sure, uint8 [n, 384]: grey copies of 16 x 16 pixels, Cb and Cr of 8 x 8.

    grey: uint8 [n, 32, 32];  colours: the same pictures as uint8 [n, 8, 8, 3], RGB. Cb and Cr as in JPEG, around 128.
    """
    blocks = grey.reshape(len(grey), COPY, SIDE // COPY, COPY, SIDE // COPY).mean((2, 4))
    red, green, blue = np.moveaxis(colours.astype(np.float64).reshape(len(colours), TONES * TONES, 3), 2, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    tones = [128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402]
    whole = np.concatenate([blocks.reshape(len(grey), COPY * COPY), *tones], axis=1)
    return whole.round().clip(0, 255).astype(np.uint8)


def near_duplicates(hashes: np.ndarray, copies: np.ndarray) -> list[np.ndarray]:
    """Groups of pictures of which each is a near duplicate of another one in its group.

    hashes: uint64 [n] as `perceptual_hash` makes them;  copies: uint8 [n, 384] as `small_copy` does.

    Returns ascending positions, a group each. Pictures of nearly one grey have no signs to speak of: leave them out.
    """
    together = Together(len(hashes))
    order = np.argsort(hashes, kind="stable")
    again = hashes[order[1:]] == hashes[order[:-1]]
    _join(together, copies, order[:-1][again], order[1:][again])
    once = order[np.concatenate([np.ones(min(1, len(order)), bool), ~again])]  # a picture of each hash
    for a, b in _candidates(hashes[once]):
        _join(together, copies, once[a], once[b])
    return together.groups()


def _join(together: Together, copies: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
    """Join those pairs whose copies are alike; what is together already is not looked at again."""
    for start in range(0, len(first), _CHECKED):
        a, b = first[start : start + _CHECKED], second[start : start + _CHECKED]
        apart = together.label[a] != together.label[b]
        a, b = a[apart], b[apart]
        alike = _alike(copies[a], copies[b])
        together.join(a[alike], b[alike])


def _alike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which pairs of copies, uint8 [p, 384] each, are of the same picture: bool [p]."""
    grey = (_unit(a[:, : COPY * COPY]) * _unit(b[:, : COPY * COPY])).sum(1) >= ALIKE
    x, y = (copies[:, COPY * COPY :].astype(np.float32) - 128 for copies in (a, b))
    lengths = np.maximum(np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1), 1e-6)
    tinted = (np.abs(x - y).mean(1) <= TINT) | ((x * y).sum(1) >= HUE * lengths)
    without = np.minimum(np.abs(x).mean(1), np.abs(y).mean(1)) <= GREY
    return grey & (tinted | without)


def _unit(copies: np.ndarray) -> np.ndarray:
    """Copies without their mean, as vectors of length 1 (0 where all pixels are the same)."""
    centred = copies - copies.mean(1, keepdims=True, dtype=np.float32)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)


def _candidates(hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of positions of different hashes with at most BITS different bits, some of them more than once."""
    flips = [0, *(1 << bit for bit in range(_WIDTH))]
    for band in range(_BANDS):
        keys = _band(hashes, band)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.searchsorted(keys, np.arange((1 << _WIDTH) + 1))
        for flip in flips:
            other = keys ^ flip
            low, high = starts[other], starts[other + 1]
            # each pair once: with those behind it that have its key, or with all that have a larger one
            low = np.arange(1, len(keys) + 1) if flip == 0 else low
            count = np.where(other >= keys, high - low, 0)
            for a, b in _crossed(low, count):
                a, b = order[a], order[b]
                near = np.bitwise_count(hashes[a] ^ hashes[b]) <= BITS
                yield a[near], b[near]


def _band(hashes: np.ndarray, band: int) -> np.ndarray:
    """Every fourth bit of the hashes, from bit `band` on: high and low frequencies in each; int64 [n]."""
    bits = np.unpackbits(hashes.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    own = np.packbits(bits[:, band::_BANDS], axis=1, bitorder="little")
    return own.astype(np.int64) @ np.array([1, 256])


def _crossed(low: np.ndarray, count: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs (i, low[i]), ..., (i, low[i] + count[i] - 1) for all i, some _AT_ONCE at a time."""
    ends = np.cumsum(count)
    i = 0
    while i < len(count) and ends[-1] > (done := int(ends[i - 1]) if i else 0):
        j = max(i + 1, int(np.searchsorted(ends, done + _AT_ONCE, side="right")))
        a = np.repeat(np.arange(i, j), count[i:j])
        yield a, low[a] + np.arange(len(a)) - (ends[a] - count[a] - done)
        i = j
