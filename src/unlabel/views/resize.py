"""Cropping, resizing and flipping a batch: uint8 images of any sizes in, one float tensor out."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from unlabel.views.recipe import View

_SMALL = 96  # pixels: up to this side two dense products are quicker than one call per image


def cropped(images: Sequence[Tensor], records: np.ndarray, view: View) -> Tensor:
    """The records' crops, flipped where they say so: [B, 3, S, S] float32 in [0, 1]."""
    same = len({image.shape for image in images}) == 1
    if view.crop in ("pad", "load"):
        x = _from_frame(images, records, view, same)
    elif same and max(view.size, *images[0].shape[1:]) <= _SMALL:
        x = _by_products(torch.stack(list(images)), records, view)
    else:
        x = _one_by_one(images, records, view)
    # Bicubic interpolation overshoots at edges.
    return x.clamp_(0.0, 1.0) if view.interpolation == "bicubic" else x


def _one_by_one(images: Sequence[Tensor], records: np.ndarray, view: View) -> Tensor:
    """One call of torch's antialiased interpolation per image."""
    out = torch.empty(len(images), 3, view.size, view.size)
    for x, image, record in zip(out, images, records, strict=True):
        top, left = int(record["top"]), int(record["left"])
        box = image[:, top : top + int(record["height"]), left : left + int(record["width"])]
        resized = _interpolate(box.unsqueeze(0), view.size, view)[0]
        x.copy_(resized.flip(-1) if record["flip"] else resized)
    return out.div_(255.0)


def _interpolate(x: Tensor, side: int, view: View) -> Tensor:
    """uint8 [B, 3, H, W] -> float32 [B, 3, side, side], still in [0, 255]."""
    return F.interpolate(x.float(), (side, side), mode=view.interpolation, align_corners=False, antialias=True)


def _from_frame(images: Sequence[Tensor], records: np.ndarray, view: View, same: bool) -> Tensor:
    """Crops of "pad" and "load": boxes of `size` in a frame that the whole image is resized to first."""
    side = view.size if view.crop == "pad" else view.load_size
    assert side is not None
    if same and images[0].shape[1:] == (side, side):
        whole = torch.stack(list(images)).float()
    elif same:
        whole = _interpolate(torch.stack(list(images)), side, view)
    else:
        whole = torch.cat([_interpolate(image.unsqueeze(0), side, view) for image in images])
    border = view.pad if view.crop == "pad" else 0
    frame = F.pad(whole, [border] * 4, mode="reflect").numpy() if border else whole.numpy()
    out = np.empty((len(images), 3, view.size, view.size), np.float32)
    rows, columns = records["top"] + border, records["left"] + border
    for x, image, top, left, flip in zip(out, frame, rows, columns, records["flip"], strict=True):
        box = image[:, top : top + view.size, left : left + view.size]
        x[...] = box[..., ::-1] if flip else box
    return torch.from_numpy(out).div_(255.0)


def _by_products(stack: Tensor, records: np.ndarray, view: View) -> Tensor:
    """Resizing as two matrix products per image, all images at once: rows [S, H] x image x columns [W, S]."""
    B, C, H, W = stack.shape
    still = np.zeros(B, bool)
    rows = _weights(records["top"], records["height"], still, H, view)  # [B, S, H]
    columns = _weights(records["left"], records["width"], records["flip"], W, view)  # [B, S, W]
    x = stack.float().view(B, C * H, W)
    x = torch.bmm(x, columns.div_(255.0).transpose(1, 2)).view(B, C, H, view.size)
    return torch.matmul(rows.unsqueeze(1), x)


def _weights(start: np.ndarray, length: np.ndarray, mirrored: np.ndarray, extent: int, view: View) -> Tensor:
    """What each of S output pixels takes of each of `extent` source pixels: [B, S, extent], rows sum to one.

    Output pixel i of a box looks at start + (i + 1/2) length / S; the filter widens where the box shrinks
    (antialiasing), sees nothing outside of the box, and is normalised over what it sees.
    """
    place = np.arange(view.size) + 0.5
    place = np.where(mirrored[:, None], view.size - place, place)  # [B, S]
    scale = (length / view.size)[:, None]
    centre = torch.from_numpy((start[:, None] + place * scale).astype(np.float32)).unsqueeze(2)
    widen = torch.from_numpy(np.maximum(scale, 1.0).astype(np.float32)).unsqueeze(2)
    source = torch.arange(extent) + 0.5
    distance = (source - centre).div_(widen).abs_()  # [B, S, extent]
    weight = _triangle(distance) if view.interpolation == "bilinear" else _cubic(distance)
    pixel = np.arange(extent)
    inside = (pixel >= start[:, None]) & (pixel < (start + length)[:, None])  # [B, extent]
    weight.mul_(torch.from_numpy(inside).unsqueeze(1))
    return weight.div_(weight.sum(dim=2, keepdim=True))


def _triangle(distance: Tensor) -> Tensor:
    return distance.neg_().add_(1.0).clamp_(min=0.0)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' cubic convolution with a = -1/2 (IEEE Trans. ASSP 29, 1981), the one of Pillow and of torch's antialiasing.

    1 - 5/2 d^2 + 3/2 d^3 up to d = 1 and 2 - 4 d + 5/2 d^2 - 1/2 d^3 up to d = 2, here without a choice between them:
    with u = max(1 - d, 0) and v = max(2 - d, 0) it is u^2 (1 - 2 u) + v^2 (v - 1) / 2.
    """
    u, v = (1.0 - distance).clamp_(min=0.0), (2.0 - distance).clamp_(min=0.0)
    return (1.0 - 2.0 * u).mul_(u).mul_(u).add_((0.5 * v - 0.5).mul_(v).mul_(v))
