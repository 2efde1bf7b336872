"""Strong operations: each one against Pillow, drawing against chance, the batch against the reference."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from scipy import stats
from torch import Tensor

from unlabel.views import View, named, render, render_batch, sample
from unlabel.views.recipe import MOST
from unlabel.views.strong import LEVELS, OPERATIONS, operate

NEUTRAL = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


def photograph(side: int = 40) -> Tensor:
    """Smooth colours with some noise, of values that leave room for contrast: uint8 [3, side, side]."""
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    smooth = torch.stack((y, x, 0.5 + 0.5 * torch.sin(9 * x * y)))
    return ((smooth * 0.6 + 0.1 * torch.rand(3, side, side)) * 255 + 20).to(torch.uint8)


def one(operation: str, level: int, image: Tensor) -> Tensor:
    return operate(
        image[None], np.array([[OPERATIONS.index(operation), 0]], np.uint8), np.array([[level, 3]], np.int8)
    )[0]


def affine(image: Image.Image, *inverse: float) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, inverse)


PILLOW = {  # operation -> what it is of a Pillow image, at a level, and how many grey levels rounding may part them
    "identity": (lambda p, v: p, 0),
    "autocontrast": (lambda p, v: ImageOps.autocontrast(p), 1),
    "brightness": (lambda p, v: ImageEnhance.Brightness(p).enhance(0.09 * abs(v) + 0.05), 1),
    "colour": (lambda p, v: ImageEnhance.Color(p).enhance(0.09 * abs(v) + 0.05), 2),
    "contrast": (lambda p, v: ImageEnhance.Contrast(p).enhance(0.09 * abs(v) + 0.05), 2),
    "equalise": (lambda p, v: ImageOps.equalize(p), 0),
    "posterise": (lambda p, v: ImageOps.posterize(p, int(abs(v) * 4 / 10) + 4), 0),
    "rotate": (lambda p, v: p.rotate(3 * v), 0),
    "sharpness": (lambda p, v: ImageEnhance.Sharpness(p).enhance(0.09 * abs(v) + 0.05), 1),
    "shear_x": (lambda p, v: affine(p, 1, 0.03 * v, 0, 0, 1, 0), 0),
    "shear_y": (lambda p, v: affine(p, 1, 0, 0, 0.03 * v, 1, 0), 0),
    "solarise": (lambda p, v: ImageOps.solarize(p, 256 - int(abs(v) * 256 / 10)), 0),
    "translate_x": (lambda p, v: affine(p, 1, 0, -int(v * 0.3 / 10 * p.size[0]), 0, 1, 0), 0),
    "translate_y": (lambda p, v: affine(p, 1, 0, 0, 0, 1, -int(v * 0.3 / 10 * p.size[1])), 0),
}


@pytest.mark.parametrize("operation", PILLOW)
@pytest.mark.parametrize("level", [-9, -5, -1, 1, 3, 9])  # at which no turned pixel lies halfway between two
def test_each_operation_is_pillows(operation: str, level: int) -> None:
    image = photograph()
    function, close = PILLOW[operation]
    want = np.asarray(function(Image.fromarray(image.permute(1, 2, 0).numpy()), level)).transpose(2, 0, 1)
    got = one(operation, level, image)
    assert got.dtype == torch.uint8
    assert np.abs(got.numpy().astype(int) - want.astype(int)).max() <= close


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_without_rgb_every_channel_is_a_picture(operation: str, channels: int) -> None:
    image = photograph()[:1].repeat(channels, 1, 1)
    image[1:] = image[1:] // 2
    got = one(operation, 4, image)
    assert got.shape == image.shape and got.dtype == torch.uint8
    for c in range(channels):
        assert torch.equal(got[c : c + 1], one(operation, 4, image[c : c + 1]))
    if operation != "identity" and operation != "colour":
        assert not torch.equal(got, image)


def draw(view: View, n: int, **keys: int) -> np.ndarray:
    keys = {"seed": 0, "epoch": 0, "view_index": 0} | keys
    return sample(view, indices=np.arange(n), sizes=np.full((n, 2), 40), **keys)


def test_operations_are_drawn_as_often_as_said() -> None:
    n = 6000
    record = draw(View(size=32, strong=5), n)
    assert not record["operations"][:, 5:].any() and not record["levels"][:, 5:].any()
    operations, levels = record["operations"][:, :5], record["levels"][:, :5].astype(int)
    shares = np.full(len(OPERATIONS), 0.5 / len(OPERATIONS))
    shares[0] += 0.5  # not taken, or the identity
    for place in range(5):
        counts = np.bincount(operations[:, place], minlength=len(OPERATIONS))
        assert stats.chisquare(counts, n * shares).pvalue > 0.001
        sizes, counts = np.unique(levels[:, place], return_counts=True)
        assert sizes.tolist() == [*range(-LEVELS, 0), *range(1, LEVELS + 1)]
        assert stats.chisquare(counts).pvalue > 0.001
    for a in range(5):
        for b in range(a):
            assert abs(np.corrcoef(operations[:, a], operations[:, b])[0, 1]) < 4.5 / np.sqrt(n)
            assert abs(np.corrcoef(levels[:, a], levels[:, b])[0, 1]) < 4.5 / np.sqrt(n)
    taken = operations > 0
    assert abs(np.corrcoef(operations[taken], levels[taken])[0, 1]) < 4.5 / np.sqrt(taken.sum())


def test_strong_operations_change_nothing_else_of_a_record() -> None:
    view = View(size=32, jitter=(0.4,) * 4, grey=0.2, blur=0.5, solarise=0.3)
    plain, strong, stronger = (draw(replace(view, strong=count), 200) for count in (0, 3, MOST))
    for field in plain.dtype.names:
        if field not in ("operations", "levels"):
            assert (plain[field] == strong[field]).all(), field
    assert not plain["operations"].any()
    assert (strong["operations"][:, :3] == stronger["operations"][:, :3]).all()


def test_they_come_last_on_the_picture_in_8_bits() -> None:
    image = photograph()
    view = View(size=32, jitter=(0.4,) * 4, grey=0.2, blur=0.5, strong=5, **NEUTRAL)
    for record in draw(view, 30):
        usual = render(image, record, replace(view, strong=0))
        bytes_ = (255 * usual).round().to(torch.uint8)
        want = operate(bytes_[None], record["operations"][None], record["levels"][None])[0]
        assert torch.equal(render(image, record, view), want / 255)


def test_a_batch_is_the_operations_on_compiled_pixels() -> None:
    images, view = [photograph(side) for side in range(30, 70, 2)], named("clsa-small", 32).views[2]
    assert view.strong == 5
    sizes = np.array([image.shape[1:] for image in images])
    records = sample(view, seed=0, epoch=0, view_index=2, indices=np.arange(len(images)), sizes=sizes)
    usual = torch.empty(len(images), 3, 32, 32, dtype=torch.uint8)
    render_batch(images, records, replace(view, strong=0), usual)
    want = torch.cat([
        operate(x[None], r["operations"][None], r["levels"][None]) for x, r in zip(usual, records, strict=True)
    ])  # fmt: skip
    whole = torch.empty_like(usual)
    assert torch.equal(render_batch(images, records, view, whole), want)
    normalised = (want / 255 - torch.tensor(view.mean).view(3, 1, 1)) / torch.tensor(view.std).view(3, 1, 1)
    torch.testing.assert_close(render_batch(images, records, view), normalised, rtol=1e-6, atol=1e-6)
    last = torch.empty(whole.shape, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    assert torch.equal(render_batch(images, records, view, last), render_batch(images, records, view).bfloat16())
    # The reference differs where a pixel lies on the edge between two grey levels, and nowhere else.
    reference = torch.stack([render(image, record, view) for image, record in zip(images, records, strict=True)])
    assert ((reference - normalised).abs() < 0.02).float().mean() > 0.98


def test_views_of_clsa() -> None:
    key, weak, strong = named("clsa", 224).views
    assert key == weak == named("moco2", 224).views[0]
    assert (strong.size, strong.scale, strong.strong) == (96, (0.086, 0.429), 5)
    assert replace(strong, size=224, scale=weak.scale, strong=0) == weak
    key, weak, strong = named("clsa-small", 32).views
    assert key == weak == replace(strong, strong=0) == named("cifar-min", 32).views[0]
