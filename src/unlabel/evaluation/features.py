"""Frozen features of a collection of images: decoded and rendered in threads, embedded in batches."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unlabel.data.ahead import cores
from unlabel.data.source import Source, Unreadable
from unlabel.views import View, sample
from unlabel.views.batched import render_batch

Embed = Callable[[Tensor], Tensor]
"""Images [B, C, S, S] -> embeddings [B, D]."""

_DECODED_BYTES = 32 << 20  # of decoded images that a thread holds before it renders them


@dataclass(frozen=True)
class Features:
    """Embeddings of the readable images among those asked for.

    vectors  float32 [n, D] on the host
    labels   int64 [n], -1 = unknown
    index    int64 [n], positions in the source
    skipped  the images that could not be read
    """

    vectors: Tensor
    labels: Tensor
    index: Tensor
    skipped: list[Unreadable]

    def __len__(self) -> int:
        return len(self.index)


def extract(
    embed: Embed,
    source: Source,
    view: View,
    *,
    indices: np.ndarray | None = None,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
    threads: int | None = None,
    view_index: int = 0,
) -> Features:
    """The embeddings of a source's images under one view.

    embed       images [B, C, S, S] on `device` -> embeddings [B, D]; putting its module into evaluation mode is the
                caller's duty, for `embed` need not be a module
    indices     [n] positions in the source; None: all of them
    threads     that decode and render; None: one for each core, four at most
    view_index  which draw of the view; a view without randomness has only one

    Runs in inference mode and draws nothing from the global random generators. Images that cannot be read are left
    out and reported. Raises ValueError where `embed` does not return [B, D].
    """
    found = extract_all(
        {"": embed},
        source,
        view,
        indices=indices,
        batch_size=batch_size,
        device=device,
        threads=threads,
        view_index=view_index,
    )
    return found[""]


def extract_all(
    embeds: Mapping[str, Embed],
    source: Source,
    view: View,
    *,
    indices: np.ndarray | None = None,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
    threads: int | None = None,
    view_index: int = 0,
    progress: Callable[[float], None] | None = None,
) -> dict[str, Features]:
    """The same for several embeddings at once: every image is decoded and rendered a single time.

    progress  is told the share of images done. For the other arguments and errors see `extract`.
    """
    wanted = np.arange(len(source)) if indices is None else np.asarray(indices, dtype=np.int64)
    vectors: dict[str, Tensor] = {}
    kept: list[int] = []
    skipped: list[Unreadable] = []
    done = 0
    rendered = _batches(source, view, wanted, batch_size, threads, view_index)
    for images, positions, unreadable in rendered:
        skipped += unreadable
        done += len(positions) + len(unreadable)
        if positions:
            with torch.inference_mode():
                x = images.to(device)
                for name, embed in embeds.items():
                    z = embed(x)
                    if z.ndim != 2 or len(z) != len(x):
                        raise ValueError(f"`embed` must return [{len(x)}, D] for {len(x)} images, not {list(z.shape)}")
                    if name not in vectors:
                        with torch.inference_mode(False):  # the result may take part in somebody's autograd
                            vectors[name] = torch.empty(len(wanted), z.shape[1])
                    vectors[name][len(kept) : len(kept) + len(z)] = z.float().cpu()
            kept += positions
        if progress is not None:
            progress(done / len(wanted))
    index = torch.tensor(kept, dtype=torch.int64)
    labels = torch.from_numpy(np.asarray(source.labels, dtype=np.int64)[kept])
    empty = torch.empty(0, 0)
    return {name: Features(vectors.get(name, empty)[: len(kept)], labels, index, skipped) for name in embeds}


def two_views(
    embed: Embed,
    source: Source,
    view: View,
    *,
    indices: np.ndarray,
    device: torch.device | str = "cpu",
    threads: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Embeddings of two `light_views` of the same images, [n, D] each."""
    x, y = light_views(embed, source, view, 2, indices=indices, device=device, threads=threads).unbind(dim=1)
    return x, y


def light_views(
    embed: Embed,
    source: Source,
    view: View,
    count: int,
    *,
    indices: np.ndarray,
    device: torch.device | str = "cpu",
    threads: int | None = None,
) -> Tensor:
    """Embeddings of light random views (crop of 40 to 100 % of the area, flip) of the same images, [n, count, D].

    The draws depend on the image alone, so that readings at different times compare. Arguments as for `extract`.
    """
    return light_views_all({"": embed}, source, view, count, indices=indices, device=device, threads=threads)[""]


def light_views_all(
    embeds: Mapping[str, Embed],
    source: Source,
    view: View,
    count: int,
    *,
    indices: np.ndarray,
    device: torch.device | str = "cpu",
    threads: int | None = None,
) -> dict[str, Tensor]:
    """The same for several embeddings at once: every view is rendered a single time."""
    light = View(size=view.size, scale=(0.4, 1.0), interpolation=view.interpolation, mean=view.mean, std=view.std)
    seen = [
        extract_all(embeds, source, light, indices=indices, device=device, threads=threads, view_index=i)
        for i in range(count)
    ]
    return {name: torch.stack([one[name].vectors for one in seen], dim=1) for name in embeds}


def _batches(
    source: Source, view: View, wanted: np.ndarray, batch_size: int, threads: int | None, view_index: int
) -> Iterator[tuple[Tensor, list[int], list[Unreadable]]]:
    """(images [b, C, S, S], their positions, what could not be read), in order, a few batches ahead of the network."""
    workers = threads or min(4, cores())
    # A batch is shared out among the threads; each renders its part as it decodes, so that memory stays small.
    share = max(1, -(-batch_size // workers))
    parts = [wanted[i : i + share] for i in range(0, len(wanted), share)]
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[tuple[Tensor, list[int], list[Unreadable]]]] = deque()
        ready: list[tuple[Tensor, list[int], list[Unreadable]]] = []
        for number, part in enumerate(parts):
            waiting.append(pool.submit(_render, source, view, part, view_index))
            last = number == len(parts) - 1
            while waiting and (last or len(waiting) > 2 * workers):
                ready.append(waiting.popleft().result())
                if len(ready) == workers or (last and not waiting):
                    yield _joined(ready)
                    ready = []


def _joined(parts: list[tuple[Tensor, list[int], list[Unreadable]]]) -> tuple[Tensor, list[int], list[Unreadable]]:
    images, positions, skipped = zip(*parts, strict=True)
    return torch.cat(images), [i for some in positions for i in some], [bad for some in skipped for bad in some]


def _render(
    source: Source, view: View, part: np.ndarray, view_index: int
) -> tuple[Tensor, list[int], list[Unreadable]]:
    """One thread's images: decoded and rendered by the handful, for large photographs are large."""
    rendered: list[Tensor] = []
    positions: list[int] = []
    skipped: list[Unreadable] = []
    images: list[Tensor] = []

    def flush() -> None:
        here = np.array(positions[len(positions) - len(images) :], dtype=np.int64)
        sizes = np.array([image.shape[1:] for image in images], dtype=np.int64)
        records = sample(view, seed=0, epoch=0, view_index=view_index, indices=here, sizes=sizes)
        rendered.append(render_batch(images, records, view))
        images.clear()

    for i in part:
        try:
            images.append(source.image(int(i)))
        except Unreadable as unreadable:
            skipped.append(unreadable)
            continue
        positions.append(int(i))
        if sum(image.nbytes for image in images) > _DECODED_BYTES:
            flush()
    if images:
        flush()
    empty = torch.empty(0, view.channels, view.size, view.size)
    return torch.cat(rendered) if rendered else empty, positions, skipped
