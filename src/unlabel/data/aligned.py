"""How alike two small grey pictures are when one is laid on the other: shifted and scaled a little, of other contrast.

A picture a is fitted to a picture b by least squares, in steps (B. Lucas and T. Kanade, An Iterative Image
Registration Technique with an Application to Stereo Vision, 1981), each axis on its own:

    b(x, y)  =  gain * a(s x + t, r y + u) + offset,    x, y in (-1, 1);    s, r within 1 +- MOST,  t, u within +- MOST

which is what a picture is to another one that a few per cent were cut off from.
"""

import numpy as np

MOST = 0.14
_COARSE, _FINE = 4, 3  # steps on pictures of half the side, softened, which fit from further away, and on all pixels
_STEP = 0.08  # the most that a step moves by
_RIDGE = 1e-3  # of the mean square: where a picture is plain, nothing says how it must move


def soft(grey: np.ndarray) -> np.ndarray:
    """Pictures [p, n, n] with each pixel the mean of the 3 x 3 around it; float32."""
    padded = np.pad(grey.astype(np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9


def correlation(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Of the pixels of pictures [p, n, n], one by one, where `mask` is true: [p] in [-1, 1]; 0 where one is plain."""
    weight = np.ones_like(a) if mask is None else mask.astype(np.float32)
    count = np.maximum(weight.sum((1, 2), keepdims=True), 1)
    a = (a - (a * weight).sum((1, 2), keepdims=True) / count) * weight
    b = (b - (b * weight).sum((1, 2), keepdims=True) / count) * weight
    lengths = np.sqrt((a * a).sum((1, 2)) * (b * b).sum((1, 2)))
    return (a * b).sum((1, 2)) / np.maximum(lengths, 1e-6)


def halved(grey: np.ndarray) -> np.ndarray:
    """Pictures [p, n, n] with each 2 x 2 pixels as their mean, float32 [p, n / 2, n / 2]."""
    count, side = len(grey), grey.shape[1] // 2
    return grey.reshape(count, side, 2, side, 2).mean((2, 4), dtype=np.float32)


def place_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """s, t, r, u, [p, 4], by which pictures a lie about as pictures b, [p, n, n] each: seen at half their size."""
    small_a, small_b = soft(halved(a)), soft(halved(b))
    place = np.tile(np.array([1, 0, 1, 0], np.float64), (len(a), 1))
    for _ in range(_COARSE):
        place = _moved(place, small_a, small_b)
    return place


def aligned(a: np.ndarray, b: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures a laid on pictures b, [p, n, n] each, from where they lie about (`place_of`).

    Returns a as it lies there, float32 [p, n, n]; where it does lie, bool [p, n, n]; and s, t, r, u, [p, 4].
    """
    a, b = a.astype(np.float32), b.astype(np.float32)
    for _ in range(_FINE):
        place = _moved(place, a, b)
    return *laid(a, place), place


def _centres(n: int) -> np.ndarray:
    return (2 * np.arange(n) + 1) / n - 1


def laid(a: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pictures a, [p, n, n] float32, as they lie at their places, and which pixels of them are inside."""
    n, centres = a.shape[1], _centres(a.shape[1])
    taken, inside = [], []
    for scale, shift in ((place[:, 2:3], place[:, 3:4]), (place[:, 0:1], place[:, 1:2])):
        at = (scale * centres + shift + 1) * n / 2 - 0.5  # [p, n] in pixels
        inside.append((at >= -0.5) & (at <= n - 0.5))
        at = at.clip(0, n - 1)
        low = np.minimum(at.astype(np.int64), n - 2)
        taken.append((low, (at - low).astype(np.float32)))
    (down, part), (along, share) = taken
    every = np.arange(len(a))[:, None]
    rows = a[every, down] * (1 - part)[..., None] + a[every, down + 1] * part[..., None]  # [p, n, n]
    left = np.take_along_axis(rows, along[:, None, :], 2)
    right = np.take_along_axis(rows, along[:, None, :] + 1, 2)
    share = share[:, None, :]
    return left * (1 - share) + right * share, inside[0][:, :, None] & inside[1][:, None, :]


def _moved(place: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The places after a step of least squares."""
    n, centres = a.shape[1], _centres(a.shape[1]).astype(np.float32)
    near, mask = laid(a, place)
    down, along = (slope * (n / 2) for slope in np.gradient(near, axis=(1, 2)))
    terms = [along * centres, along, down * centres[:, None], down, near, np.ones_like(near)]
    rows = np.stack([term * mask for term in terms], 1).reshape(len(a), 6, n * n)
    normal = (rows @ rows.transpose(0, 2, 1)).astype(np.float64)
    right = rows @ (b * mask).reshape(len(a), n * n, 1)
    size = normal[:, range(4), range(4)].mean(1)
    normal[:, range(4), range(4)] += _RIDGE * size[:, None] + 1e-6
    normal[:, range(4, 6), range(4, 6)] += 1e-3
    found = np.linalg.solve(normal, right)[:, :, 0]
    gain = np.where(np.abs(found[:, 4]) < 0.1, 0.1, found[:, 4])
    step = (found[:, :4] / gain[:, None]).clip(-_STEP, _STEP)
    scales = (place[:, 0::2] * (1 + step[:, 0::2])).clip(1 - MOST, 1 + MOST)
    shifts = (place[:, 1::2] + place[:, 0::2] * step[:, 1::2]).clip(-MOST, MOST)
    return np.stack([scales[:, 0], shifts[:, 0], scales[:, 1], shifts[:, 1]], 1)
