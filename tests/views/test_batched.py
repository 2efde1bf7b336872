"""The compiled renderer against the reference, pixel by pixel."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_sample_images
from torch import Tensor

from unlabel.views import NAMES, RECORD, View, batched, named, render, render_batch, sample

CLOSE = 0.02  # grey levels of 255; what float32 loses over eight steps

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


def grey_levels(got: Tensor, want: Tensor, view: View) -> float:
    """The largest difference of two renderings, before normalisation and in steps of 8 bits."""
    return float(((got - want).abs() * torch.tensor(view.std).view(-1, 1, 1)).max()) * 255


def agree(view: View, sizes: list[tuple[int, int]], epoch: int = 0) -> None:
    images = pictures(sizes)
    records = sample(view, seed=0, epoch=epoch, view_index=0, indices=np.arange(len(images)), sizes=np.array(sizes))
    want = torch.stack([render(image, record, view) for image, record in zip(images, records, strict=True)])
    got = render_batch(images, records, view)
    assert got.shape == want.shape and got.dtype == torch.float32 and got.is_contiguous()
    assert grey_levels(got, want, view) < CLOSE


MIXED = [(40, 56), (8, 90), (90, 8), (1, 1), (64, 64), (3, 2), (130, 100), (33, 32), (32, 32), (17, 29)]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("sizes", [[(32, 32)] * 24, [(40, 20)] * 24, MIXED * 2, [(1, 1)] * 6, [(120, 110)] * 4])
@pytest.mark.parametrize("size", [32, 20, 64])
def test_everything_at_once_equals_the_reference(size, sizes, interpolation):
    agree(View(size=size, interpolation=interpolation, **EVERYTHING), sizes)


@pytest.mark.parametrize(
    "crop",
    [{"crop": "pad", "pad": 5}, {"crop": "load", "load_size": 36}, {"crop": "centre"}, {"crop": "cell", "cell": 5}],
)
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


FACTOR = st.floats(0.0, 2.0, width=32)


@given(
    fields=st.fixed_dictionaries(
        {
            "top": st.integers(0, 20),
            "left": st.integers(0, 30),
            "height": st.integers(1, 20),
            "width": st.integers(1, 26),
            "flip": st.booleans(),
            "jitter": st.booleans(),
            "order": st.permutations(range(4)).map(tuple),
            "brightness": FACTOR,
            "contrast": FACTOR,
            "saturation": FACTOR,
            "hue": st.floats(-0.5, 0.5, width=32),
            "grey": st.booleans(),
            "sigma": st.sampled_from([0.0]) | st.floats(0.125, 3.0, width=32),
            "solarise": st.booleans(),
        }
    ),
    size=st.integers(2, 70),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_any_record_at_any_size_equals_the_reference(fields, size, interpolation, seed):
    view = View(size=size, interpolation=interpolation, blur=0.5, jitter=(1, 1, 1, 0.5), grey=0.5, solarise=0.5)
    record = np.zeros(1, RECORD)
    record["source_height"], record["source_width"] = 40, 56
    for name, value in fields.items():
        record[name] = value
    torch.manual_seed(seed)
    for image in pictures([(40, 56)] * 5):
        got, want = render_batch([image], record, view)[0], render(image, record[0], view)
        assert grey_levels(got, want, view) < CLOSE


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_on_photographs_equals_the_reference(name, photographs):
    for size in (32, 96):
        for view in dict.fromkeys(replace(view, strong=0) for view in named(name, size).views):
            sizes = np.array([image.shape[1:] for image in photographs])
            indices = np.arange(len(photographs))
            records = sample(view, seed=1, epoch=0, view_index=0, indices=indices, sizes=sizes)
            want = torch.stack(
                [render(image, record, view) for image, record in zip(photographs, records, strict=True)]
            )
            assert grey_levels(render_batch(photographs, records, view), want, view) < CLOSE


@pytest.fixture(scope="module")
def photographs() -> list[Tensor]:
    """The photographs that come with scikit-learn, and parts of them."""
    whole = [torch.from_numpy(image.copy()).permute(2, 0, 1) for image in load_sample_images().images]
    return [*whole, *(image[:, 100:260, 50:300] for image in whole), *(image[:, ::9, ::9] for image in whole)]


def test_layout_of_images_and_batch_does_not_matter():
    """Channels apart or side by side, a part of a larger image, a batch with channels last or a part of a larger one."""
    view, images = View(size=32, **EVERYTHING), pictures([(40, 56)] * 10)
    records = sample(view, seed=0, epoch=0, view_index=0, indices=np.arange(10), sizes=np.full((10, 2), (40, 56)))
    want = render_batch(images, records, view)
    together = [image.permute(1, 2, 0).contiguous().permute(2, 0, 1) for image in images]
    part = [torch.nn.functional.pad(image, (3, 5, 2, 2))[:, 2:-2, 3:-5] for image in images]
    every_other = [image.repeat_interleave(2, dim=2)[:, :, ::2] for image in images]
    for others in (together, part, every_other):
        assert torch.equal(render_batch(others, records, view), want)
    last = torch.empty(10, 3, 32, 32).to(memory_format=torch.channels_last)
    assert render_batch(images, records, view, last) is last and torch.equal(last, want)
    larger = torch.zeros(14, 3, 32, 32)
    render_batch(images, records, view, larger[2:12])
    assert torch.equal(larger[2:12], want) and not larger[:2].any() and not larger[12:].any()


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 4, 13])
def test_images_of_any_number_of_channels_equal_the_reference(channels, together):
    view = View(size=24, interpolation="bicubic", **EVERYTHING | {"jitter": None, "grey": 0.0}).for_channels(channels)
    view = replace(view, jitter=(0.8, 0.8, 0.0, 0.0))
    images = [torch.randint(0, 256, (channels, 20 + i, 40 - i), dtype=torch.uint8) for i in range(12)]
    if together:
        images = [image.permute(1, 2, 0).contiguous().permute(2, 0, 1) for image in images]
    sizes = np.array([image.shape[1:] for image in images])
    records = sample(view, seed=0, epoch=0, view_index=0, indices=np.arange(12), sizes=sizes)
    want = torch.stack([render(image, record, view) for image, record in zip(images, records, strict=True)])
    assert grey_levels(render_batch(images, records, view), want, view) < CLOSE
    records["grey"][3] = True
    with pytest.raises(ValueError, match=f"need RGB, and these images have {channels} channels"):
        render_batch(images, records, view)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_what_is_written_may_be_bfloat16_or_bytes(memory_format):
    view, images = View(size=32, **EVERYTHING), pictures(MIXED)
    records = sample(view, seed=0, epoch=0, view_index=0, indices=np.arange(len(MIXED)), sizes=np.array(MIXED))
    full = render_batch(images, records, view)
    half = torch.empty(full.shape, dtype=torch.bfloat16, memory_format=memory_format)
    assert torch.equal(render_batch(images, records, view, half), full.bfloat16())
    whole = torch.empty(full.shape, dtype=torch.uint8, memory_format=memory_format)
    pixels = 255 * (full * torch.tensor(view.std).view(3, 1, 1) + torch.tensor(view.mean).view(3, 1, 1))
    assert (render_batch(images, records, view, whole) - pixels).abs().max() <= 0.5 + CLOSE
    with pytest.raises(ValueError, match="float32, bfloat16 or uint8"):
        render_batch(images, records, view, full.double())


def test_what_does_not_fit_is_refused_before_memory_is_touched():
    view, images = View(size=16), pictures([(20, 30)] * 2)
    records = sample(view, seed=0, epoch=0, view_index=0, indices=np.arange(2), sizes=np.full((2, 2), (20, 30)))
    beyond = records.copy()
    beyond["left"] = 25
    for wrong, message in (
        ((images[:1], records, view), "records"),
        (([image[:, :10] for image in images], records, view), "other sizes"),
        (([image.float() for image in images], records, view), "uint8"),
        (([image[:1] for image in images], records, view), "uint8"),
        ((images, beyond, view), "beyond"),
        ((images, records, view, torch.empty(2, 3, 15, 15)), "out"),
        ((images, records, view, torch.empty(2, 3, 16, 32)[..., ::2]), "contiguous"),
    ):
        with pytest.raises(ValueError, match=message):
            render_batch(*wrong)


def test_a_long_compilation_is_announced_once(capsys, monkeypatch):
    monkeypatch.setattr(batched, "_prepared", [])
    monkeypatch.setattr(batched, "_SILENCE", 0.0)
    monkeypatch.setattr(batched, "_render", lambda *_: time.sleep(0.2))
    batched.prepare_renderer()
    assert "compiling" in capsys.readouterr().err
    batched.prepare_renderer()
    assert capsys.readouterr().err == ""


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


def test_threads_that_need_it_at_once_compile_it_once(monkeypatch):
    begun, meeting = [], threading.Barrier(3)

    def prepare(say):
        begun.append(threading.get_ident())
        time.sleep(0.05)  # the others arrive meanwhile

    def need():
        meeting.wait()
        batched.prepare_renderer()

    monkeypatch.setattr(batched, "_prepared", [])
    monkeypatch.setattr(batched, "_prepare", prepare)
    threads = [threading.Thread(target=need) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1 and batched._prepared
