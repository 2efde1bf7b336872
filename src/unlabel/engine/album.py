"""What a method draws of the same few images as it learns: reconstructions, translations, over time."""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from io import BytesIO

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from unlabel.engine.folder import RunFolder, write_atomically
from unlabel.engine.job import Job
from unlabel.engine.monitor import evaluating
from unlabel.methods import Method
from unlabel.views import Batch

MOST = 10  # moments
IMAGES = 4
TOGETHER = 128  # images, of methods that draw all of them at once
SIDE = 112  # pixels of an image in a picture: smaller ones are enlarged, larger ones shrunk
_WIDEST = 4 * SIDE  # pixels of a picture that is of many images at once

NAME = re.compile(r"(?P<name>.+)-(?P<update>\d{8,})-(?P<images>\d+)\.jpg")
"""A file of the album: what was drawn, at which update, of how many images; these stand side by side, equally wide."""


def draws(method: Method) -> bool:
    """Whether a method has anything to draw."""
    return type(method).picture is not Method.picture


def thinned(moments: Collection[int], most: int = MOST) -> set[int]:
    """At most `most` of the moments, evenly spaced: the first, the last, and some between."""
    ordered = sorted(moments)
    if len(ordered) <= most:
        return set(ordered)
    return {ordered[round(i * (len(ordered) - 1) / (most - 1))] for i in range(most)}


class Album:
    """Keeps what a method draws of the first images of its first batch, as files in the run folder.

    A picture is a function of the weights, and which moments have one is known from the start: so a run that was cut
    off has the same pictures as one left alone. Nothing of training changes: neither modes nor torch's generators.

    together  see `Method.pictured_together`
    batch     makes the views of the first images; asked when they are first drawn
    """

    def __init__(self, folder: RunFolder, job: Job, together: bool, batch: Callable[[], Batch]) -> None:
        self.folder, self.job, self.together, self._make = folder, job, together, batch

    @cached_property
    def batch(self) -> Batch:
        """The views that are drawn each time."""
        batch = self._make()
        return batch.rows(slice(TOGETHER if self.together else IMAGES)).copied()

    def drawn(self, method: Method) -> dict[str, tuple[Tensor, int]]:
        """By name, what the method draws now: uint8 [3, H, W], and how many images stand side by side in it."""
        batch = self.batch.to(method.device)
        parts = [batch] if self.together else [batch.rows(slice(i, i + 1)) for i in range(len(batch))]
        # What was compiled for large batches would be compiled anew for these.
        eager = torch.compiler.set_stance("force_eager") if self.job.run.compile else nullcontext()
        with evaluating(method), _as_it_was(method.device), eager, torch.inference_mode():
            torch.default_generator.manual_seed(self.job.run.seed)
            pictures = [method.picture(part) for part in parts]
        width = _WIDEST if self.together else None
        return {name: (_beside([_fitted(p[name], self.job.size, width) for p in pictures]), len(parts))
                for name in pictures[0]}  # fmt: skip

    def draw(self, method: Method, update: int) -> None:
        """Keep what the method draws at this update."""
        for name, (picture, count) in self.drawn(method).items():
            buffer = BytesIO()
            image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
            image.save(buffer, "JPEG", quality=85, subsampling=0, optimize=True)
            write_atomically(self.folder.over_time / f"{name}-{update:08d}-{count}.jpg", buffer.getvalue())


@contextmanager
def _as_it_was(device: torch.device) -> Iterator[None]:
    """Afterwards the device's generator is where it was before."""
    if device.type != "cuda":
        yield
        return
    before = torch.cuda.get_rng_state(device)
    try:
        yield
    finally:
        torch.cuda.set_rng_state(before, device)


def _fitted(picture: Tensor, size: int, widest: int | None) -> Tensor:
    """A picture [3, H, W] whose images, of `size` pixels, are about `SIDE` pixels now, or that is `widest` at most."""
    picture = picture.cpu()
    if widest is None and 2 * size <= SIDE:
        return picture.repeat_interleave(SIDE // size, dim=1).repeat_interleave(SIDE // size, dim=2)
    scale = SIDE / size if widest is None else widest / picture.shape[2]
    if scale >= 1:
        return picture
    to = tuple(max(1, round(side * scale)) for side in picture.shape[1:])
    return F.interpolate(picture[None].float(), to, mode="area")[0].round().to(torch.uint8)


def _beside(pictures: list[Tensor]) -> Tensor:
    """Pictures side by side, each as wide and as high as the largest."""
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (1, 2))
    return torch.cat([F.pad(p, (0, width - p.shape[2], 0, height - p.shape[1]), value=255) for p in pictures], dim=2)
