"""How two views of one image differ, as numbers that a network can be asked for."""

import numpy as np

DIFFERENCES = ("row", "column", "area", "ratio", "flip", "brightness", "contrast", "saturation", "hue")


def differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What was drawn for the second view less what was drawn for the first: RECORD [B] twice -> float32 [B, 9].

    In the order of DIFFERENCES: the crop's middle, in sides of the image, downwards and to the right; the logarithms of
    its area and of its width / height; whether exactly one view is flipped, 1 or 0; the factors of the colour jitter,
    and the shift of the hue.
    """
    a, b = (np.stack([*_box(record), *_colours(record)]) for record in (first, second))  # [8, B]
    flip = (first["flip"] != second["flip"])[None]
    apart = b - a
    return np.concatenate([apart[:4], flip, apart[4:]]).T.astype(np.float32)


def _box(record: np.ndarray) -> tuple[np.ndarray, ...]:
    """Row and column of the middle, log area and log ratio."""
    height, width = record["height"], record["width"]
    row = (record["top"] + height / 2) / record["source_height"]
    column = (record["left"] + width / 2) / record["source_width"]
    return row, column, np.log(height) + np.log(width), np.log(width) - np.log(height)


def _colours(record: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(record[name] for name in DIFFERENCES[5:])
