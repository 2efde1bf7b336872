"""`--data shapes`: pictures of eight shapes, drawn on the fly, whose every factor is known.

A demo needs no network, and a report can say which factors a representation kept and which it discarded. The
class is the shape; everything else is drawn independently of it.

Rendering
    q = where a pixel's centre is, in sides of the picture, from its middle, y downwards
    p = R(-rotation) (q - (x, y)) / scale                      # in the shape's own frame
    d = signed distance from p to the outline, negative inside, from a table made once per shape
    c = clip(1/2 - d scale size, 0, 1)                         # how much of the pixel is covered: antialiasing
    l = 2 <q, direction of the light>
    luma   = 1/2 + CONTRAST (c - 1/2) + TEXTURE[0] (1 - c) texture(q)
    colour = CHROMA c hue + (1 - c) (CHROMA + TEXTURE[1] texture(q)) ground + LIGHT[1] l lamp
    I      = (luma + colour) (1 + LIGHT[0] l)
where hue, ground and lamp are colours of luma zero: a grey copy of a picture hardly shows more than the shape.

Factors (`FACTORS` says of what kind each is; integers are classes, angles are in radians)
    shape        which of CLASSES; pictures 8 k, ..., 8 k + 7 hold each once, in random order
    hue_angle    of the shape's colour
    ground_angle of the hue of what is behind it
    scale        in sides of the picture; outlines reach 0.8 to 1.2 times as far from the shape's middle
    x, y         where the middle of the shape is, in sides from the picture's middle, y downwards
    rotation     at most TURN either way, less than half the period of every shape that has one, so that no two
                 rotations look alike; only a disc and a ring (a quarter of the pictures) look alike in all
    texture      which of TEXTURES is behind the shape
    light_angle  where the coloured light comes from: 0 is the right, pi/2 is below

The mirror image of a shape is the same shape, so flips keep the class; a crescent's is one that opens the other way.
"""

from collections.abc import Callable
from functools import cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from unlabel.data.source import Source, digest
from unlabel.errors import Fault, nearest
from unlabel.views.philox import SHAPES, words

# The ranges that make the set. Shapes differ from their ground in luma; what is drawn only to be in the way is mostly
# colour of luma zero. So it rules the pixels, and grey copies, hue jitter and crops teach a network to ignore it.
SCALE = (0.25, 0.38)
SHIFT = 0.14
TURN = np.pi / 6
CONTRAST = 0.22  # luma of the shape above that of its ground
CHROMA = 0.22  # how far the colours of shape and ground are from grey
WAVES = (3.0, 6.0)  # periods of a texture across the picture
TEXTURE = (0.03, 0.10)  # its amplitude in luma and in colour
LIGHT = (0.04, 0.34)  # what the light adds at half a side from the middle, in luma (a share) and in colour

FACTORS: dict[str, Literal["class", "regression", "angle"]] = {
    "shape": "class",
    "hue_angle": "angle",
    "ground_angle": "angle",
    "scale": "regression",
    "x": "regression",
    "y": "regression",
    "rotation": "angle",
    "texture": "class",
    "light_angle": "angle",
}
TEXTURES = {  # weights of two waves at right angles, a and b, and of their product
    "plain": (0.0, 0.0, 0.0),
    "stripes": (1.0, 0.0, 0.0),
    "checks": (0.0, 0.0, 1.0),
    "dots": (0.5, 0.5, 0.0),
    "waves": (0.45, -0.45, 0.6),
}

SPLITS = ("train", "test")
LUMA = np.array([0.299, 0.587, 0.114])
REACH, CELLS = 1.25, 160  # a table spans [-REACH, REACH] in the shape's frame, in CELLS steps
_CHUNK = 64  # pictures drawn together: what is in the making fits the processor's cache

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]  # x, y (upwards) -> signed distance, negative inside


def _polygon(*corners: tuple[float, float]) -> Field:
    """Distance to the nearest edge; inside is where a ray crosses an odd number of edges."""

    def field(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        distance, inside = np.full(x.shape, np.inf), np.zeros(x.shape, bool)
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            ex, ey = bx - ax, by - ay
            along = np.clip(((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey), 0, 1)
            distance = np.minimum(distance, np.hypot(x - ax - along * ex, y - ay - along * ey))
            if ay != by:
                inside ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) * ex / ey)
        return np.where(inside, -distance, distance)

    return field


def _star(points: int, inner: float) -> Field:
    """A star with one point upwards."""
    angles = np.pi / 2 + np.pi * np.arange(2 * points) / points
    radii = np.where(np.arange(2 * points) % 2, inner, 1.0)
    return _polygon(*zip((radii * np.cos(angles)).tolist(), (radii * np.sin(angles)).tolist(), strict=True))


def _heart() -> Field:
    """The curve x = 16 sin³ t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, as a polygon."""
    t = 2 * np.pi * np.arange(48) / 48
    x = 16 * np.sin(t) ** 3 / 17
    y = (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t) + 2.5) / 17
    return _polygon(*zip(x.tolist(), y.tolist(), strict=True))


_ARM = ((0.28, 0.92), (0.28, 0.28), (0.92, 0.28))  # of a cross, a quarter of its outline
FIELDS: dict[str, Field] = {
    "disc": lambda x, y: np.hypot(x, y) - 0.82,
    "triangle": _polygon((0.0, 0.95), (0.95, -0.7), (-0.95, -0.7)),
    "star": _star(5, 0.38),
    "cross": _polygon(
        *_ARM,
        *((x, -y) for x, y in reversed(_ARM)),
        *((-x, -y) for x, y in _ARM),
        *((-x, y) for x, y in reversed(_ARM)),
    ),
    "ring": lambda x, y: np.abs(np.hypot(x, y) - 0.68) - 0.22,
    "heart": _heart(),
    "crescent": lambda x, y: np.maximum(np.hypot(x + 0.1, y) - 0.9, 0.75 - np.hypot(x - 0.38, y)),
    "hourglass": _polygon((-0.75, 0.85), (0.75, 0.85), (0.12, 0.0), (0.75, -0.85), (-0.75, -0.85), (-0.12, 0.0)),
}
CLASSES = tuple(FIELDS)


@cache
def tables() -> np.ndarray:
    """Signed distances of all shapes, float32 [shape, CELLS + 1, CELLS + 1], rows downwards as in a picture."""
    axis = np.linspace(-REACH, REACH, CELLS + 1)
    x, y = np.meshgrid(axis, -axis)
    return np.stack([field(x, y) for field in FIELDS.values()]).astype(np.float32)


class Shapes(Source):
    """Eight shapes in all colours, places and lights: picture i is a function of (split, i, size) alone.

    count: how many pictures.  split: "train" and "test" are drawn apart.  size: side in pixels.
    `labels` are the shapes; `factors` has an array [count] of each of FACTORS.
    Raises Fault for a count below 1, a side below 8, or a split of another name.
    """

    def __init__(self, count: int = 10_000, *, split: Literal["train", "test"] = "train", size: int = 32) -> None:
        if count < 1:
            raise Fault(f"shapes: {count} pictures cannot be drawn; ask for 1 or more, as in `shapes:10000`")
        if size < 8:
            raise Fault(f"shapes: no shape is recognisable on {size} x {size} pixels; ask for a size of 8 or more")
        if split not in SPLITS:
            raise Fault(f"shapes: no split `{split}`, only {' and '.join(SPLITS)}{nearest(split, SPLITS)}")
        self.split, self.size = split, size
        self._drawn = _draw(count, SPLITS.index(split))
        factors = {name: self._drawn[name] for name in FACTORS}
        super().__init__("shapes", factors["shape"], list(CLASSES), factors)

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, i: int) -> Tensor:
        """Picture i, uint8 [3, size, size]."""
        if not 0 <= i < len(self):
            raise IndexError(f"picture {i} of {len(self)}")
        return torch.from_numpy(
            _render({name: values[i : i + 1] for name, values in self._drawn.items()}, self.size)[0]
        )

    def images(self, indices: np.ndarray) -> Tensor:
        """Many pictures, uint8 [n, 3, size, size]: the same as one by one, about three times as fast."""
        indices = np.asarray(indices, dtype=np.int64)
        whole = np.empty((len(indices), 3, self.size, self.size), np.uint8)
        for start in range(0, len(indices), _CHUNK):
            part = indices[start : start + _CHUNK]
            whole[start : start + _CHUNK] = _render({name: v[part] for name, v in self._drawn.items()}, self.size)
        return torch.from_numpy(whole)

    @property
    def masked(self) -> bool:
        """Shapes know where they are."""
        return True

    def mask(self, i: int) -> Tensor:
        """The pixels of which the shape covers a half and more, uint8 [1, size, size]: 255 there, else 0."""
        one = {name: values[i : i + 1] for name, values in self._drawn.items()}
        return torch.from_numpy(np.where(_cover(one, _Plane(self.size)) >= 0.5, 255, 0).astype(np.uint8))

    def path(self, i: int) -> str:
        """A name, though there is no file."""
        return f"shapes/{self.split}/{CLASSES[self.labels[i]]}-{i:06d}"

    def fingerprint(self) -> str:
        """Of the drawn numbers that the pictures are made of, not of pixels, whose last bit may differ by machine."""
        return digest([f"shapes {self.split} {self.size}", *(v.tobytes() for v in self._drawn.values())])


def _draw(count: int, split: int) -> dict[str, np.ndarray]:
    """All numbers that the pictures are made of, [count] each; row i does not depend on count."""
    whole = -(-count // len(CLASSES)) * len(CLASSES)
    drawn = words(14, seed=split, epoch=0, indices=np.arange(whole), stream=SHAPES).T / 2.0**32  # [14, whole]
    unit = iter(drawn[1:, :count])

    def between(low: float, high: float) -> np.ndarray:
        return low + (high - low) * next(unit)

    circle = (0.0, 2 * np.pi)
    return {
        # The order of eight random numbers is a permutation: the classes are balanced, whatever the count.
        "shape": np.argsort(drawn[0].reshape(-1, len(CLASSES)), axis=1).ravel()[:count],
        "texture": between(0, len(TEXTURES)).astype(np.int64),
        "hue_angle": between(*circle),
        "ground_angle": between(*circle),
        "scale": between(*SCALE),
        "x": between(-SHIFT, SHIFT),
        "y": between(-SHIFT, SHIFT),
        "rotation": between(-TURN, TURN),
        "light_angle": between(*circle),
        "lamp": between(*circle),
        "waves": between(*WAVES),
        "slant": between(0, np.pi),
        "phase_a": between(*circle),
        "phase_b": between(*circle),
    }


def _render(drawn: dict[str, np.ndarray], size: int) -> np.ndarray:
    """Pictures uint8 [B, 3, size, size] of B rows of drawn numbers; the formula is at the top of this file."""
    plane = _Plane(size)
    cover = _cover(drawn, plane)

    ahead, across = (2 * np.pi * drawn["waves"] * turn(drawn["slant"]) for turn in (np.cos, np.sin))
    a = np.sin(plane(ahead, across, drawn["phase_a"]))
    b = np.sin(plane(-across, ahead, drawn["phase_b"]))
    wave, other, both = np.array(list(TEXTURES.values()))[drawn["texture"]].T
    texture = (_each(wave) * a + _each(other) * b + _each(both) * (a * b)) * (1 - cover)

    angle = drawn["light_angle"]
    light = plane(2 * np.cos(angle), 2 * np.sin(angle), np.zeros(len(angle)))
    luma = 0.5 + np.float32(CONTRAST) * (cover - 0.5) + np.float32(TEXTURE[0]) * texture
    pixels = _tint(drawn["hue_angle"]) * (np.float32(CHROMA) * cover)[:, None]  # [B, 3, size, size]
    pixels += (
        _tint(drawn["ground_angle"]) * (np.float32(CHROMA) * (1 - cover) + np.float32(TEXTURE[1]) * texture)[:, None]
    )
    pixels += _tint(drawn["lamp"]) * (np.float32(LIGHT[1]) * light)[:, None] + luma[:, None]
    pixels *= (255 + np.float32(255 * LIGHT[0]) * light)[:, None]
    return np.clip(pixels + 0.5, 0, 255).astype(np.uint8)


def _cover(drawn: dict[str, np.ndarray], plane: "_Plane") -> np.ndarray:
    """How much of each pixel the shape covers, [B, size, size]."""
    x, y, scale = drawn["x"], drawn["y"], drawn["scale"]
    cos, sin = np.cos(drawn["rotation"]), np.sin(drawn["rotation"])
    zoom = CELLS / (2 * REACH) / scale  # cells of a table in a side of the picture
    column = plane(zoom * cos, zoom * sin, CELLS / 2 - zoom * (cos * x + sin * y))
    row = plane(-zoom * sin, zoom * cos, CELLS / 2 - zoom * (cos * y - sin * x))
    return np.clip(0.5 - _looked_up(drawn["shape"], row, column) * _each(scale * plane.size), 0, 1)


class _Plane:
    """along * horizontal + down * vertical + middle, [B, size, size], of three [B]."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.axis = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)

    def __call__(self, along: np.ndarray, down: np.ndarray, middle: np.ndarray) -> np.ndarray:
        return _each(along) * self.axis + (_each(down) * self.axis[:, None] + _each(middle))


def _each(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[:, None, None]  # [B, 1, 1]


def _tint(hue: np.ndarray) -> np.ndarray:
    """The colour of a hue less its luma, float32 [B, 3, 1, 1]: a grey copy does not show it."""
    tint = np.cos(hue[:, None] - 2 * np.pi / 3 * np.arange(3))
    return (tint - (tint @ LUMA)[:, None]).astype(np.float32)[:, :, None, None]


def _looked_up(shape: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Bilinear interpolation in the tables, [B, size, size]; beyond their rim, the value at the rim."""
    row, column = (np.clip(at, 0, np.float32(CELLS - 1e-3)) for at in (row, column))
    top, left = row.astype(np.int32), column.astype(np.int32)
    row, column = row - top, column - left  # what is left is in [0, 1)
    table, line = tables().ravel(), CELLS + 1
    at = (top + (shape.astype(np.int32) * line)[:, None, None]) * line + left
    above = (1 - column) * table.take(at) + column * table.take(at + 1)
    below = (1 - column) * table.take(at + line) + column * table.take(at + line + 1)
    return (1 - row) * above + row * below
