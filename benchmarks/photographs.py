"""Pictures for the benchmarks that are at hand everywhere: parts of scikit-learn's two photographs."""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images


def small(count: int, side: int = 32) -> np.ndarray:
    """uint8 [count, side, side, 3]."""
    draw = np.random.default_rng(0)
    photographs = load_sample_images().images
    made = np.empty((count, side, side, 3), np.uint8)
    for i in range(count):
        photograph = photographs[i % 2]
        top, left = (draw.integers(0, length - 4 * side) for length in photograph.shape[:2])
        made[i] = photograph[top : top + 4 * side : 4, left : left + 4 * side : 4]
    return made


def jpegs(folder: Path, count: int) -> Path:
    """`count` JPEGs of 500 x 375 as ImageNet has them, each another part of a photograph."""
    draw = np.random.default_rng(0)
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        width = int(draw.integers(400, 640))
        height = width * 3 // 4 if width * 3 // 4 <= 427 else 427
        left, top = int(draw.integers(0, 641 - width)), int(draw.integers(0, 428 - height))
        part = photographs[i % 2].crop((left, top, left + width, top + height)).resize((500, 375))
        (part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if i % 4 > 1 else part).save(folder / f"{i}.jpg", quality=90)
    return folder
