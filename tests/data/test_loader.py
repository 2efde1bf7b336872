"""Batches are a function of (seed, update): not of threads, resumes, ranks or what came before."""

import gc
import os
import sys
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from unlabel.data.folder import Folder
from unlabel.data.loader import ViewLoader
from unlabel.data.source import Source, digest
from unlabel.errors import Fault
from unlabel.views import Batch, RandomMask, Recipe, View

PLAIN = View(size=2, crop="centre", flip=0.0, mean=(0, 0, 0), std=(1, 1, 1))
RANDOM = View(size=4, jitter=(0.4, 0.4, 0.4, 0.1), grey=0.2, blur=0.5, solarise=0.2)


class Numbers(Source):
    """Pictures that show their own number; those in `broken` cannot be read."""

    def __init__(self, count: int, broken: tuple[int, ...] = ()) -> None:
        super().__init__("numbers", np.full(count, -1, np.int64))
        self.broken = frozenset(broken)
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, i: int) -> Tensor:
        self.asked.append(i)
        if i in self.broken:
            raise self.refuse(i, "broken")
        image = torch.full((3, 4 + i % 3, 5), i % 256, dtype=torch.uint8)
        image[1] = i // 256
        return image

    def path(self, i: int) -> str:
        return f"numbers/{i}"

    def fingerprint(self) -> str:
        return digest([str(len(self))])


def loader(
    source: Source | list[Source], batch_size: int = 4, views: tuple[View, ...] = (PLAIN,), **options
) -> ViewLoader:
    sources = source if isinstance(source, list) else [source]
    return ViewLoader(sources, Recipe(views=views), batch_size, **{"seed": 0, "stop": 6, "threads": 0, **options})


def shown(view: Tensor) -> list[int]:
    """The numbers that the pictures of a view show."""
    value = (view * 255).round().long()
    return (value[:, 0, 0, 0] + 256 * value[:, 1, 0, 0]).tolist()


def same(a: list[Batch], b: list[Batch]) -> bool:
    def pair(x: Batch, y: Batch) -> bool:
        views = all(torch.equal(v, w) for v, w in zip(x.views, y.views, strict=True))
        records = all(np.array_equal(r, s) for r, s in zip(x.records, y.records, strict=True))
        masks = (x.masks is None and y.masks is None) or torch.equal(x.masks, y.masks)
        return views and records and masks and torch.equal(x.index, y.index)

    return len(a) == len(b) and all(pair(x, y) for x, y in zip(a, b, strict=True))


def our_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("unlabel-views")]


# Order


def test_an_epoch_shows_every_picture_once_and_drops_the_rest():
    batches = loader(Numbers(300), 64, stop=8)
    assert batches.steps_per_epoch == 4 and len(batches) == 8
    epochs = [[i for u in range(e * 4, e * 4 + 4) for i in batches.batch(u).index.tolist()] for e in range(2)]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == 256
    assert epochs[0] != epochs[1] and set(epochs[0]) != set(epochs[1])
    assert epochs[0] != sorted(epochs[0])


def test_the_index_is_that_of_the_picture():
    for batch in loader(Numbers(300), 64):
        assert batch.index.dtype == torch.int64 and shown(batch.views[0]) == batch.index.tolist()


def test_the_seed_decides():
    one, again, other = (list(loader(Numbers(40), views=(RANDOM,), seed=seed)) for seed in (7, 7, 8))
    assert same(one, again) and not same(one, other)
    assert not torch.equal(one[0].index, other[0].index)


def test_every_position_is_equally_likely_for_every_picture():
    """Chi-squared over 1,000 epochs of 8 pictures: 49 degrees of freedom, 85.4 is the 0.1 % point."""
    batches = loader(Numbers(8), 8)
    counts = np.zeros((8, 8))
    for epoch in range(1000):
        counts[np.arange(8), batches._draw_order(epoch, 0).astype(int)] += 1
    assert ((counts - 125) ** 2 / 125).sum() < 85.4


def test_the_order_is_fixed_for_all_time():
    """Resumes on another machine, or with another release of numpy, must not change it."""
    assert loader(Numbers(10), 10, seed=1).batch(0).index.tolist() == [6, 1, 4, 5, 9, 0, 2, 8, 7, 3]


def test_views_differ_and_repeat_with_the_epoch():
    batches = loader(Numbers(4), 4, (RANDOM, RANDOM))
    first, second = batches.batch(0), batches.batch(1)  # two epochs of the same four pictures
    assert not np.array_equal(first.records[0], first.records[1])
    assert not np.array_equal(np.sort(first.records[0]["seed"]), np.sort(second.records[0]["seed"]))


# Purity


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(threads):
    views = (RANDOM, RANDOM)
    alone = list(loader(Numbers(30, (3, 4, 17)), views=views, stop=20))
    together = list(loader(Numbers(30, (3, 4, 17)), views=views, stop=20, threads=threads))
    assert same(alone, together)


def test_neither_do_the_threads_of_torch():
    """A thread of the loader computes alone, the training loop on all cores: the pixels are the same."""

    class Noise(Numbers):
        def image(self, i: int) -> Tensor:
            return torch.from_numpy(np.random.default_rng(i).integers(0, 256, (3, 70, 80), np.uint8))

    views = (replace(RANDOM, size=48),)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        alone = list(loader(Noise(40), 20, views, stop=2))
        together = list(loader(Noise(40), 20, views, stop=2, threads=2))
    finally:
        torch.set_num_threads(before)
    assert same(alone, together)


@pytest.mark.parametrize("threads", [0, 2])
def test_a_resumed_run_goes_on_with_the_very_same_batches(threads):
    broken = (0, 5, 6, 7, 11)
    whole = list(loader(Numbers(23, broken), views=(RANDOM,), stop=17, threads=threads))
    for k in (1, 6, 16):  # a fresh source each time: what it knows to be broken must not matter
        tail = list(loader(Numbers(23, broken), views=(RANDOM,), start=k, stop=17, threads=threads))
        assert same(tail, whole[k:])


def test_batches_may_be_drawn_in_any_order():
    batches = loader(Numbers(23, (2, 3)), views=(RANDOM,))
    backwards = [batches.batch(u) for u in reversed(range(6))]
    assert same(backwards[::-1], list(loader(Numbers(23, (2, 3)), views=(RANDOM,))))


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_the_rows_of_the_same_batch(world):
    broken = (1, 8, 9)
    recipe = Recipe(views=(RANDOM, PLAIN), mask=RandomMask(ratio=0.5, grid=(2, 2)))
    options = {"seed": 0, "stop": 9, "threads": 0}
    whole = list(ViewLoader([Numbers(30, broken)], recipe, 8, **options))
    share = 8 // world
    for rank in range(world):
        part = list(ViewLoader([Numbers(30, broken)], recipe, 8, **options, rank=rank, world=world))
        for mine, batch in zip(part, whole, strict=True):
            rows = batch.rows(slice(rank * share, (rank + 1) * share))
            # A renderer may add up in another order when it has fewer pictures at once; all else is equal.
            torch.testing.assert_close(mine.views, rows.views)
            assert same([replace(mine, views=[])], [replace(rows, views=[])])


def test_masks_belong_to_the_pictures():
    recipe = Recipe(views=(PLAIN,), mask=RandomMask(ratio=0.75, grid=(4, 4)))
    batches = [ViewLoader([Numbers(12)], recipe, size, seed=0, stop=12 // size, threads=0) for size in (3, 12)]
    by_picture = [
        {int(i): mask.tolist() for batch in each for i, mask in zip(batch.index, batch.masks, strict=True)}
        for each in batches
    ]
    assert by_picture[0] == by_picture[1]  # whatever batch they are in
    assert all(sum(mask) == 12 for mask in by_picture[0].values())


def test_memory_format():
    for channels_last in (False, True):
        view = loader(Numbers(8), views=(RANDOM,), channels_last=channels_last).batch(0).views[0]
        assert view.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        assert view.shape == (4, 3, 4, 4) and view.dtype == torch.float32


# Two domains


def test_two_domains_are_drawn_independently_and_an_epoch_is_the_longer_one():
    views = (PLAIN, View(size=2, crop="centre", flip=0.0, mean=(0, 0, 0), std=(1, 1, 1), source=1))
    batches = loader([Numbers(10), Numbers(40)], 8, views, stop=5)
    assert batches.steps_per_epoch == 5
    a, b = [], []
    for batch in batches:
        assert shown(batch.views[0]) == batch.index.tolist()
        a += shown(batch.views[0])
        b += shown(batch.views[1])
    assert np.bincount(a, minlength=10).tolist() == [4] * 10  # the shorter one comes round evenly
    assert max(b) >= 10 and len(set(b)) < 40  # with replacement: some twice, some not
    assert [i % 10 for i in b] != a
    again = loader([Numbers(10), Numbers(40)], 8, views, stop=5, threads=2)
    assert [shown(batch.views[1]) for batch in again] == [b[k : k + 8] for k in range(0, 40, 8)]
    longer_first = loader([Numbers(40), Numbers(10)], 8, views)
    assert longer_first.steps_per_epoch == 5 and sorted(
        i for u in range(5) for i in longer_first.batch(u).index
    ) == list(range(40))


def test_a_source_too_few_is_a_fault_and_one_too_many_is_not_looked_at():
    with pytest.raises(Fault, match="2 sources of pictures, and 1 is given"):
        loader(Numbers(8), views=(View(size=2, source=1),))
    spare = Numbers(100)
    assert loader([Numbers(8), spare]).steps_per_epoch == 2
    assert spare.asked == []


# Unreadable pictures


def test_unreadable_pictures_are_replaced_within_the_epoch_and_noted():
    source = Numbers(40, (3, 11, 25))
    order = [i for u in range(10) for i in loader(Numbers(40), 4).batch(u).index.tolist()]
    batches = loader(source, 4, stop=10)
    got = [batch.index.tolist() for batch in batches]
    assert sorted(source.skipped) == [3, 11, 25]
    for u, batch in enumerate(got):
        for k, index in enumerate(batch):
            position = 4 * u + k
            while order[position] in (3, 11, 25):
                position = (position + 4) % 40
            assert index == order[position]
        assert len(set(batch)) == 4  # nothing twice in a batch: it would be its own negative


def test_a_broken_picture_is_tried_once():
    source = Numbers(8, (2,))
    list(loader(source, 4, stop=20))
    assert source.asked.count(2) == 1


@pytest.mark.parametrize("readable", [1, 2, 7])
def test_few_readable_pictures_are_enough(readable):
    source = Numbers(30, tuple(range(readable, 30)))
    for batch in loader(source, 8, stop=6):
        assert set(batch.index.tolist()) <= set(range(readable))
    views = (PLAIN, View(size=2, source=1))
    for _ in loader([Numbers(30), source], 8, views, stop=6):
        pass


@pytest.mark.parametrize("threads", [0, 1])
def test_nothing_readable_is_a_fault(threads):
    source = Numbers(20, tuple(range(20)))
    with pytest.raises(Fault, match="none of the 20 pictures of numbers can be read; `unlabel scan`"):
        list(loader(source, threads=threads))
    assert len(source.skipped) == 20 and our_threads() == []


def test_a_folder_with_broken_files(tmp_path):
    for k in range(9):
        Image.new("RGB", (8, 8), (10 * k, 0, 0)).save(tmp_path / f"{k}.png")
    (tmp_path / "4.png").write_bytes(b"broken")
    folder = Folder(tmp_path)
    views = [batch.views[0] for batch in loader(folder, 3, stop=9, threads=2)]
    reds = {round(255 * red) for view in views for red in view[:, 0].flatten().tolist()}
    assert reds == {10 * k for k in range(9) if k != 4}
    assert [trouble.path for trouble in folder.skipped.values()] == [f"{tmp_path}/4.png"]


# Batch size


def test_a_batch_is_at_most_the_pictures_there_are():
    batches = loader(Numbers(5), 64)
    assert (batches.batch_size, batches.steps_per_epoch) == (5, 1)
    assert sorted(batches.batch(3).index.tolist()) == list(range(5))
    assert loader(Numbers(5), 64, world=2).batch_size == 4


@pytest.mark.parametrize(
    ("count", "batch_size", "world", "words"),
    [
        (1, 4, 1, "has 1 pictures; training needs at least 2"),
        (0, 4, 1, "has 0 pictures"),
        (3, 4, 4, "has 3 pictures; training needs at least 4"),
        (40, 10, 4, "a batch of 10 cannot be shared evenly by 4 processes"),
        (40, 0, 1, "at least 1"),
    ],
)
def test_batches_that_cannot_be(count, batch_size, world, words):
    with pytest.raises(Fault, match=words):
        loader(Numbers(count), batch_size, world=world)


# Threads


def test_random_numbers_of_the_training_loop_are_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(20)
    torch.manual_seed(5)
    got = []
    for _ in loader(Numbers(40), views=(RANDOM, RANDOM), stop=20, threads=2):
        got.append(torch.rand(()))
    assert torch.equal(torch.stack(got), expected)


def test_the_number_of_threads_that_torch_uses_is_left_alone():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    seen = []
    try:
        for _ in loader(Numbers(40), threads=2):
            seen.append(torch.get_num_threads())
        thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        thread.start()
        thread.join()
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {2}


def test_errors_of_a_thread_reach_the_loop():
    class Faulty(Numbers):
        def image(self, i: int) -> Tensor:
            if len(self.asked) >= 9:
                raise ZeroDivisionError("a bug")
            return super().image(i)

    taken = []
    with pytest.raises(ZeroDivisionError, match="a bug"):
        for batch in loader(Faulty(40), threads=1, stop=20):
            taken.append(batch)
    assert len(taken) == 2 and our_threads() == []


def test_leaving_early_leaves_no_threads():
    for batch in loader(Numbers(40), threads=2, stop=1000):
        assert len(batch) == 4 and our_threads()
        break
    gc.collect()
    assert our_threads() == []


def test_closing_stops_the_threads_of_an_iteration_that_somebody_holds_on_to():
    batches = loader(Numbers(40), threads=2, stop=1000)
    held = iter(batches)
    next(held)
    batches.close()
    assert our_threads() == []
    batches.close()
    loader(Numbers(40)).close()  # nothing to close


def test_a_loader_may_be_iterated_again():
    batches = loader(Numbers(40), views=(RANDOM,), threads=2)
    assert same(list(batches), list(batches))


def test_batches_are_drawn_ahead_and_no_further():
    source = Numbers(400)
    held = iter(loader(source, 4, threads=1, ahead=3, stop=100))
    next(held)
    deadline = time.monotonic() + 5
    while len(source.asked) < 16 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(source.asked) == 16  # the one taken and three more
    held.close()


def test_memory_does_not_grow():
    alive: list[weakref.ref] = []
    most = 0
    for batch in loader(Numbers(400), threads=2, ahead=2, stop=50):
        alive = [ref for ref in alive if ref() is not None] + [weakref.ref(batch.views[0])]
        most = max(most, len(alive))
    assert most <= 3


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_epochs_need_no_more_memory_than_three():
    def resident() -> float:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6

    batches = loader(Numbers(256), 64, (replace(RANDOM, size=48),) * 2, threads=2, stop=40)  # 3.5 MB a batch
    before = 0.0
    for update, _ in enumerate(batches):
        before = resident() if update == 12 else before
    assert resident() - before < 10


def test_batches_are_drawn_into_memory_that_is_free_again():
    places = {batch.views[0].data_ptr() for batch in loader(Numbers(400), threads=2, ahead=2, stop=50)}
    assert len(places) <= 6
    kept = list(loader(Numbers(400), threads=2, ahead=2, stop=50))
    assert len({batch.views[0].data_ptr() for batch in kept}) == 50


def test_views_of_any_type_and_number_of_channels():
    class Bands(Numbers):
        def image(self, i: int) -> Tensor:
            return super().image(i).repeat(2, 1, 1)

    view = RANDOM.for_channels(6)
    for dtype in (torch.float32, torch.bfloat16, torch.uint8):
        batch = loader(Bands(8), views=(view,), dtype=dtype).batch(0)
        assert batch.views[0].shape == (4, 6, 4, 4) and batch.views[0].dtype == dtype


def test_transforms_of_the_user_run_in_the_loop_thread_and_repeat():
    ran_in = set()

    def transform(picture: Image.Image) -> Tensor:
        ran_in.add(threading.current_thread())
        return torch.rand(3, 2, 2) + picture.getpixel((0, 0))[0]

    views = (RANDOM, View(size=2, transform=transform))
    threaded = list(loader(Numbers(40), views=views, threads=2))
    assert ran_in == {threading.current_thread()}
    assert same(threaded, list(loader(Numbers(40), views=views)))
    assert threaded[0].views[1].floor().amax(dim=(1, 2, 3)).tolist() == threaded[0].index.tolist()
