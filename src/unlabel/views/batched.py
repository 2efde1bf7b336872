"""Rendering a whole batch: the same pixels as `render`, with a compiled pass that is one to two orders faster.

`render_batch` is the one place where the renderer is chosen; whoever makes batches calls it and nothing below it.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from unlabel.views.recipe import View
from unlabel.views.render import render
from unlabel.views.sample import sample
from unlabel.views.strong import operate

COMPILING = "compiling the view renderer for this processor: about 20 seconds, only this once"
_SILENCE = 1.0  # seconds that pass before it is said
_prepared: list[bool] = []  # not empty: the renderer is compiled
_preparing = threading.Lock()  # threads that draw views wait for one of them to do it


@dataclass(frozen=True, eq=False)
class Placed:
    """B images and where they lie in memory: looked up once for all the views that show them.

    images     tensors [C, H, W] uint8, channels apart or side by side
    addresses  int64 [B] of their first bytes
    layout     int64 [B, 3], steps in bytes from channel to channel, row to row, column to column
    shapes     int64 [B, 3]
    """

    images: list[Tensor]
    addresses: np.ndarray
    layout: np.ndarray
    shapes: np.ndarray

    @classmethod
    def of(cls, images: Sequence[Tensor]) -> "Placed":
        """These images, copied where their rows do not lie in one piece. Raises ValueError for other tensors."""
        if any(image.dtype != torch.uint8 or image.ndim != 3 for image in images):
            raise ValueError("images must be uint8 tensors [C, H, W]")
        placed = [image if _in_rows(image) else image.contiguous() for image in images]
        addresses = np.array([image.data_ptr() for image in placed], np.int64)
        return cls(placed, addresses, _rows([x.stride() for x in placed]), _rows([x.shape for x in placed]))


def _rows(triples: Sequence[tuple[int, ...]]) -> np.ndarray:
    """int64 [B, 3]. Where all are alike, which numpy is not asked to find out, one is repeated."""
    if len(set(triples)) == 1:
        return np.repeat(np.array(triples[:1], np.int64), len(triples), axis=0)
    return np.array(triples, np.int64).reshape(-1, 3)


def render_batch(
    images: Sequence[Tensor] | Placed, records: np.ndarray, view: View, out: Tensor | None = None
) -> Tensor:
    """Render one view of B images.

    images   B tensors [C, H, W] uint8, of any sizes, channels apart or side by side in memory; `Placed` where several
             views show the same ones
    records  RECORD [B], what `sample` drew for them
    out      [B, C, S, S] to write into, contiguous or channels_last; None: a new contiguous one of float32. float32 and
             bfloat16 get the normalised pixels; uint8 gets them as they are, 0 to 255, to be normalised elsewhere
    returns  [B, C, S, S], each equal to `render` of its image to about 1e-5, or to the rounding of `out`; before
             strong operations to a grey level, now and then, as they begin with pixels rounded to 8 bits

    Raises ValueError for images that are not what the records were drawn for.
    """
    pictures = images.images if isinstance(images, Placed) else images
    if out is None:
        out = torch.empty(len(pictures), view.channels, view.size, view.size)
    if view.transform is not None:
        if not out.is_floating_point():
            raise ValueError("a transform of the user's own gives normalised floats: `out` cannot be uint8")
        for x, image, record in zip(out, pictures, records, strict=True):
            x.copy_(render(image, record, view))
    elif view.strong:
        _render_strong(images, records, view, out)
    elif len(pictures):
        prepare_renderer()
        _render(images if isinstance(images, Placed) else Placed.of(images), records, view, out)
    return out


def _render_strong(images: Sequence[Tensor] | Placed, records: np.ndarray, view: View, out: Tensor) -> None:
    """The usual steps compiled, in 8 bits, and the strong operations on what they give."""
    usual = torch.empty(out.shape, dtype=torch.uint8)
    render_batch(images, records, replace(view, strong=0), usual)
    shown = operate(usual, records["operations"], records["levels"])
    out.copy_(F.normalize(shown / 255, view.mean, view.std) if out.is_floating_point() else shown)


def prepare_renderer(say: Callable[[str], None] = lambda text: print(text, file=sys.stderr)) -> None:
    """Compile the renderer, or load it if this machine has done so before; `say` hears it if that takes long."""
    if _prepared:
        return
    with _preparing:
        if not _prepared:
            _prepare(say)
            _prepared.append(True)


def _prepare(say: Callable[[str], None]) -> None:
    timer = threading.Timer(_SILENCE, say, [COMPILING])
    timer.daemon = True
    timer.start()
    try:
        view, image = View(size=8), torch.zeros(3, 8, 8, dtype=torch.uint8)
        record = sample(view, seed=0, epoch=0, view_index=0, indices=np.zeros(1, np.int64), sizes=np.array([[8, 8]]))
        _render(Placed.of([image]), record, view, torch.empty(1, 3, 8, 8))
    finally:
        timer.cancel()


def _render(images: Placed, records: np.ndarray, view: View, out: Tensor) -> None:
    from unlabel.views import kernels  # numba takes a second to import: only when something is rendered

    steps = {"jitter": kernels.JITTER, "grey": kernels.GREY, "blur": kernels.BLUR, "solarise": kernels.SOLARISE}
    kind = {"pad": kernels.PAD, "load": kernels.LOAD}.get(view.crop, kernels.BOX)
    frame = view.load_size if view.load_size is not None and view.crop == "load" else view.size
    records = np.require(records, requirements=("C", "W"))
    _refuse(images, records, view, out, frame)
    forms = {torch.float32: kernels.FLOAT32, torch.bfloat16: kernels.BFLOAT16, torch.uint8: kernels.UINT8}
    if out.dtype not in forms:
        raise ValueError(f"`out` must be float32, bfloat16 or uint8, not {out.dtype}")
    kernels.render_all(
        images.addresses,
        images.layout,
        records,
        (kind, frame, view.interpolation == "bicubic", view.blur_kernel // 2, view.size, out.shape[1]),
        np.array([steps[step] for step in view.order if step in steps], np.int64),
        np.array(view.mean),
        np.array(view.std),
        out.data_ptr(),
        forms[out.dtype],
        out.stride(),
        np.empty(_scratch(images, view, out.shape[1]), np.float32),
    )


def _scratch(images: Placed, view: View, channels: int) -> int:
    """How many numbers rendering needs room for: a view, and another half resized, blurred, or a row of an image."""
    blurred = view.size * (view.size + view.blur_kernel - 1)
    row = channels * int(images.shapes[:, 2].max())
    return channels * view.size**2 + max(channels * view.size**2, blurred, row)


def _in_rows(image: Tensor) -> bool:
    """Whether the values of a row lie one after the other, of one channel or of all."""
    plane, _, step = image.stride()
    return step == 1 or (plane == 1 and step == image.shape[0])


def _refuse(images: Placed, records: np.ndarray, view: View, out: Tensor, frame: int) -> None:
    """The compiled code reads and writes memory unchecked: nothing that does not fit may reach it."""
    want = (len(images.images), view.channels, view.size, view.size)
    if out.shape != want or out.device.type != "cpu":
        raise ValueError(f"`out` must be a tensor {want} on the host, not {tuple(out.shape)} on {out.device}")
    if not (out.is_contiguous() or out.is_contiguous(memory_format=torch.channels_last)):
        raise ValueError("`out` must be contiguous or channels_last")
    if len(records) != len(images.images):
        raise ValueError(f"{len(images.images)} images and {len(records)} records")
    sizes = np.stack((records["source_height"], records["source_width"]), axis=1)
    if (images.shapes[:, 0] != view.channels).any():
        raise ValueError(f"images must be uint8 tensors [{view.channels}, H, W]")
    if (images.shapes[:, 1:] != sizes).any():
        raise ValueError("the records were drawn for images of other sizes")
    coloured = records["grey"] | (records["saturation"] != 1) | (records["hue"] != 0)
    if view.channels != 3 and coloured.any():
        raise ValueError(f"saturation, hue and grey need RGB, and these images have {view.channels} channels")
    start = np.stack((records["top"], records["left"]), axis=1)
    if view.boxed:
        length = np.stack((records["height"], records["width"]), axis=1)
        fits = (start >= 0) & (length > 0) & (start + length <= sizes)
    else:
        reach = view.pad if view.crop == "pad" else 0
        fits = (start >= -reach) & (start + view.size <= frame + reach)
    if not fits.all():
        raise ValueError("a record's box reaches beyond its image")
