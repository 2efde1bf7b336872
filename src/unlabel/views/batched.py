"""Rendering a whole batch at once: the same pixels as `render`, with one tensor operation for many images.

`render_batch` is the one place where the renderer is chosen; whoever makes batches calls it and nothing below it.

At 32 pixels a torchvision call costs its overhead, not its arithmetic; here an operation runs on all images that
need it, each with its own factor. Random orders are kept: the jitter goes through its four places, and at each
place every kind of step takes the images that have it there.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unlabel.views.recipe import View
from unlabel.views.render import render
from unlabel.views.resize import cropped

_LUMA = (0.2989, 0.587, 0.114)  # of ITU-R BT.601, to the digits that torchvision uses
_CHUNK = 2**20  # values of a view handled at once (4 MiB): memory for the steps in between stays small at any size


def render_batch(images: Sequence[Tensor], records: np.ndarray, view: View) -> Tensor:
    """Render one view of B images.

    images   B tensors [3, H, W] uint8, of any sizes
    records  RECORD [B], what `sample` drew for them
    returns  [B, 3, S, S] float32, each equal to `render` of its image to about 1e-5
    """
    if view.transform is not None:
        return torch.stack([render(image, record, view) for image, record in zip(images, records, strict=True)])
    out = torch.empty(len(images), 3, view.size, view.size)
    step = max(1, _CHUNK // out[0].numel()) if len(out) else 1
    for start in range(0, len(out), step):
        part = slice(start, start + step)
        _render(images[part], records[part], view, out[part])
    return out


def _render(images: Sequence[Tensor], records: np.ndarray, view: View, out: Tensor) -> None:
    """One chunk, into `out`. Flipping happens within the crop: it commutes with every other step."""
    x = cropped(images, records, view)  # [B, 3, S, S]
    for step in view.order:
        if step == "jitter" and view.jitter is not None:
            _jitter(x, records)
        elif step == "grey" and view.grey > 0:
            _on(x, records["grey"], records["grey"], _grey)
        elif step == "blur" and view.blur > 0:
            _on(x, records["sigma"] > 0, records["sigma"], lambda part, sigma: _blur(part, sigma, view.blur_kernel))
        elif step == "solarise" and view.solarise > 0:
            _on(x, records["solarise"], records["solarise"], _solarise)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (view.mean, view.std))
    torch.sub(x, mean, out=out).div_(std)


def _on(x: Tensor, which: np.ndarray, values: np.ndarray, step: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Replace the images of `which` [B] bool by step(their copy [b, 3, S, S], their own values [b, 1, 1, 1])."""
    rows = np.flatnonzero(which)
    if len(rows):
        index, own = torch.from_numpy(rows), torch.from_numpy(values[rows]).view(-1, 1, 1, 1)
        x.index_copy_(0, index, step(x.index_select(0, index), own))


def _jitter(x: Tensor, records: np.ndarray) -> None:
    """ColorJitter in place, place by place of the drawn orders."""
    steps = {"brightness": _brightness, "contrast": _contrast, "saturation": _saturation, "hue": _hue}
    for place in range(4):
        now = np.where(records["jitter"], records["order"][:, place], 255)
        for kind, (name, step) in enumerate(steps.items()):
            _on(x, now == kind, records[name], step)


def _luma(x: Tensor) -> Tensor:
    """The grey value of every pixel: [b, 3, S, S] -> [b, 1, S, S]."""
    red, green, blue = x.split(1, dim=1)
    return (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])


def _grey(x: Tensor, _: Tensor) -> Tensor:
    return x.copy_(_luma(x).expand_as(x))


def _solarise(x: Tensor, _: Tensor) -> Tensor:
    return torch.minimum(x, 1.0 - x)


def _brightness(x: Tensor, factor: Tensor) -> Tensor:
    return x.mul_(factor).clamp_(0.0, 1.0)


def _contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's mean grey value."""
    mean = (x.mean(dim=(2, 3)) @ torch.tensor(_LUMA)).view(-1, 1, 1, 1)
    return x.mul_(factor).add_(mean.mul_(1.0 - factor)).clamp_(0.0, 1.0)


def _saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with every pixel's grey value."""
    return torch.lerp(_luma(x), x, factor).clamp_(0.0, 1.0)


def _hue(x: Tensor, shift: Tensor) -> Tensor:
    """Turn the colour circle by `shift` turns, keeping each pixel's largest and smallest channel.

    With h in [0, 6) the hue (red 0, green 2, blue 4), a channel lies between the pixel's minimum and maximum by
    red clamp(|h - 3| - 1), green clamp(2 - |h - 2|), blue clamp(2 - |h - 4|): HSV's six cases as three hats.
    Arithmetic throughout: choosing by `where` costs ten times a product.
    """
    red, green, blue = x.split(1, dim=1)  # [b, 1, S, S]
    low = torch.minimum(torch.minimum(red, green), blue)
    span = torch.maximum(torch.maximum(red, green), blue).sub_(low)
    unit = (x - low).div_(span.clamp(min=1e-12))  # a colour's largest channel is 1 exactly; grey is all 0
    largest = unit.floor()
    red, green, blue = unit.split(1, dim=1)
    h = (red - green).add_(4.0)  # where blue is the largest
    h = torch.lerp(h, (blue - red).add_(2.0), largest[:, 1:2])
    h = torch.lerp(h, green - blue, largest[:, 0:1])
    h.add_(shift, alpha=6.0).sub_((h / 6.0).floor_(), alpha=6.0)
    hat = (h - torch.tensor([3.0, 2.0, 4.0]).view(3, 1, 1)).abs_()  # [b, 3, S, S]
    hat.mul_(torch.tensor([1.0, -1.0, -1.0]).view(3, 1, 1)).add_(torch.tensor([-1.0, 2.0, 2.0]).view(3, 1, 1))
    return hat.clamp_(0.0, 1.0).mul_(span).add_(low)


def _blur(x: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    """Gaussian blur with each image's own sigma, reflecting at the border: one pass per axis, summed tap by tap."""
    radius, side = kernel // 2, x.shape[-1]
    distance = torch.arange(radius + 1)
    taps = torch.exp(-0.5 * (distance / sigma) ** 2)  # [b, 1, 1, radius + 1], from the centre outwards
    taps = (taps / (2.0 * taps.sum(dim=3, keepdim=True) - 1.0)).unsqueeze(3)
    padded = F.pad(x, [radius] * 4, mode="reflect")
    for axis in (2, 3):
        blurred = padded.narrow(axis, radius, side) * taps[..., 0]
        for r in range(1, radius + 1):
            pair = padded.narrow(axis, radius - r, side) + padded.narrow(axis, radius + r, side)
            blurred.addcmul_(pair, taps[..., r])
        padded = blurred
    return padded
