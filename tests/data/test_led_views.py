"""The loader's views that are led by regions, objects and backgrounds."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.data.test_loader import Numbers, same
from unlabel.data.backgrounds import Backgrounds
from unlabel.data.dataset import Views
from unlabel.data.loader import ViewLoader
from unlabel.data.shapes import Shapes
from unlabel.data.source import Look, Source, digest
from unlabel.errors import Fault
from unlabel.views import Background, Recipe, View, boxes, sample
from unlabel.views.background import bare

PLAIN = View(size=16, scale=(0.2, 1.0), mean=(0, 0, 0), std=(1, 1, 1))
STILL = View(size=32, crop="centre", flip=0.0, mean=(0, 0, 0), std=(1, 1, 1))
SALIENT = replace(PLAIN, crop="salient")
LED = replace(PLAIN, crop="contrastive")


def loader(recipe: Recipe, source: Source | None = None, batch_size: int = 8, **options) -> ViewLoader:
    return ViewLoader([source or Shapes(40)], recipe, batch_size, **{"seed": 0, "stop": 5, "threads": 0, **options})


class Spots(Source):
    """Dark pictures of different sizes with a bright object; in `blank` nothing stands out, of `unknown` no mask is known."""

    masked = True

    def __init__(
        self, count: int, blank: tuple[int, ...] = (), unknown: tuple[int, ...] = (), large: bool = False
    ) -> None:
        super().__init__("spots", np.full(count, -1, np.int64))
        self.blank, self.unknown, self.scale = blank, unknown, 20 if large else 1

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, i: int) -> Tensor:
        image = torch.full((3, (20 + i % 3) * self.scale, 24 * self.scale), i, dtype=torch.uint8)
        image[0, 8 * self.scale : 14 * self.scale, 10 * self.scale : 20 * self.scale] = 200 + i
        return image

    def look(self, i: int) -> Look:
        """Large pictures come at half their size."""
        image = self.image(i)
        return Look(
            (image.shape[1], image.shape[2]), lambda least: image if least is None else image[:, ::2, ::2].contiguous()
        )

    def mask(self, i: int) -> Tensor | None:
        if i in self.unknown:
            return None
        height, width = self.image(i).shape[1:]
        mask = torch.zeros(1, height, width, dtype=torch.uint8)
        if i not in self.blank:
            mask[:, 8 * self.scale : 14 * self.scale, 10 * self.scale : 20 * self.scale] = 255
        return mask

    def path(self, i: int) -> str:
        return f"spots/{i}"

    def fingerprint(self) -> str:
        return digest(["spots", str(len(self))])


# Objects


def test_maps_come_with_the_views_and_show_the_object() -> None:
    recipe = Recipe(views=(SALIENT, SALIENT), salient=True)
    for batch in loader(recipe, Spots(40)):
        assert [shown.shape for shown in batch.saliency] == [(8, 16, 16)] * 2
        for view, shown in zip(batch.views, batch.saliency, strict=True):
            bright = view[:, 0] > 0.6
            assert torch.equal(bright[shown > 0.99], torch.ones_like(bright[shown > 0.99]))
            assert not bright[shown == 0].any() and (shown > 0.5).any(dim=2).any(dim=1).all()


def test_crops_show_enough_of_the_object() -> None:
    source = Shapes(40)
    for batch in loader(Recipe(views=(replace(SALIENT, crop_cover=0.6),)), source):
        for index, record in zip(batch.index.tolist(), batch.records[0], strict=True):
            mask = source.mask(index)[0] > 0
            rows, columns = slice(record["top"], record["top"] + record["height"]), slice(
                record["left"], record["left"] + record["width"])  # fmt: skip
            assert mask[rows, columns].sum() >= min(0.6 * mask.sum(), 0.2 * 1024) - 1e-9


def test_pictures_in_which_nothing_stands_out_give_their_place_to_others() -> None:
    source = Spots(30, blank=(3, 4, 5), unknown=(7, 9))
    seen = [i for batch in loader(Recipe(views=(SALIENT,)), source, stop=12) for i in batch.index.tolist()]
    assert not set(seen) & {3, 4, 5, 7, 9} and len(set(seen)) == 25 and source.skipped == {}
    again = [i for batch in loader(Recipe(views=(SALIENT,)), source, stop=12, threads=2) for i in batch.index.tolist()]
    assert again == seen
    with pytest.raises(Fault, match="in which anything stands out"):
        loader(Recipe(views=(SALIENT,)), Spots(9, blank=tuple(range(9)))).batch(0)


def test_maps_follow_pictures_that_are_decoded_smaller() -> None:
    recipe = Recipe(views=(replace(SALIENT, size=8),), salient=True)
    (batch,) = loader(recipe, Spots(8, large=True), stop=1)
    assert (batch.records[0]["source_width"] == 240).all()
    bright, shown = batch.views[0][:, 0] > 0.6, batch.saliency[0]
    assert bright[shown > 0.99].all() and not bright[shown == 0].any()


def test_a_source_that_knows_no_objects_is_a_fault() -> None:
    for recipe in (
        Recipe(views=(SALIENT,)),
        Recipe(views=(PLAIN,), salient=True),
        Recipe(views=(PLAIN,), background=Background(kind="remove")),
    ):
        with pytest.raises(Fault, match="unlabel saliency DIR"):
            loader(recipe, Numbers(20))
        with pytest.raises(Fault, match="by `ViewLoader` alone"):
            Views([Shapes(8)], recipe, seed=0)


# Regions


def test_regions_lead_crops_from_when_they_are_known() -> None:
    batches = loader(Recipe(views=(LED, LED)))
    assert same([batches.batch(3)], [loader(Recipe(views=(PLAIN, PLAIN))).batch(3)])
    regions = np.random.default_rng(0).uniform(size=(40, 4)).astype(np.float32)
    regions.reshape(40, 2, 2).sort(axis=1)
    batches.regions = regions
    batch = batches.batch(3)
    for k, record in enumerate(batch.records):
        sizes = np.full((8, 2), 32)
        drawn = partial(sample, LED, seed=0, epoch=0, view_index=k, indices=batch.index.numpy(), sizes=sizes)
        assert (record == drawn(regions=regions[batch.index.numpy()])).all()
        assert not np.array_equal(boxes(record), boxes(drawn()))


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_nothing_is_drawn_ahead_across_a_pause(threads) -> None:
    """Regions that change while update 3 and again while update 7 is handled lead exactly what follows."""
    first, second = (np.tile(np.float32(edges), (40, 1)) for edges in ((0, 0, 0.2, 0.2), (0.8, 0.8, 1, 1)))
    batches = loader(Recipe(views=(LED,)), stop=12, pauses=[4, 8], threads=threads)
    got = []
    for number, batch in enumerate(batches):
        got.append(batch)
        if number in (3, 7):
            batches.regions = first if number == 3 else second
    plain = loader(Recipe(views=(LED,)), stop=12)
    expected = []
    for number in range(12):
        plain.regions = None if number < 4 else first if number < 8 else second
        expected.append(plain.batch(number))
    assert same(got, expected) and len(got) == 12


def test_pauses_outside_of_the_run_change_nothing() -> None:
    whole = list(loader(Recipe(views=(PLAIN,)), stop=6))
    assert same(list(loader(Recipe(views=(PLAIN,)), start=2, stop=6, pauses=[0, 2, 6, 9], threads=2)), whole[2:])


# Backgrounds


def test_without_a_share_the_views_are_the_plain_ones() -> None:
    for kind in ("remove", "random", "swap"):
        recipe = Recipe(views=(PLAIN, PLAIN), background=Background(kind=kind, share=0.0))
        assert same(list(loader(recipe)), list(loader(Recipe(views=(PLAIN, PLAIN)))))


@pytest.mark.parametrize("kind", ["remove", "random", "swap"])
def test_objects_stay_and_backgrounds_change(kind: str) -> None:
    source = Shapes(40)
    recipe = Recipe(views=(STILL, STILL), background=Background(kind=kind, share=1.0))
    alike: list[bool] = []
    for batch in loader(recipe, source):
        for row, index in enumerate(batch.index.tolist()):
            there, image = source.mask(index)[0] > 0, source.image(index).float() / 255
            one, two = batch.views[0][row], batch.views[1][row]
            for view in (one, two):
                torch.testing.assert_close(view[:, there], image[:, there], rtol=0, atol=1e-6)
                assert (view[:, ~there] - image[:, ~there]).abs().mean() > 0.01
            alike.append(torch.equal(one, two))
            if kind == "remove":
                assert (one[:, ~there].max() - one[:, ~there].min()) < 1e-6
    assert sum(alike) <= (0 if kind == "swap" else 4)  # by chance one in 39, or one in 256


def test_backgrounds_are_those_of_other_images_of_the_data() -> None:
    source = Shapes(40)
    grounds = torch.stack([bare(source.image(i), source.mask(i)) for i in range(40)]).float() / 255
    (batch,) = loader(Recipe(views=(STILL,), background=Background(kind="random", share=1.0)), source, stop=1)
    for view, index in zip(batch.views[0], batch.index.tolist(), strict=True):
        away = source.mask(index)[0] == 0
        apart = (grounds[:, :, away] - view[:, away]).abs().amax(dim=(1, 2))
        assert apart.min() < 1e-5 and int(apart.argmin()) != index


def test_swapped_backgrounds_come_with_matched_negatives() -> None:
    """Where neither object is, query and negative are equal, and query and positive are not."""
    source = Shapes(40)
    recipe = Recipe(views=(STILL, STILL), background=Background(kind="swap", share=0.5, negative=True))
    matched = []
    for batch in loader(recipe, source):
        assert len(batch.views) == len(batch.records) == 2 and batch.negative.shape == (8, 3, 32, 32)
        query, key = batch.views
        for row, index in enumerate(batch.index.tolist()):
            away = source.mask(index)[0] == 0
            image = source.image(index).float() / 255
            matched.append(bool(batch.matched[row]))
            if not batch.matched[row]:
                for view in (query, key, batch.negative):
                    torch.testing.assert_close(view[row], image, rtol=0, atol=1e-6)
                continue
            differs = (query[row] - batch.negative[row]).abs().amax(dim=0) > 1e-6
            others = [j for j in range(40) if torch.allclose(
                batch.negative[row][:, source.mask(j)[0] > 0], source.image(j)[:, source.mask(j)[0] > 0] / 255, atol=1e-5)]  # fmt: skip
            (other,) = others  # whose object the negative shows
            assert other != index and not differs[away & (source.mask(other)[0] == 0)].any()
            assert (query[row][:, away] - key[row][:, away]).abs().mean() > 0.01
    assert 5 < sum(matched) < 35


def test_negatives_are_rendered_only_where_they_are_asked_for() -> None:
    batch = loader(Recipe(views=(PLAIN, PLAIN), background=Background(kind="swap", share=1.0))).batch(0)
    assert batch.negative is None and batch.matched is None and len(batch.views) == 2


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_the_rows_of_the_same_batch(world: int) -> None:
    recipe = Recipe(
        views=(SALIENT, SALIENT), salient=True, background=Background(kind="swap", share=0.5, negative=True)
    )
    whole, share = loader(recipe).batch(1), 8 // world
    for rank in range(world):
        part, rows = (
            loader(recipe, rank=rank, world=world).batch(1),
            whole.rows(slice(rank * share, (rank + 1) * share)),
        )
        torch.testing.assert_close(part.views, rows.views)
        torch.testing.assert_close(part.saliency, rows.saliency)
        torch.testing.assert_close(part.negative, rows.negative)
        assert torch.equal(part.matched, rows.matched) and torch.equal(part.index, rows.index)


def test_threads_change_nothing() -> None:
    recipe = Recipe(views=(SALIENT, PLAIN), salient=True, background=Background(kind="swap", share=0.5, negative=True))
    alone, together = list(loader(recipe)), list(loader(recipe, threads=3))
    assert same(alone, together)
    for one, two in zip(alone, together, strict=True):
        assert torch.equal(one.negative, two.negative) and torch.equal(one.matched, two.matched)


def test_what_is_not_known_stays_as_it_is() -> None:
    source = Spots(12, blank=(1,), unknown=(2,))
    behind = Backgrounds(Background(kind="swap", share=1.0, negative=True), source, seed=0, epoch=0, views=2)
    images = [source.image(i) for i in range(3)]
    masks = [source.mask(0), source.mask(1), torch.zeros(1, 22, 24, dtype=torch.uint8)]
    shown = behind.view(0, np.arange(3), images, masks)
    assert shown[1] is images[1] and shown[2] is images[2]
    _, matched = behind.negatives(np.arange(3), images, masks)
    assert not matched[1] and not matched[2]


def test_pictures_of_other_sizes_and_unreadable_ones_lend_backgrounds_or_none() -> None:
    class Broken(Spots):
        def look(self, i: int) -> Look:
            if i % 2:
                raise self.refuse(i, "broken")
            return super().look(i)

    source = Broken(20)
    behind = Backgrounds(Background(kind="random", share=1.0), source, seed=0, epoch=0, views=1)
    images, masks = [source.image(i) for i in range(20)], [source.mask(i) for i in range(20)]
    shown = behind.view(0, np.arange(20), images, masks)
    assert [view.shape for view in shown] == [image.shape for image in images]
    kept = [view is image for view, image in zip(shown, images, strict=True)]
    assert any(kept) and not all(kept)
    again = Backgrounds(Background(kind="random", share=1.0), source, seed=0, epoch=0, views=1)
    assert all(torch.equal(a, b) for a, b in zip(again.view(0, np.arange(20), images, masks), shown, strict=True))
