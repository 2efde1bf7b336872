"""Batches of views in an order that depends on the seed alone.

Batch u is a pure function of (seed, u): the same for any number of threads, after a resume, and on another machine.

- Update u belongs to epoch u // steps_per_epoch. The order of an epoch sorts the pictures by random words of
  (seed, epoch, picture); what does not fill a whole batch at its end is dropped.
- With two sources (unpaired domains) an epoch is as long as the larger one. Source 0 follows the order, modulo its
  size; the pictures of source 1 are drawn independently of it, with replacement.
- Rank r of w processes takes rows [r B / w, (r + 1) B / w) of that same global batch.
- The place of an unreadable picture goes to the one a whole batch further on in the epoch's order, and so on from
  there: close by in the order, and never one that another row of the same batch has, as long as there are enough.

Pictures are decoded once for all their views, in threads: no worker processes, no copies between them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from unlabel.data.ahead import Ahead, cores
from unlabel.data.buffers import Buffers
from unlabel.data.captions import Tokenise, tokens_of
from unlabel.data.source import Look, Source, Unreadable
from unlabel.errors import Fault
from unlabel.views import Batch, Recipe, least_sizes, rescaled, sample_all
from unlabel.views.batched import render_batch
from unlabel.views.philox import ORDER, words

_CHUNK = 1 << 16


@dataclass
class _Draft:
    """A batch of which the views with a transform of the user's own are still missing."""

    views: list[Tensor | None]
    images: list[list[Tensor]]  # of each source; kept only while views are missing
    index: np.ndarray
    records: list[np.ndarray]
    masks: Tensor | None
    tokens: Tensor | None


class ViewLoader:
    """Yields the batches of updates start .. stop - 1.

    sources:       one for each domain that the recipe's views look at.
    batch_size:    B over all ranks; at most the number of pictures (the attribute has the value in use).
    seed:          of order, views and masks, in [0, 2**64).
    threads:       how many draw batches ahead of the training loop; 0 draws them in the loop; None: as many as keep
                   it from waiting (`Ahead`).
    ahead:         how many batches are drawn ahead, at least one for each thread and one more.
    rank, world:   which part of every batch is this process's.
    channels_last: memory format of the views.
    dtype:         of the views: float32, bfloat16, or uint8 for pixels that are not normalised yet.
    tokenise:      what makes ids of texts; a batch then has `tokens` of one caption of each picture.

    Raises Fault when there are too few pictures, when the ranks cannot share a batch evenly and, while drawing, when
    no picture can be read.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        recipe: Recipe,
        batch_size: int,
        *,
        seed: int,
        start: int = 0,
        stop: int,
        threads: int | None = None,
        ahead: int = 2,
        rank: int = 0,
        world: int = 1,
        channels_last: bool = False,
        dtype: torch.dtype = torch.float32,
        tokenise: Tokenise | None = None,
    ) -> None:
        self.sources = sources_of(recipe, sources)
        self.recipe = recipe
        self.seed, self.start, self.stop = seed, start, stop
        self.threads, self.ahead = threads, ahead
        self.rank, self.world = rank, world
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.dtype = dtype
        self.tokenise = tokenise
        self._buffers = Buffers(most=len(recipe.views) * (max(ahead, cores()) + 3))  # drawn ahead, in use and under way
        self.pictures = max(len(source) for source in self.sources)
        self.batch_size = _batch_size(batch_size, self.pictures, world, self.sources[0].name)
        self.steps_per_epoch = self.pictures // self.batch_size
        self._order = lru_cache(maxsize=2 * len(self.sources))(self._draw_order)  # of this epoch and the next
        self._under_way: list[Ahead[_Draft]] = []

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[Batch]:
        updates = range(self.start, self.stop)
        if self.threads == 0:
            for update in updates:
                yield self.batch(update)
            return
        ahead = Ahead(self._draw, updates, threads=self.threads, least=self.ahead)
        self._under_way.append(ahead)
        try:
            for draft in ahead:
                yield self._finish(draft)
                del draft
        finally:
            ahead.close()
            self._under_way.remove(ahead)

    def close(self) -> None:
        """Stop drawing and wait for the threads to end; iterations that are under way cannot go on."""
        for ahead in self._under_way:
            ahead.close()

    def batch(self, update: int) -> Batch:
        """The batch of one update: this rank's rows of it, drawn here and now."""
        return self._finish(self._draw(update))

    def _draw(self, update: int) -> _Draft:
        """Everything of a batch that can be drawn in any thread."""
        while True:
            try:
                return self._drawn(update)
            except Unreadable:
                continue  # a file whose header was sound; now that it is noted, its place goes to another

    def _drawn(self, update: int) -> _Draft:
        epoch, step = divmod(update, self.steps_per_epoch)
        share = self.batch_size // self.world
        first = step * self.batch_size + self.rank * share
        found = [
            [self._look(number, epoch, position) for position in range(first, first + share)]
            for number in range(len(self.sources))
        ]
        indices = [np.array([index for index, _ in domain], np.int64) for domain in found]
        sizes = [np.array([look.size for _, look in domain], np.int64) for domain in found]
        records, masks = sample_all(self.recipe, seed=self.seed, epoch=epoch, indices=indices, sizes=sizes)
        images = [self._decoded([look for _, look in domain], number, records) for number, domain in enumerate(found)]
        views = [
            None if view.transform is not None else self._render(images[view.source], records[k], k)
            for k, view in enumerate(self.recipe.views)
        ]
        hidden = None if masks is None else torch.from_numpy(masks)
        tokens = tokens_of(self.tokenise, self.sources[0], indices[0], seed=self.seed, epoch=epoch)
        return _Draft(views, images if any(view is None for view in views) else [], indices[0], records, hidden, tokens)

    def _decoded(self, looks: list[Look], number: int, records: list[np.ndarray]) -> list[Tensor]:
        """The pictures of one domain, once for all its views, no larger than the largest of them needs.

        Where pictures come smaller than they are, the boxes in `records` are put into their pixels.
        """
        mine = [k for k, view in enumerate(self.recipe.views) if view.source == number]
        if any(self.recipe.views[k].transform is not None for k in mine):
            return [look.pixels(None) for look in looks]
        least = np.max([least_sizes(records[k], self.recipe.views[k]) for k in mine], axis=0)
        images = [look.pixels((int(h), int(w))) for look, (h, w) in zip(looks, least, strict=True)]
        sizes = np.array([image.shape[1:] for image in images], np.int64)
        if (sizes != np.array([look.size for look in looks])).any():
            for k in mine:
                records[k] = rescaled(records[k], self.recipe.views[k], sizes)
        return images

    def _finish(self, draft: _Draft) -> Batch:
        """Render what is missing: transforms of the user's own draw from global generators, so only in this thread."""
        views = [
            self._render(draft.images[self.recipe.views[k].source], draft.records[k], k) if view is None else view
            for k, view in enumerate(draft.views)
        ]
        return Batch(views, torch.from_numpy(draft.index), draft.records, draft.masks, draft.tokens)

    def _render(self, images: list[Tensor], records: np.ndarray, k: int) -> Tensor:
        view = self.recipe.views[k]
        shape = (len(images), view.channels, view.size, view.size)
        return render_batch(images, records, view, self._buffers.take(shape, self.memory_format, self.dtype))

    def _look(self, number: int, epoch: int, position: int) -> tuple[int, Look]:
        """The picture at one place of the epoch, or the next one that can be read, with its index."""
        source = self.sources[number]
        for index in self._candidates(number, epoch, position):
            if index not in source.skipped:
                try:
                    return index, source.look(index)
                except Unreadable:
                    continue
        raise source.hopeless()

    def _candidates(self, number: int, epoch: int, position: int) -> Iterator[int]:
        order = self._order(epoch, number)
        yield int(order[position])
        for ahead in range(self.batch_size, len(order), self.batch_size):
            yield int(order[(position + ahead) % len(order)])
        for ahead in range(1, len(order)):
            yield int(order[(position + ahead) % len(order)])
        yield from range(len(self.sources[number]))  # an order with replacement may have left some out

    def _draw_order(self, epoch: int, number: int) -> np.ndarray:
        """[pictures] which picture of a source is at each position of an epoch."""
        word = np.concatenate(
            [
                words(2, seed=self.seed, epoch=epoch, indices=part, stream=ORDER, view=number)
                for part in np.split(np.arange(self.pictures), range(_CHUNK, self.pictures, _CHUNK))
            ]
        )  # [pictures, 2] of 32 bits
        key = word[:, 0] << np.uint64(32) | word[:, 1]
        drawn = np.argsort(key, kind="stable") if number == 0 else key
        return drawn.astype(np.uint64) % np.uint64(len(self.sources[number]))


def sources_of(recipe: Recipe, sources: Sequence[Source]) -> list[Source]:
    """Those of `sources` that a recipe's views look at; Fault where there are too few."""
    if len(sources) < recipe.sources:
        raise Fault(f"this method looks at {recipe.sources} sources of pictures, and {len(sources)} is given")
    return list(sources[: recipe.sources])


def _batch_size(wanted: int, pictures: int, world: int, name: str) -> int:
    """`wanted`, or the number of pictures if there are fewer; always a multiple of `world`."""
    if wanted < 1:
        raise Fault(f"the batch size must be at least 1, not {wanted}")
    if wanted % world:
        raise Fault(f"a batch of {wanted} cannot be shared evenly by {world} processes: take a multiple of {world}")
    size = wanted if wanted <= pictures else pictures - pictures % world
    if pictures < 2 or size == 0:
        raise Fault(f"{name} has {pictures} pictures; training needs at least {max(2, world)}")
    return size
