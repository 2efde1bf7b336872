"""The sentences on shapes say what the pictures show."""

import numpy as np
import torch

from unlabel.data import open_source
from unlabel.data import shapes as module
from unlabel.data.sentences import COLOURS, GROUNDS, sentences
from unlabel.data.shapes import CLASSES, TEXTURES, Shapes


def test_every_picture_has_three_that_agree():
    source = open_source("shapes:300", captions=True)
    assert source.captioned and source.fingerprint() != open_source("shapes:300").fingerprint()
    for i in range(300):
        whole, coloured, placed = source.captions(i)
        shape = CLASSES[source.labels[i]]
        words = whole.split()
        assert words[3] == shape and words[1] in ("small", "large") and words[2] in COLOURS
        assert coloured == f"a {words[2]} {shape} {whole[whole.index('on a ') :]}"
        assert whole.startswith(placed.replace(shape, f"{words[2]} {shape}"))
    assert len({source.captions(i)[0] for i in range(300)}) > 290


def test_words_follow_the_factors():
    def said(**facts: float) -> str:
        base = {"shape": 2, "hue_angle": 0.0, "ground_angle": 0.0, "scale": 0.3, "x": 0.0, "y": 0.0, "texture": 0}
        return sentences({name: np.array([value]) for name, value in {**base, **facts}.items()})[0][0]

    assert said() == "a small red star in the middle on a plain red ground"
    assert "large" in said(scale=0.37)
    for k, colour in enumerate(COLOURS):
        for off in (-0.4, 0.4):
            angle = (k + off) * np.pi / 3 % (2 * np.pi)
            assert f" {colour} star" in said(hue_angle=angle) and f" {colour} ground" in said(ground_angle=angle)
    places = {(-0.13, -0.13): "at the top left", (0.13, 0.0): "at the right", (0.0, 0.13): "at the bottom"}
    for (x, y), place in places.items():
        assert f"star {place} on" in said(x=x, y=y)
    assert list(GROUNDS) == list(TEXTURES) and "striped" in said(texture=1)


def test_colours_and_places_are_those_of_the_pixels(monkeypatch):
    """Without light and texture, the colour that a sentence names is the nearest of the six in the picture."""
    for name in ("LIGHT", "TEXTURE"):
        monkeypatch.setattr(module, name, (0.0, 0.0))
    source = Shapes(120)
    pixels = source.images(np.arange(120)).float()
    axis = torch.linspace(-1, 1, 32)
    for image, (whole, *_), x, y in zip(
        pixels, sentences(source.factors), source.factors["x"], source.factors["y"], strict=True
    ):
        corner = image[:, 0, 0] - image[:, 0, 0].mean()  # ground
        angle = torch.atan2(3**0.5 * (corner[1] - corner[2]), 2 * corner[0] - corner[1] - corner[2])
        nearest = round(float(angle) % (2 * np.pi) / (np.pi / 3)) % 6
        assert whole.endswith(f"{COLOURS[nearest]} ground") or abs((float(angle) / (np.pi / 3) + 0.5) % 1 - 0.5) > 0.4
        shape = (image - image[:, :1, :1]).abs().sum(dim=0)
        across, down = (
            float((shape.sum(0) * axis).sum() / shape.sum()),
            float((shape.sum(1) * axis).sum() / shape.sum()),
        )
        assert ("left" not in whole or across < 0.1) and ("right" not in whole or across > -0.1), (whole, x)
        assert ("top" not in whole or down < 0.1) and ("bottom" not in whole or down > -0.1), (whole, y)
