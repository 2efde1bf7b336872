"""The reference renderer: one image, one record, torchvision's own functions one after the other.

It defines what a record means; every faster renderer is tested against it pixel by pixel. Pixels become float32
in [0, 1] right after the crop and stay so: rounding to 8 bits after each step, as pipelines of PIL images do,
adds noise of half a grey level that no method wants and that no other renderer could reproduce exactly.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from unlabel.errors import Fault
from unlabel.views.recipe import BOXED, View


def render(image: Tensor, record: np.void, view: View) -> Tensor:
    """Render one view.

    image    [C, H, W] uint8
    record   one element of what `sample` drew for this image and view
    returns  [C, S, S] float32, normalised by the view's mean and std
    """
    if view.transform is not None:
        return _transformed(image, record, view)
    x = image
    for step in view.order:
        if step == "crop":
            x = crop(image, record, view)
        elif step == "flip" and record["flip"]:
            x = F.horizontal_flip(x)
        elif step == "jitter" and record["jitter"]:
            x = _jitter(x, record)
        elif step == "grey" and record["grey"]:
            x = F.rgb_to_grayscale(x, num_output_channels=3)
        elif step == "blur" and record["sigma"] > 0:
            x = F.gaussian_blur(x, [view.blur_kernel] * 2, [float(record["sigma"])] * 2)
        elif step == "solarise" and record["solarise"]:
            x = F.solarize(x, threshold=0.5)
    return F.normalize(x, view.mean, view.std)


def crop(image: Tensor, record: np.void, view: View) -> Tensor:
    """The record's crop of a uint8 image as float32 [C, S, S] in [0, 1], not yet flipped."""
    top, left = int(record["top"]), int(record["left"])
    if view.crop in BOXED:
        box = F.crop(image, top, left, int(record["height"]), int(record["width"]))
        return resize(box, view.size, view)
    if view.crop == "load":
        assert view.load_size is not None
        return F.crop(resize(image, view.load_size, view), top, left, view.size, view.size)
    whole = F.pad(resize(image, view.size, view), [view.pad] * 4, padding_mode="reflect")
    return F.crop(whole, top + view.pad, left + view.pad, view.size, view.size)


def resize(image: Tensor, side: int, view: View) -> Tensor:
    """uint8 to float32 in [0, 1], resized to side x side with antialiasing."""
    x = F.to_dtype(image, torch.float32, scale=True)
    x = F.resize(x, [side, side], InterpolationMode(view.interpolation), antialias=True)
    # Bicubic interpolation overshoots at edges; 8-bit pipelines clip there by themselves.
    return x.clamp_(0.0, 1.0) if view.interpolation == "bicubic" else x


def _jitter(x: Tensor, record: np.void) -> Tensor:
    """ColorJitter with the drawn factors, in the drawn order."""
    for step in record["order"]:
        if step == 0:
            x = (x * float(record["brightness"])).clamp(0.0, 1.0)
        elif step == 1:
            x = _contrast(x, float(record["contrast"]))
        elif step == 2 and len(x) == 3:
            x = F.adjust_saturation(x, float(record["saturation"]))
        elif step == 3 and len(x) == 3:
            x = F.adjust_hue(x, float(record["hue"]))
    return x


def _contrast(x: Tensor, factor: float) -> Tensor:
    """Toward the mean grey value of an RGB image; without RGB there is no grey, and each channel has its own mean."""
    if len(x) == 3:
        return F.adjust_contrast(x, factor)
    return (factor * x + (1 - factor) * x.mean(dim=(1, 2), keepdim=True)).clamp(0.0, 1.0)


def _transformed(image: Tensor, record: np.void, view: View) -> Tensor:
    """The user's own transform, given a PIL image as torchvision's data sets give one, with its own seed.

    Transforms draw from the global generators of torch, `random` and numpy. They are seeded from the record and
    put back afterwards, so that such a view is reproducible too; but because they are global, such views must be
    rendered in one thread, the one that calls.
    """
    assert view.transform is not None
    with _seeded(int(record["seed"])):
        x = view.transform(F.to_pil_image(image))
    want = (3, view.size, view.size)
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.shape != want:
        got = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise Fault(
            f"a view's `transform` must return a float tensor of shape {want}, not {got}: end it with ToTensor(), or "
            f"in torchvision's v2 with ToImage() and ToDtype(torch.float32, scale=True), and crop to {view.size} pixels"
        )
    return x.as_subclass(Tensor).to(torch.float32)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The global generators start from `seed` inside and go on as if nothing had happened outside."""
    python, legacy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed & 0xFFFFFFFF)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)
