"""Batches of views in an order that depends on the seed alone.

Batch u is a pure function of (seed, u), and of the regions of interest where these are known: the same for any number
of threads, after a resume, and on another machine.

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
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from unlabel.data.ahead import Ahead, cores
from unlabel.data.backgrounds import Backgrounds
from unlabel.data.buffers import Buffers
from unlabel.data.captions import Tokenise, tokens_of
from unlabel.data.source import Look, Source, Unreadable
from unlabel.errors import Fault
from unlabel.views import Batch, Objects, Recipe, least_sizes, render_saliency, rescaled, sample_all
from unlabel.views.batched import Placed, render_batch
from unlabel.views.philox import ORDER, words
from unlabel.views.saliency import fitted

_CHUNK = 1 << 16


@dataclass(frozen=True)
class _Found:
    """A picture that can be read, and the mask of its object where the recipe looks at objects and it is known."""

    index: int
    look: Look
    mask: Tensor | None


@dataclass
class _Draft:
    """A batch of which the views with a transform of the user's own are still missing."""

    views: list[Tensor | None]
    images: list[Placed]  # of each source; kept only while views are missing
    index: np.ndarray
    records: list[np.ndarray]
    masks: Tensor | None
    tokens: Tensor | None
    saliency: list[Tensor] | None
    matched: Tensor | None  # whose last view is a hard negative


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
    pauses:        before these updates nothing of what follows is drawn ahead: `regions` may change there.

    The attribute `regions` [pictures, 4] holds (top, left, bottom, right) in fractions, where "contrastive" crops of
    source 0 have their middle; None until it is set.

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
        pauses: Sequence[int] = (),
    ) -> None:
        self.sources = sources_of(recipe, sources)
        check_objects(recipe, self.sources[0])
        self.recipe = recipe
        self._looks_at_objects, self._crops_objects = recipe.looks_at_objects, recipe.crops_objects
        # A hard negative is drawn and rendered as one more view, like the second.
        negative = recipe.background is not None and recipe.background.negative
        self._drawing = replace(recipe, views=(*recipe.views, recipe.views[:2][-1])) if negative else recipe
        self.regions: np.ndarray | None = None
        self.pauses = sorted(set(pauses))
        self.seed, self.start, self.stop = seed, start, stop
        self.threads, self.ahead = threads, ahead
        self.rank, self.world = rank, world
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.dtype = dtype
        self.tokenise = tokenise
        drawn_ahead_and_in_use = max(ahead, cores()) + 3
        self._buffers = Buffers(most=len(self._drawing.views) * drawn_ahead_and_in_use)
        self.pictures = max(len(source) for source in self.sources)
        self.batch_size = _batch_size(batch_size, self.pictures, world, self.sources[0].name)
        self.steps_per_epoch = self.pictures // self.batch_size
        self._order = lru_cache(maxsize=2 * len(self.sources))(self._draw_order)  # of this epoch and the next
        self._under_way: list[Ahead[_Draft]] = []

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[Batch]:
        edges = [self.start, *(pause for pause in self.pauses if self.start < pause < self.stop), self.stop]
        for first, last in pairwise(edges):
            if self.threads == 0:
                yield from (self.batch(update) for update in range(first, last))
            else:
                yield from self._ahead(range(first, last))

    def _ahead(self, updates: range) -> Iterator[Batch]:
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
        indices = [np.array([one.index for one in domain], np.int64) for domain in found]
        sizes = [np.array([one.look.size for one in domain], np.int64) for domain in found]
        objects = [_mask_of(one) for one in found[0]] if self._looks_at_objects else []
        records, masks = sample_all(
            self._drawing, seed=self.seed, epoch=epoch, indices=indices, sizes=sizes,
            regions=None if self.regions is None else self.regions[indices[0]],
            objects=Objects.of([mask[0].numpy() > 0 for mask in objects]) if self._crops_objects else None,
        )  # fmt: skip
        images = [
            self._decoded([one.look for one in domain], sizes[number], number, records)
            for number, domain in enumerate(found)
        ]
        objects = [
            fitted(mask, (image.shape[1], image.shape[2]))
            for mask, image in zip(objects, images[0].images, strict=False)
        ]
        shown, matched = self._with_backgrounds(epoch, indices[0], images, objects)
        views = [
            None if view.transform is not None else self._render(shown[k], records[k], k)
            for k, view in enumerate(self._drawing.views)
        ]
        pairs = zip(records, self.recipe.views, strict=False)  # the hard negatives need no map
        return _Draft(
            views,
            images if any(view is None for view in views) else [],
            indices[0],
            records,
            None if masks is None else torch.from_numpy(masks),
            tokens_of(self.tokenise, self.sources[0], indices[0], seed=self.seed, epoch=epoch),
            [render_saliency(objects, record, view) for record, view in pairs] if self.recipe.salient else None,
            None if matched is None else torch.from_numpy(matched),
        )

    def _with_backgrounds(
        self, epoch: int, indices: np.ndarray, images: list[Placed], objects: list[Tensor]
    ) -> tuple[list[Placed], np.ndarray | None]:
        """What each view is rendered from, and which images have a hard negative."""
        background, views = self.recipe.background, self.recipe.views
        if background is None:
            return [images[view.source] for view in views], None
        behind = Backgrounds(background, self.sources[0], seed=self.seed, epoch=epoch, views=len(views))
        shown = [
            Placed.of(behind.view(k, indices, images[0].images, objects)) if view.source == 0 else images[view.source]
            for k, view in enumerate(views)
        ]
        if not background.negative:
            return shown, None
        negatives, matched = behind.negatives(indices, images[0].images, objects)
        return [*shown, Placed.of(negatives)], matched

    def _decoded(self, looks: list[Look], whole: np.ndarray, number: int, records: list[np.ndarray]) -> Placed:
        """The pictures of one domain, once for all its views, no larger than the largest of them needs.

        whole: int [B, 2], their (height, width). Where pictures come smaller than that, the boxes in `records` are put
        into their pixels.
        """
        views = self._drawing.views
        mine = [k for k, view in enumerate(views) if view.source == number]
        if any(views[k].transform is not None for k in mine):
            return Placed.of([look.pixels(None) for look in looks])
        least = np.max([least_sizes(records[k], views[k]) for k in mine], axis=0)
        images = Placed.of([look.pixels((h, w)) for look, (h, w) in zip(looks, least.tolist(), strict=True)])
        sizes = images.shapes[:, 1:]
        if (sizes != whole).any():
            for k in mine:
                records[k] = rescaled(records[k], views[k], sizes)
        return images

    def _finish(self, draft: _Draft) -> Batch:
        """Render what is missing: transforms of the user's own draw from global generators, so only in this thread."""
        views = [
            self._render(draft.images[self.recipe.views[k].source], draft.records[k], k) if view is None else view
            for k, view in enumerate(draft.views)
        ]
        count = len(self.recipe.views)
        return Batch(
            views[:count],
            torch.from_numpy(draft.index),
            draft.records[:count],
            draft.masks,
            draft.tokens,
            draft.saliency,
            views[count] if draft.matched is not None else None,
            draft.matched,
        )

    def _render(self, images: Placed, records: np.ndarray, k: int) -> Tensor:
        view = self._drawing.views[k]
        shape = (len(images.images), view.channels, view.size, view.size)
        return render_batch(images, records, view, self._buffers.take(shape, self.memory_format, self.dtype))

    def _look(self, number: int, epoch: int, position: int) -> _Found:
        """The picture at one place of the epoch, or the next one that can be read and is of use, with its index."""
        source = self.sources[number]
        for index in self._candidates(number, epoch, position):
            if index in source.skipped:
                continue
            mask = source.mask(index) if number == 0 and self._looks_at_objects else None
            if number == 0 and self._crops_objects and (mask is None or not mask.any()):
                continue
            try:
                return _Found(index, source.look(index), mask)
            except Unreadable:
                continue
        if len(source.skipped) < len(source):
            raise Fault(f"none of the pictures of {source.name} has a mask in which anything stands out")
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


def check_objects(recipe: Recipe, source: Source) -> None:
    """Fault where a recipe looks at the salient objects of a source that does not know them."""
    if recipe.looks_at_objects and not source.masked:
        raise Fault(
            f"these views look at the salient objects of pictures, and those of {source.name} are not known: make "
            "masks by `unlabel saliency DIR -o MASKS`, and give them with --saliency MASKS"
        )


def _mask_of(found: _Found) -> Tensor:
    """The mask of a picture's object, of the picture's size; zeros where it is not known."""
    height, width = (int(side) for side in found.look.size)
    return (
        torch.zeros(1, height, width, dtype=torch.uint8) if found.mask is None else fitted(found.mask, (height, width))
    )


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
