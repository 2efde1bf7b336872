"""The reference against torchvision's older functions, Pillow's pixels and the standard library's colours."""

import colorsys
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import functional as old

from unlabel.errors import Fault
from unlabel.views import RECORD, View, render, sample

NEUTRAL = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def photograph(height: int = 40, width: int = 56) -> Tensor:
    """Smooth colours with some noise: uint8 [3, H, W]."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    smooth = torch.stack((y, x, 0.5 + 0.5 * torch.sin(9 * x * y)))
    return ((smooth * 0.8 + 0.2 * torch.rand(3, height, width)) * 255).to(torch.uint8)


def record(**fields) -> np.void:
    """A record that does nothing but what `fields` say, of a 56 x 40 photograph."""
    one = np.zeros(1, RECORD)
    one["order"] = (0, 1, 2, 3)
    for name in ("brightness", "contrast", "saturation"):
        one[name] = 1.0
    for name, value in ({"top": 4, "left": 9, "height": 30, "width": 24} | fields).items():
        one[name] = value
    return one[0]


def plain(image: Tensor, size: int = 32) -> Tensor:
    """The record's box, resized."""
    box = image[:, 4:34, 9:33] / 255
    return torch.nn.functional.interpolate(box[None], (size, size), mode="bilinear", antialias=True)[0]


def test_crop_and_resize_is_pillows_to_a_grey_level():
    image = photograph()
    pil = Image.fromarray(image.permute(1, 2, 0).numpy())
    for mode, filter_ in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)):
        for size in (32, 16, 48):
            got = render(image, record(), View(size=size, interpolation=mode, **NEUTRAL))
            want = np.asarray(pil.crop((9, 4, 33, 34)).resize((size, size), filter_)).transpose(2, 0, 1) / 255
            assert np.abs(got.numpy() - want).max() < 1.6 / 255  # Pillow rounds after each of its two passes


def test_bicubic_overshoot_is_clipped():
    image = torch.zeros(3, 40, 56, dtype=torch.uint8)
    image[:, :, 20:] = 255
    x = render(image, record(), View(size=64, interpolation="bicubic", **NEUTRAL))
    assert x.min() == 0 and x.max() == 1


def test_flip():
    image, view = photograph(), View(size=32, **NEUTRAL)
    assert torch.equal(render(image, record(flip=True), view), render(image, record(), view).flip(-1))


FACTORS = {"brightness": 1.3, "contrast": 0.6, "saturation": 1.7, "hue": -0.17}


@pytest.mark.parametrize("name", FACTORS)
def test_each_colour_step_is_torchvisions(name):
    image, view = photograph(), View(size=32, **NEUTRAL)
    factor = float(np.float32(FACTORS[name]))
    want = getattr(old, f"adjust_{name}")(plain(image), factor)
    assert torch.allclose(render(image, record(jitter=True, **{name: factor}), view), want, atol=1e-6)
    assert torch.equal(render(image, record(jitter=False, **{name: factor}), view), render(image, record(), view))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_jitter_follows_the_drawn_order(order):
    image, view = photograph(), View(size=32, **NEUTRAL)
    x = plain(image)
    for step in order:
        name = tuple(FACTORS)[step]
        x = getattr(old, f"adjust_{name}")(x, float(np.float32(FACTORS[name])))
    assert torch.allclose(render(image, record(jitter=True, order=order, **FACTORS), view), x, atol=1e-5)


def test_hue_turns_the_colour_circle_of_the_standard_library():
    image, view = photograph(), View(size=32, **NEUTRAL)
    got = render(image, record(jitter=True, hue=0.125), view)
    for (r, g, b), pixel in zip(plain(image).flatten(1).T.tolist()[::37], got.flatten(1).T[::37], strict=True):
        h, s, v = colorsys.rgb_to_hsv(r, g, b)
        assert torch.allclose(pixel, torch.tensor(colorsys.hsv_to_rgb((h + 0.125) % 1, s, v)), atol=1e-5)


def test_grey_is_the_luma_in_all_three_channels():
    image = photograph()
    x = plain(image)
    want = (0.2989 * x[0] + 0.587 * x[1] + 0.114 * x[2]).expand(3, 32, 32)
    assert torch.allclose(render(image, record(grey=True), View(size=32, **NEUTRAL)), want, atol=1e-6)


@pytest.mark.parametrize("size, kernel", [(32, 3), (64, 7)])
@pytest.mark.parametrize("sigma", [0.1, 0.9, 2.0])
def test_blur_is_a_gaussian_of_about_a_tenth_of_the_side(size, kernel, sigma):
    image = photograph()
    want = old.gaussian_blur(plain(image, size), [kernel, kernel], [float(np.float32(sigma))] * 2)
    assert torch.allclose(render(image, record(sigma=sigma), View(size=size, **NEUTRAL)), want, atol=1e-6)


def test_solarise_inverts_from_one_half_on():
    image = photograph()
    x = plain(image)
    want = torch.where(x >= 0.5, 1 - x, x)
    assert torch.allclose(render(image, record(solarise=True), View(size=32, **NEUTRAL)), want, atol=1e-6)


def test_normalisation_is_last():
    image, view = photograph(), View(size=32)
    want = transforms.Normalize(view.mean, view.std)(plain(image))
    assert torch.allclose(render(image, record(), view), want, atol=1e-6)


def test_steps_follow_the_views_order():
    """InstDisc drops the colour before the jitter, SimCLR after it: then the hue matters, or it does not."""
    image = photograph()
    drawn = {"grey": True, "jitter": True, "hue": 0.3}
    first = View(size=32, order=("crop", "grey", "jitter", "flip"), **NEUTRAL)
    last = View(size=32, **NEUTRAL)
    grey_only = render(image, record(grey=True), last)
    assert torch.allclose(render(image, record(**drawn), first), grey_only, atol=1e-6)
    assert not torch.allclose(render(image, record(**drawn), last), grey_only, atol=1e-2)


@pytest.mark.parametrize("top, left", [(-4, -4), (4, 3), (0, 0), (-2, 1)])
def test_pad_is_a_reflecting_pad_and_a_crop(top, left):
    image = photograph(32, 32)
    got = render(image, record(top=top, left=left, height=32, width=32), View(size=32, crop="pad", pad=4, **NEUTRAL))
    want = old.crop(old.pad(image, [4] * 4, padding_mode="reflect"), top + 4, left + 4, 32, 32) / 255
    assert torch.allclose(got, want, atol=1e-7)
    small = photograph()
    resized = render(small, record(top=0, left=0), View(size=32, crop="pad", **NEUTRAL))
    assert torch.allclose(resized, old.resize(small / 255, [32, 32], antialias=True), atol=1e-6)


def test_load_resizes_the_whole_image_then_crops():
    image = photograph()
    view = View(size=32, crop="load", load_size=36, interpolation="bicubic", **NEUTRAL)
    bicubic = transforms.InterpolationMode.BICUBIC
    want = old.resize(image / 255, [36, 36], bicubic, antialias=True).clamp(0, 1)[:, 3:35, 1:33]
    assert torch.allclose(render(image, record(top=3, left=1), view), want, atol=1e-6)


class Shaken(torch.nn.Module):
    """A user's transform that draws from every global generator."""

    def forward(self, image: Image.Image) -> Tensor:
        x = old.to_tensor(old.resize(image, [32, 32]))
        return x + torch.rand(1) + random.random() + float(np.random.rand())


def test_a_transform_of_the_users_own_is_reproducible_and_leaves_the_generators_alone():
    image, view = photograph(), View(size=32, transform=Shaken())
    drawn = sample(view, seed=0, epoch=0, view_index=0, indices=np.arange(2), sizes=np.array([[40, 56]] * 2))
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    a, b = (render(image, drawn[i], view) for i in (0, 1))
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == random.getstate()
    assert before[2] == np.random.get_state()[1].tolist()
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    assert torch.equal(a, render(image, drawn[0], view)) and not torch.equal(a, b)


def test_torchvisions_pipelines_work_as_they_are():
    pipeline = transforms.Compose(
        [transforms.RandomResizedCrop(32), transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)]
    )
    x = render(photograph(), record(seed=3), View(size=32, transform=pipeline))
    assert x.shape == (3, 32, 32) and x.min() >= -1 and x.max() <= 1


@pytest.mark.parametrize(
    "transform", [lambda image: image, old.pil_to_tensor, old.to_tensor, lambda image: old.to_tensor(image)[:1]]
)
def test_a_transform_that_returns_something_else_is_explained(transform):
    with pytest.raises(Fault, match="must return a float tensor"):
        render(photograph(), record(), View(size=32, transform=transform))


def test_a_mistake_in_the_users_transform_puts_the_generators_back():
    before = random.getstate()
    with pytest.raises(ZeroDivisionError):
        render(photograph(), record(), View(size=32, transform=lambda image: 1 / 0))
    assert random.getstate() == before
