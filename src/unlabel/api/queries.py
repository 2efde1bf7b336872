"""What every search shares: a picture as the network sees it, the vectors of a source, pixels as a picture again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from unlabel.data.decode import decode_file
from unlabel.data.source import Source, Unreadable
from unlabel.engine.folder import RunFolder
from unlabel.engine.keep import backbone_facts
from unlabel.engine.progress import stages
from unlabel.engine.sources import same_channels
from unlabel.errors import Fault, writing
from unlabel.evaluation.features import Features, extract_all
from unlabel.views import View, as_rgb, evaluation, render, sample


def view_of(run: str | Path) -> View:
    """How a run's backbone is shown images; Fault where there is none."""
    facts = backbone_facts(RunFolder(run))
    return evaluation(facts["size"], tuple(facts["mean"]), tuple(facts["std"]))


def query_pixels(query: str | Path, run: str | Path, view: View) -> Tensor:
    """The picture to look up, uint8 [3, H, W]; Fault where it cannot be read or the run looks at no RGB images."""
    try:
        picture = decode_file(str(query), str(query)).pixels
    except Unreadable as problem:
        raise Fault(f"the query {problem.path} cannot be read: {problem.reason}") from problem
    if view.channels != 3:
        raise Fault(f"the query {query} is an RGB image, and {run} was trained on images of {view.channels} channels")
    return picture


def vector_of(embed: Callable[[Tensor], Tensor], pixels: Tensor, view: View) -> Tensor:
    """The vector [1, D] of one picture."""
    size = np.array([pixels.shape[1:]])
    record = sample(view, seed=0, epoch=0, view_index=0, indices=np.zeros(1, np.int64), sizes=size)[0]
    with torch.inference_mode():
        return embed(render(pixels, record, view)[None]).float()


def vectors_of(
    embed: Callable[[Tensor], Tensor],
    source: Source,
    view: View,
    run: str | Path,
    console: Console | None,
    indices: np.ndarray | None = None,
) -> Features:
    """The vectors of all readable pictures of a source, or of those at `indices`; Fault where none can be read."""
    same_channels(source, view.channels, f"the run {run}")
    count = len(source) if indices is None else len(indices)
    with stages(console or Console(stderr=True), "embedding") as progress:
        found = extract_all(
            {"": embed},
            source,
            view,
            indices=indices,
            progress=lambda share: progress(f"{count:,} images", share),
        )
    if not len(found[""]):
        raise source.hopeless()
    return found[""]


def as_image(pixels: Tensor) -> Image.Image:
    """uint8 [C, H, W] as a picture to write or draw."""
    return Image.fromarray(as_rgb(pixels).permute(1, 2, 0).contiguous().numpy())


def save_picture(picture: Image.Image, out: str | Path) -> None:
    """Write a picture, and the folders above it; Fault where the system has something against it."""
    with writing(out):
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        picture.save(out)
