"""Pictures whose every pixel has a class: folders `images` and `masks` with files of the same names.

A mask is a picture of one channel (grey or palette) whose values are classes, of the picture's shape; one of another
size is resized by its nearest pixels, and the picture with antialiasing, to the size that is asked for.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from unlabel.data.decode import FORMATS
from unlabel.data.folder import Folder, walk
from unlabel.data.pillow import DECODING, quiet
from unlabel.data.source import Unreadable
from unlabel.errors import Fault

IGNORED = 255
"""The value of pixels that have no class."""


def open_scenes(root: str | Path, size: tuple[int, int], *, ignored: Collection[int]) -> tuple[Tensor, Tensor]:
    """All pictures below `root` with their masks, at (height, width): uint8 [n, 3, H, W] and int64 [n, H, W].

    ignored  values of masks that are no class; they become `IGNORED`

    Fault where a folder, a mask or a picture is missing or cannot be read, a mask is coloured, or has
    a negative label that is not ignored.
    """
    pictures, masks = Path(root) / "images", Path(root) / "masks"
    for place in (pictures, masks):
        if not place.is_dir():
            raise Fault(
                f"there is no folder {place}: segmentation needs `images` and `masks` with files of the same names"
            )
    by_stem = {path.stem: path for path in mask_files(masks)}
    source = Folder(pictures)
    images, labels = [], []
    for i in range(len(source)):
        stem = Path(source.path(i)).stem
        if stem not in by_stem:
            raise Fault(f"{source.path(i)} has no mask: {masks} needs a file {stem}.png")
        try:
            images.append(_resized(source.image(i), size))
        except Unreadable as problem:
            raise Fault(f"{problem.path} cannot be read ({problem.reason}): remove it and its mask") from None
        label = _mask(by_stem[stem], size)
        label = np.where(np.isin(label, list(ignored)), IGNORED, label)
        if label.min() < 0:
            raise Fault(
                f"{by_stem[stem]} has the label {label.min()}, and classes are counted from 0: name it by `ignore`"
            )
        labels.append(label)
    return torch.stack(images), torch.from_numpy(np.stack(labels).astype(np.int64))


def mask_files(folder: Path) -> list[Path]:
    """The masks in a folder, by name: what lies beside them and is not named like a picture is passed over."""
    names = (name for name in walk(str(folder))[0] if "/" not in name)
    return [path for path in map(folder.joinpath, names) if path.is_file()]


@contextmanager
def opened_mask(path: Path) -> Iterator[Image.Image]:
    """A mask, to be decoded inside; Fault where it cannot be read."""
    try:
        with quiet(), Image.open(path, formats=FORMATS) as mask:
            yield mask
    except DECODING as problem:
        raise Fault(f"{path} cannot be read as a mask: {problem}") from None


def _mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    with opened_mask(path) as mask:
        if mask.mode not in ("L", "P", "I;16", "I"):
            raise Fault(f"{path} is no mask: it has the channels {mask.mode}, not one whose values are classes")
        return np.asarray(mask.resize((size[1], size[0]), Image.Resampling.NEAREST))


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(image.shape[1:]) == size:
        return image
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    return torch.from_numpy(np.array(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))).permute(2, 0, 1)
