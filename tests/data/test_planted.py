"""Planted copies: how many are found of each kind of change, and how many pictures are paired that are no copies.

The pictures are made here, so that it can be repeated anywhere: clouds with details at all sizes, as photographs have,
and drawn shapes on grounds, which agree in much and are no copies. Numbers for photographs stand in
`unlabel.data.perceptual`.
"""

import io
import random

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from unlabel.data.perceptual import near_duplicates, perceptual_hash, small_copy
from unlabel.data.shapes import Shapes

COUNT = 150


def rough(seed: int) -> Image.Image:
    """A picture whose details are the weaker the smaller they are: the sum of noise at five sizes."""
    draw, total = np.random.default_rng(seed), np.zeros((96, 96, 3), np.float64)
    for power in range(5):
        noise = draw.integers(0, 256, (3 << power, 3 << power, 3), np.uint8)
        total += np.asarray(Image.fromarray(noise).resize((96, 96), Image.Resampling.BICUBIC), float) / 2**power
    total -= total.min()
    return Image.fromarray((total * (255 / total.max())).astype(np.uint8))


def drawn(count: int) -> list[Image.Image]:
    source = Shapes(count, size=96)
    return [Image.fromarray(source.image(i).permute(1, 2, 0).numpy()) for i in range(count)]


def encoded(picture: Image.Image, kind: str, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def cropped(picture: Image.Image, keep: float, draw: random.Random) -> Image.Image:
    width, height = round(picture.width * keep), round(picture.height * keep)
    x, y = draw.randint(0, picture.width - width), draw.randint(0, picture.height - height)
    return picture.crop((x, y, x + width, y + height))


CHANGES = {
    "jpeg": (lambda p, draw: encoded(p, "JPEG", 30), 0.99),
    "webp": (lambda p, draw: encoded(p, "WEBP", 40), 0.99),
    "half": (lambda p, draw: p.resize((p.width // 2, p.height // 2), Image.Resampling.LANCZOS), 0.98),
    "stretched": (lambda p, draw: p.resize((150, 70)), 0.99),
    "lighter": (lambda p, draw: ImageEnhance.Brightness(p).enhance(1.25), 0.97),
    "darker": (lambda p, draw: ImageEnhance.Brightness(p).enhance(0.7), 0.99),
    "flatter": (lambda p, draw: ImageEnhance.Contrast(p).enhance(0.7), 0.99),
    "paler": (lambda p, draw: ImageEnhance.Color(p).enhance(0.5), 0.99),
    "grey": (lambda p, draw: p.convert("L").convert("RGB"), 0.99),
    "cropped by 3 %": (lambda p, draw: cropped(p, 0.97, draw), 0.75),
    "cropped by 5 %": (lambda p, draw: cropped(p, 0.95, draw), 0.45),
}  # how it is changed, and the least share of copies that is found


def groups(pictures: list[Image.Image]) -> list[list[int]]:
    grey = np.stack([np.asarray(p.convert("L").resize((32, 32), Image.Resampling.BOX)) for p in pictures])
    tones = np.stack([np.asarray(p.resize((8, 8), Image.Resampling.BOX)) for p in pictures])
    return [group.tolist() for group in near_duplicates(perceptual_hash(grey), small_copy(grey, tones))]


@pytest.fixture(scope="module", params=["rough", "drawn"])
def pictures(request: pytest.FixtureRequest) -> list[Image.Image]:
    return drawn(COUNT) if request.param == "drawn" else [rough(seed) for seed in range(COUNT)]


@pytest.mark.parametrize("change", CHANGES)
def test_recall_and_precision(pictures: list[Image.Image], change: str) -> None:
    alter, least = CHANGES[change]
    draw = random.Random(0)
    found = groups([*pictures, *(alter(picture, draw) for picture in pictures)])
    right = sum(any(k in group and k + COUNT in group for group in found) for k in range(COUNT))
    assert right >= least * COUNT
    assert all(len({k % COUNT for k in group}) == 1 for group in found)  # no picture with a copy of another one
