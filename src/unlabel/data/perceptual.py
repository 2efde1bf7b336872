"""Pictures that look nearly alike, whatever their size, format and quality: found by a hash, made sure by small copies.

The hash: the signs of the lowest frequencies of the grey picture, shrunk to 32 x 32 by the mean over areas,

    c[u, v] = sum over x, y of g[y, x] cos(pi (2 y + 1) u / 64) cos(pi (2 x + 1) v / 64)      u, v = 0 .. 7
    bit 8 u + v = 1 where c[u, v] > STEP,    STEP = 64: waves below a quarter of a grey level count as none

(C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, has it with the median instead of
STEP). Re-encoding, scaling and small changes of lightness and contrast turn a few of the 64 bits, another picture half
of them. Two pictures are near duplicates if at most BITS bits differ, their colours agree, and

    their grey copies of 16 x 16 pixels correlate by at least ALIKE, and the details of these (what they have beyond the
    mean of 3 x 3 pixels around) by at least DETAIL; or
    one is nearly the other one cropped: laid on each other (`aligned`) the copies of 32 x 32 pixels correlate by at
    least LAID, and the details of their halves by at least LAID_DETAIL.

Details tell simple drawings apart, which agree in what is large: ground and place. Laid on each other is what was cut
off at the sides, up to CUT of the width or height, and not what was moved: nothing may come in at one side that goes
out at another (by more than SLACK). Turned and mirrored pictures are others.

Colours agree if Cb and Cr of 8 x 8 pixels vary together, by a correlation of at least TONE or but for differences of
NOISE (root of the mean square). Where those of one picture hardly vary, they must differ by at most TINT on the mean or
have the same direction (cosine of at least HUE), or be grey. Copies that circulate are often tinted, so a colour over
all may differ by much.

Measured with 200 to 500 changed copies planted beside their pictures, in per cent found, and how many pictures too many
are found among pictures as they are; in brackets by a correlation of 0.85 of grey copies at 7 different bits alone:

                          encoded,    lighter,   cut off at the sides    found among pictures
                          scaled      darker     3 %        5 %          as they are
    CIFAR-10, 32 px       100 (100)   100 (100)  69 (45)    30 (15)      22 (27) of 10,000; all 22 are copies
    Tiny ImageNet, 64 px  100 (100)   99 (98)    78 (75)    59 (42)      0 (0) of 4,000
    seasons, 144 px       100 (100)   100 (99)   96 (91)    75 (58)      18 (18) of 900
    facades, 128 px       100 (100)   100 (99)   73 (53)    42 (24)      0 (4) of 400
    drawn shapes, 32 px   100 (99)    100 (99)   60 (39)    35 (22)      6 (302) of 4,000
    drawn shapes, 96 px   100 (100)   100 (99)   92 (78)    69 (47)      0 (62) of 1,500

(JPEG at quality 30, half, double, other proportions; 0.7 to 1.25 times as light, flatter, with a gamma of 0.75, grey.)
In all 60,000 of CIFAR-10 there are 500 groups, and 167 test images have their like in the training split; of 80 groups
that were looked at all were copies. `tests/data/test_planted.py` plants copies in pictures of its own and
holds that. A tenth cut off makes another picture.

Candidates: the hash is cut into 5 bands of 12 or 13 bits. Of at most 9 different bits one band has at most one, so only
pictures are compared that agree in a band but for one bit: 5 x 14 joins of sorted keys instead of all pairs.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from unlabel.data.aligned import aligned, correlation, halved, laid, place_of, soft
from unlabel.data.groups import Together

BITS = 9
ALIKE, DETAIL = 0.9, 0.85
LAID, LAID_DETAIL = 0.95, 0.92
CUT, SLACK = 0.1, 0.02
TONE, NOISE, TINT, HUE, GREY = 0.85, 6.0, 20.0, 0.5, 3.0
SIDE, TONES = 32, 8
COPY = SIDE**2 + 2 * TONES**2  # bytes of a small copy
STEP = 64.0

_BANDS = 5
_WIDTH = -(-64 // _BANDS)
_AT_ONCE = 1 << 20  # pairs of hashes that are compared at once
_CHECKED = 1 << 11  # pairs of copies
_HOPELESS = 0.5, 0.85  # correlations below which a pair is no longer looked at: as they are, and laid about
_WAVE = np.cos(np.pi * np.arange(8)[:, None] * (2 * np.arange(SIDE) + 1) / (2 * SIDE))  # [8, 32]
_WAVES = np.kron(_WAVE, _WAVE)  # [64, 1024]: row 8 u + v is the product of wave u down and wave v across


def shrunk(picture: Image.Image, grey: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """What hashes and copies are made of, uint8 [32, 32] and [8, 8, 3]; of a picture (RGB) and its grey levels (L)."""
    small, tones = grey.resize((SIDE, SIDE), Image.Resampling.BOX), picture.resize((TONES, TONES), Image.Resampling.BOX)
    return np.asarray(small), np.asarray(tones)


def perceptual_hash(grey: np.ndarray) -> np.ndarray:
    """The hashes uint64 [n] of grey pictures uint8 [n, 32, 32]; bit k of the hash has the weight 2^k."""
    waves = grey.reshape(len(grey), SIDE * SIDE).astype(np.float64) @ _WAVES.T  # [n, 64]
    return np.packbits(waves > STEP, axis=1, bitorder="little").view("<u8")[:, 0].astype(np.uint64)


def small_copy(grey: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """What is kept of pictures for making sure, uint8 [n, 1152]: grey in 32 x 32, Cb and Cr in 8 x 8 pixels.

    grey: uint8 [n, 32, 32];  colours: the same pictures as uint8 [n, 8, 8, 3], RGB. Cb and Cr as in JPEG, around 128.
    """
    red, green, blue = np.moveaxis(colours.astype(np.float64).reshape(len(colours), TONES * TONES, 3), 2, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    tones = np.concatenate([128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402], axis=1)
    return np.concatenate([grey.reshape(len(grey), SIDE * SIDE), tones.round().clip(0, 255).astype(np.uint8)], axis=1)


def near_duplicates(hashes: np.ndarray, copies: np.ndarray) -> list[np.ndarray]:
    """Groups of pictures of which each is a near duplicate of another one in its group.

    hashes: uint64 [n] as `perceptual_hash` makes them;  copies: uint8 [n, 1152] as `small_copy` does.

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
    """Which pairs of copies, uint8 [p, 1152] each, are of the same picture: bool [p]."""
    found = _same_colours(*(copies[:, SIDE * SIDE :].astype(np.float32) - 128 for copies in (a, b)))
    first, second = (copies[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE) for copies in (a, b))
    left = np.flatnonzero(found)
    small, other = halved(first[left]), halved(second[left])
    whole = correlation(small, other)
    found[left] = (whole >= ALIKE) & (_details(small, other) >= DETAIL)
    left = left[~found[left] & (whole >= _HOPELESS[0])]
    found[left] = _cropped(first[left], second[left])
    return found


def _cropped(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which pictures a are pictures b but for what was cut off at the sides, uint8 [p, 32, 32] each: bool [p]."""
    place = place_of(a, b)
    near, mask = laid(halved(a), place)
    hopeful = correlation(near, halved(b), mask) >= _HOPELESS[1]
    found = np.zeros(len(a), bool)
    if hopeful.any():
        a, b = a[hopeful], b[hopeful]
        near, mask, place = aligned(a, b, place[hopeful])
        scaled, moved = np.abs(1 - place[:, 0::2]), np.abs(place[:, 1::2])
        inside = ((scaled <= CUT) & (moved <= scaled + SLACK)).all(1)
        alike = correlation(near, b.astype(np.float32), mask) >= LAID
        found[hopeful] = inside & alike & (_details(halved(near), halved(b), halved(mask) == 1) >= LAID_DETAIL)
    return found


def _details(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Correlation of what pictures [p, n, n] have beyond their softened selves: [p]."""
    return correlation(a - soft(a), b - soft(b), mask)


def _same_colours(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether the colours agree of pictures whose Cb and Cr, around 0, are x and y, [p, 128] each: bool [p]."""
    one, other = (part.reshape(-1, 2, TONES * TONES) for part in (x, y))
    vary = [(part - part.mean(2, keepdims=True)).reshape(-1, 2 * TONES * TONES) for part in (one, other)]
    lengths, root = [np.linalg.norm(part, axis=1) for part in vary], (2 * TONES * TONES) ** 0.5
    together = (vary[0] * vary[1]).sum(1) >= TONE * lengths[0] * lengths[1]
    together |= np.linalg.norm(vary[0] - vary[1], axis=1) <= NOISE * root
    flat = np.minimum(*lengths) <= GREY * root
    across = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    tinted = (np.abs(x - y).mean(1) <= TINT) | ((x * y).sum(1) >= HUE * np.maximum(across, 1e-6))
    without = np.minimum(np.abs(x).mean(1), np.abs(y).mean(1)) <= GREY
    return np.where(flat, tinted | without, together)


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
    """Every fifth bit of the hashes, from bit `band` on: high and low frequencies in each; int64 [n]."""
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
