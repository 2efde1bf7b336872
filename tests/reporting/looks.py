"""A look inside a made-up network, and an album of its training, as a run leaves them."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.reporting.synthetic import MEAN, STD, make_run, shape
from unlabel.evaluation.inside import Inside
from unlabel.evaluation.prototypes import Prototype, Prototypes
from unlabel.reporting.inside import write_inside
from unlabel.views import evaluation

VIEW = evaluation(64, MEAN, STD)


def images(n: int = 8) -> torch.Tensor:
    """[n, 3, 64, 64], normalised."""
    draw = np.random.default_rng(1)
    pixels = torch.stack([shape(i, draw, 64) for i in range(n)]).float() / 255
    return (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def a_look(*, vit: bool, heads: int = 12, names: list[str] | None = None) -> Inside:
    draw = torch.Generator().manual_seed(0)
    names = names or [f"test/{i}.png" for i in range(8)]
    colours = torch.rand(8, 3, 8, 8, generator=draw)
    if vit:
        attention = torch.rand(8, heads, 8, 8, generator=draw).pow(4)
        return Inside(names, images(), attention / attention.sum(dim=(2, 3), keepdim=True), "class token", None,
                      colours, {"heat": "No Grad-CAM: this network has attention."})  # fmt: skip
    return Inside(names, images(), None, "", torch.rand(8, 4, 4, generator=draw), colours,
                  {"attention": "No attention maps: ResNet is no plain vision transformer."})  # fmt: skip


def some_prototypes() -> Prototypes:
    most = [
        Prototype(17 * k, 0.3 / (k + 1), list(range(k, k + 8)), [0.9 - 0.1 * i for i in range(8)]) for k in range(12)
    ]
    return Prototypes(300, 41, 120, most)


def make_looked_into(folder: Path, *, vit: bool, names: list[str] | None = None) -> Path:
    """A finished run with everything that the section shows."""
    make_run(folder, queries=120, updates=50)
    paths = [f"query {i}.png" for i in range(120)]
    write_inside(folder / "artifacts", a_look(vit=vit, names=names), VIEW, some_prototypes(), paths)
    make_album(folder)
    return folder


def make_album(folder: Path, name: str = "reconstructions", moments: int = 10, wide: int = 36) -> None:
    album = folder / "artifacts" / "over-time"
    album.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(2)
    for moment in range(moments):
        pixels = draw.integers(0, 255, (108, 4 * wide, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(album / f"{name}-{moment * 1500:08d}-4.jpg")
