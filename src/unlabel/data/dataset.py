"""Torch's side of the data: any of its data sets as a source, and views as a data set for its `DataLoader`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from unlabel.data.captions import Tokenise, tokens_of
from unlabel.data.decode import pixels
from unlabel.data.loader import sources_of
from unlabel.data.source import Source, Unreadable, digest
from unlabel.errors import Fault
from unlabel.views import Batch, Recipe, sample_all
from unlabel.views.batched import render_batch


class TorchDataset(Source):
    """A torch data set with a length as a source of pictures.

    dataset: its items are pictures, or tuples that begin with one: a PIL image, or uint8 [C, H, W] as a tensor. Labels
             for evaluation are those of its attribute `targets` or `labels`, names of classes those of `classes`.

    Raises Fault for a data set without a length, and where items are no pictures or none can be read.
    """

    def __init__(self, dataset: Dataset, name: str = "") -> None:
        if not hasattr(dataset, "__len__"):
            raise Fault("a torch data set needs a length (`__len__`) here: batches are drawn by number")
        held = getattr(dataset, "targets", getattr(dataset, "labels", None))
        labels = np.full(len(dataset), -1, np.int64) if held is None else np.asarray(held, np.int64)
        classes = getattr(dataset, "classes", None)
        super().__init__(name or type(dataset).__name__, labels, None if classes is None else [str(c) for c in classes])
        self.dataset: Any = dataset
        self.channels = _readable(self, 0)[1].shape[0]

    def __len__(self) -> int:
        return len(self.dataset)

    def image(self, i: int) -> Tensor:
        """Picture i; see `Source.image`. What the data set raises as OSError is a picture that cannot be read."""
        try:
            item = self.dataset[i]
        except OSError as error:
            raise self.refuse(i, str(error)) from None
        picture = item[0] if isinstance(item, tuple | list) else item
        if isinstance(picture, Image.Image):
            return pixels(picture)
        if isinstance(picture, Tensor) and picture.dtype == torch.uint8 and picture.ndim == 3:
            return picture
        got = f"{picture.dtype} {list(picture.shape)}" if isinstance(picture, Tensor) else type(picture).__name__
        raise Fault(
            f"{self.path(i)} is {got}, not a PIL image or uint8 [C, H, W]: take normalising transforms off the data "
            "set, for views come after it"
        )

    def path(self, i: int) -> str:
        """The name of the data set and the number of the item."""
        return f"{self.name}/{i}"

    def fingerprint(self) -> str:
        """Covers name, length and labels: what lies behind the items is not known."""
        return digest([self.name, str(len(self)), self.labels.tobytes()])


class Views(Dataset[Batch]):
    """The views of each picture of some sources, for torch's `DataLoader` with its workers, samplers and shuffling.

        DataLoader(Views([source], recipe, seed=0), 256, shuffle=True, num_workers=8, collate_fn=Views.collate)

    Item i is a batch of one; the views are those that `ViewLoader` draws of picture i in the same epoch. A picture that
    cannot be read gives its place to the next. Call `set_epoch` before each epoch, or all have the views of the first;
    where Lightning trains it, a method does so itself.
    `tokenise` is that of `ViewLoader`.
    """

    def __init__(
        self, sources: Sequence[Source], recipe: Recipe, *, seed: int, tokenise: Tokenise | None = None
    ) -> None:
        if recipe.looks_at_objects:
            raise Fault("views that look at salient objects are drawn by `ViewLoader` alone: take it, or other views")
        self.sources, self.recipe, self.seed = sources_of(recipe, sources), recipe, seed
        self.tokenise = tokenise
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers that persist are told too

    def set_epoch(self, epoch: int) -> None:
        """Which epoch's views are drawn."""
        self._epoch.fill_(epoch)

    @property
    def epoch(self) -> int:
        """Which epoch's views are drawn now."""
        return int(self._epoch)

    def __len__(self) -> int:
        return max(len(source) for source in self.sources)

    def __getitem__(self, i: int) -> Batch:
        found, epoch = [_readable(source, i) for source in self.sources], self.epoch
        indices = [np.array([index], np.int64) for index, _ in found]
        sizes = [np.array([image.shape[1:]], np.int64) for _, image in found]
        records, masks = sample_all(self.recipe, seed=self.seed, epoch=epoch, indices=indices, sizes=sizes)
        views = [
            render_batch([found[view.source][1]], record, view)
            for view, record in zip(self.recipe.views, records, strict=True)
        ]
        hidden = None if masks is None else torch.from_numpy(masks)
        tokens = tokens_of(self.tokenise, self.sources[0], indices[0], seed=self.seed, epoch=epoch)
        return Batch(views, torch.from_numpy(indices[0]), records, hidden, tokens)

    @staticmethod
    def collate(batches: list[Batch]) -> Batch:
        """Several batches as one."""
        masks = [batch.masks for batch in batches if batch.masks is not None]
        tokens = [batch.tokens for batch in batches if batch.tokens is not None]
        return Batch(
            views=[torch.cat(views) for views in zip(*(batch.views for batch in batches), strict=True)],
            index=torch.cat([batch.index for batch in batches]),
            records=[np.concatenate(part) for part in zip(*(batch.records for batch in batches), strict=True)],
            masks=torch.cat(masks) if masks else None,
            tokens=torch.cat(tokens) if tokens else None,
        )


def _readable(source: Source, i: int) -> tuple[int, Tensor]:
    """The picture at place i, or the next that can be read, with its number."""
    for step in range(len(source)):
        index = (i + step) % len(source)
        try:
            return index, source.image(index)
        except Unreadable:
            continue
    raise source.hopeless()
