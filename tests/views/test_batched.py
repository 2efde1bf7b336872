"""The batched renderer against the reference, pixel by pixel."""

import numpy as np
import pytest
import torch
from torch import Tensor

from unlabel.views import View, batched, named, render, render_batch, sample

EVERYTHING = {
    "jitter": (0.8, 0.8, 0.8, 0.5),
    "jitter_p": 0.9,
    "grey": 0.3,
    "blur": 0.5,
    "solarise": 0.3,
}


def pictures(sizes: list[tuple[int, int]]) -> list[Tensor]:
    """Noise, two-tone, constant, grey and smooth images in turn: ties and saturated colours are where formulas part."""
    made = []
    for i, (H, W) in enumerate(sizes):
        noise = torch.randint(0, 256, (3, H, W), dtype=torch.uint8)
        kinds = (
            noise,
            (noise > 127).to(torch.uint8) * 255,
            noise[:, :1, :1].expand(3, H, W),
            noise[:1].repeat(3, 1, 1),
            (torch.linspace(0, 255, H)[:, None] * torch.linspace(0, 1, W)).to(torch.uint8).expand(3, H, W),
        )
        made.append(kinds[i % len(kinds)])
    return made


def agree(view: View, sizes: list[tuple[int, int]], epoch: int = 0) -> None:
    images = pictures(sizes)
    records = sample(view, seed=0, epoch=epoch, view_index=0, indices=np.arange(len(images)), sizes=np.array(sizes))
    want = torch.stack([render(image, record, view) for image, record in zip(images, records, strict=True)])
    got = render_batch(images, records, view)
    assert got.shape == want.shape and got.dtype == torch.float32 and got.is_contiguous()
    assert (got - want).abs().max() < 1e-4


MIXED = [(40, 56), (8, 90), (90, 8), (1, 1), (64, 64), (3, 2), (130, 100), (33, 32), (32, 32), (17, 29)]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("sizes", [[(32, 32)] * 24, [(40, 20)] * 24, MIXED * 2, [(1, 1)] * 6, [(120, 110)] * 4])
@pytest.mark.parametrize("size", [32, 20, 64])
def test_everything_at_once_equals_the_reference(size, sizes, interpolation):
    agree(View(size=size, interpolation=interpolation, **EVERYTHING), sizes)


@pytest.mark.parametrize("crop", [{"crop": "pad", "pad": 5}, {"crop": "load", "load_size": 36}, {"crop": "centre"}])
@pytest.mark.parametrize("sizes", [[(32, 32)] * 12, [(40, 20)] * 12, MIXED])
def test_every_kind_of_crop_equals_the_reference(crop, sizes):
    agree(View(size=32, interpolation="bicubic", **crop, **EVERYTHING), sizes)


@pytest.mark.parametrize(
    "order",
    [
        ("crop", "grey", "jitter", "flip"),
        ("crop", "solarise", "blur", "jitter", "grey", "flip"),
        ("crop", "jitter", "grey", "blur", "flip"),
    ],
)
def test_any_order_of_steps_equals_the_reference(order):
    agree(View(size=32, order=order, **EVERYTHING), [(32, 32)] * 24)


@pytest.mark.parametrize("name", ["simclr", "byol", "dino", "multicrop"])
def test_large_views_with_wide_blurs_equal_the_reference(name):
    for view in dict.fromkeys(named(name, 112).views):
        agree(view, [(90, 130), (112, 112), (60, 200)])


def test_a_step_missing_from_the_order_is_not_taken():
    flipped, straight = (View(size=32, flip=1.0, order=order, **EVERYTHING) for order in (("crop", "flip"), ("crop",)))
    agree(flipped, [(32, 32)] * 6)
    agree(straight, [(32, 32)] * 6)


def test_chunks_do_not_show(monkeypatch):
    view, images = View(size=32, **EVERYTHING), pictures([(32, 32)] * 20)
    records = sample(view, seed=0, epoch=0, view_index=0, indices=np.arange(20), sizes=np.full((20, 2), 32))
    whole = render_batch(images, records, view)
    monkeypatch.setattr(batched, "_CHUNK", 7 * 3 * 32 * 32)
    assert torch.allclose(render_batch(images, records, view), whole, atol=1e-5)


def test_images_are_left_as_they_are():
    view, images = View(size=32, **EVERYTHING), pictures([(32, 32)] * 10)
    before = [image.clone() for image in images]
    records = sample(view, seed=0, epoch=0, view_index=0, indices=np.arange(10), sizes=np.full((10, 2), 32))
    render_batch(images, records, view)
    assert all(torch.equal(a, b) for a, b in zip(images, before, strict=True))


def test_an_empty_batch_is_empty():
    view = View(size=32, **EVERYTHING)
    records = sample(view, seed=0, epoch=0, view_index=0, indices=np.zeros(0, int), sizes=np.zeros((0, 2), int))
    assert render_batch([], records, view).shape == (0, 3, 32, 32)


def test_transforms_of_the_users_own_go_through_the_reference():
    view = View(size=4, transform=lambda image: torch.rand(3, 4, 4))
    images = pictures([(8, 8)] * 3)
    records = sample(view, seed=0, epoch=0, view_index=0, indices=np.arange(3), sizes=np.full((3, 2), 8))
    got = render_batch(images, records, view)
    want = [render(image, record, view) for image, record in zip(images, records, strict=True)]
    assert torch.equal(got, torch.stack(want)) and not torch.equal(got[0], got[1])
