"""Subsets and caches are the source they wrap, renumbered or kept in memory."""

import gc
import pickle
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

from unlabel.data.source import Cached, Source, Subset, Unreadable, digest


class Toy(Source):
    """Ten pictures of 12 bytes; number 3 cannot be read."""

    def __init__(self) -> None:
        super().__init__("toy", np.arange(10) % 3, ["a", "b", "c"], {"angle": np.linspace(0, 1, 10)})
        self.decoded: list[int] = []

    def __len__(self) -> int:
        return 10

    def image(self, i: int) -> Tensor:
        self.decoded.append(i)
        if i == 3:
            raise self.refuse(i, "broken")
        return torch.full((3, 2, 2), i, dtype=torch.uint8)

    def path(self, i: int) -> str:
        return f"toy/{i}"

    def fingerprint(self) -> str:
        return digest(["toy"])


def test_an_unreadable_picture_says_which_and_why_and_survives_pickling():
    error = pickle.loads(pickle.dumps(Unreadable("a.jpg", "the file is empty")))
    assert (error.path, error.reason, str(error)) == ("a.jpg", "the file is empty", "a.jpg: the file is empty")


def test_what_is_kept_of_a_failure_holds_no_memory():
    class Content:
        pass

    def fail(source: Source) -> weakref.ref:
        content = Content()
        try:
            raise source.refuse(3, "broken")
        except Unreadable:
            return weakref.ref(content)

    source = Toy()
    content = fail(source)
    gc.collect()
    assert content() is None and source.skipped[3].__traceback__ is None


def test_subset_renumbers_pictures_labels_and_facts():
    subset = Subset(Toy(), [5, 3, 0])
    assert len(subset) == 3
    assert subset.image(0)[0, 0, 0] == 5
    assert subset.path(2) == "toy/0"
    assert subset.labels.tolist() == [2, 0, 0] and subset.classes == ["a", "b", "c"]
    assert subset.factors is not None
    np.testing.assert_array_equal(subset.factors["angle"], np.linspace(0, 1, 10)[[5, 3, 0]])


def test_subset_notes_failures_under_its_own_numbers():
    subset = Subset(Toy(), [5, 3, 0])
    with pytest.raises(Unreadable, match="toy/3: broken"):
        subset.image(1)
    assert list(subset.skipped) == [1] and list(subset.source.skipped) == [3]


def test_subset_fingerprint_tells_choices_apart():
    toy = Toy()
    assert Subset(toy, [1, 2]).fingerprint() != Subset(toy, [2, 1]).fingerprint() != toy.fingerprint()
    assert Subset(toy, [1, 2]).fingerprint() == Subset(toy, np.array([1, 2])).fingerprint()


@pytest.mark.parametrize("indices", [[10], [-1]])
def test_subset_of_pictures_that_are_not_there(indices):
    with pytest.raises(IndexError, match="10"):
        Subset(Toy(), indices)


def test_cache_decodes_once_while_there_is_room():
    toy = Toy()
    cached = Cached(toy, max_bytes=24)  # two pictures
    for i in (0, 1, 2, 0, 1, 2):
        assert cached.image(i)[0, 0, 0] == i
    assert toy.decoded == [0, 1, 2, 2]
    assert cached.bytes == 24
    assert cached.fingerprint() == toy.fingerprint() and cached.path(4) == "toy/4" and len(cached) == 10


def test_cache_shares_the_list_of_failures():
    cached = Cached(Toy(), max_bytes=1000)
    with pytest.raises(Unreadable):
        cached.image(3)
    assert list(cached.skipped) == [3]


def test_cache_counts_right_when_threads_decode_the_same_picture_at_once():
    class Slow(Toy):
        def image(self, i: int) -> Tensor:
            gate.wait(5)
            return super().image(i)

    gate = threading.Barrier(4)
    cached = Cached(Slow(), max_bytes=1000)
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(cached.image, [7] * 4))
    assert all(image[0, 0, 0] == 7 for image in images)
    assert cached.bytes == 12


def test_digest_minds_where_parts_end():
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    assert digest(["é"]) == digest(["é".encode()])
    assert digest(["caf\udce9"]) == digest([b"caf\xe9"])  # a name that is not UTF-8, as Python holds it
