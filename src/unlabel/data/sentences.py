"""What the drawn shapes show, in words: captions that are true because the pictures were made from their facts.

    a large red star at the top left on a striped blue ground
    a red star on a striped blue ground
    a large star at the top left

Every picture has these three. Angles of colours become the nearest of six words, sizes one of two, places one of nine;
what a word does not say (the exact hue, the light, the rotation) differs between pictures of the same sentence.
"""

from collections.abc import Mapping

import numpy as np

from unlabel.data.shapes import CLASSES, SCALE, SHIFT, TEXTURES

COLOURS = ("red", "yellow", "green", "cyan", "blue", "magenta")  # a sixth of the circle apart, from angle 0
SIZES = ("small", "large")
ROWS, COLUMNS = ("top", "", "bottom"), ("left", "", "right")
GROUNDS = {"plain": "plain", "stripes": "striped", "checks": "checked", "dots": "dotted", "waves": "wavy"}


def sentences(factors: Mapping[str, np.ndarray]) -> list[tuple[str, ...]]:
    """The captions of each picture from its factors, [n] each (`Shapes.factors`)."""
    size = (factors["scale"] > sum(SCALE) / 2).astype(int)
    row, column = (np.clip((factors[axis] / SHIFT + 1) * 1.5, 0, 2).astype(int) for axis in ("y", "x"))
    colour, ground = (
        np.rint(factors[name] / (2 * np.pi) * len(COLOURS)).astype(int) % len(COLOURS)
        for name in ("hue_angle", "ground_angle")
    )
    textures = [GROUNDS[name] for name in TEXTURES]
    facts = zip(factors["shape"], size, colour, row, column, factors["texture"], ground, strict=True)
    return [
        _of(CLASSES[k], SIZES[s], COLOURS[c], _place(ROWS[y], COLUMNS[x]), textures[t], COLOURS[g])
        for k, s, c, y, x, t, g in facts
    ]


def _of(shape: str, size: str, colour: str, place: str, texture: str, ground: str) -> tuple[str, ...]:
    behind = f"on a {texture} {ground} ground"
    return (
        f"a {size} {colour} {shape} {place} {behind}",
        f"a {colour} {shape} {behind}",
        f"a {size} {shape} {place}",
    )


def _place(row: str, column: str) -> str:
    return f"at the {row} {column}".replace("  ", " ").strip() if row or column else "in the middle"
