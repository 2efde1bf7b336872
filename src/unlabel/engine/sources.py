"""Which images train, and which ones evaluation remembers and asks about. Labels are never shown to training."""

from dataclasses import dataclass
from os.path import abspath

import numpy as np

from unlabel.data.open import Split, has_test_split, open_source
from unlabel.data.saliency import WithMasks
from unlabel.data.source import Cached, Source, Subset, Unreadable
from unlabel.data.tokens import Tokeniser
from unlabel.engine.kinds import kind_of
from unlabel.engine.machine import keep_freed_memory
from unlabel.engine.run import Run
from unlabel.errors import Fault

HELD_OUT = 0.1  # of labelled images without a test split of their own
MOST_HELD_OUT = 2_000
CACHE_BYTES = 2 << 30
SIZES = (32, 64, 96, 128, 224)


@dataclass(frozen=True)
class Sources:
    """Where images come from in one run.

    training: one source for each domain; memory, queries: what evaluation compares with and asks about;
    split: one sentence on how queries were chosen, for the protocol;
    tokenise: what the captions of training become ids by, for methods that read.
    """

    training: list[Source]
    memory: Source
    queries: Source
    split: str
    tokenise: Tokeniser | None = None

    @property
    def labelled(self) -> bool:
        """Whether memory and queries have labels, and are not the same images: each would be its own neighbour."""
        return self.memory is not self.queries and _labelled(self.memory) and _labelled(self.queries)

    def skipped(self) -> list[Unreadable]:
        """Files met so far that could not be read."""
        found: dict[str, Unreadable] = {}
        for source in (*self.training, self.memory, self.queries):
            found.update({trouble.path: trouble for trouble in source.skipped.values()})
        return list(found.values())


def _shuffled(count: int, seed: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(seed)).permutation(count)


def _divide(source: Source, share: float, most: int) -> tuple[Source, Source]:
    """A source in two by a fixed shuffle: the larger part, and `share` of it (at most `most` images)."""
    order = _shuffled(len(source), seed=0)
    cut = max(1, min(most, round(share * len(source))))
    return Subset(source, np.sort(order[cut:])), Subset(source, np.sort(order[:cut]))


def _limited(source: Source, limit: int | None) -> Source:
    if limit is None or limit >= len(source):
        return source
    return Subset(source, np.sort(_shuffled(len(source), seed=1)[:limit]))


def _labelled(source: Source) -> bool:
    return bool((source.labels >= 0).any())


def open_sources(run: Run) -> Sources:
    """Open the data of a run and divide it; Fault for data that is not there or does not fit together."""
    keep_freed_memory()
    sources = _opened(run)
    for other in (*sources.training[1:], sources.memory, sources.queries):
        same_channels(other, sources.training[0].channels, run.data)
    return sources


def same_channels(source: Source, channels: int, of: str) -> None:
    """Fault where a source's images have other than `channels` channels, which those of `of` have."""
    if source.channels != channels:
        raise Fault(
            f"the images of {source.name} have {source.channels} channels and those of {of} {channels}: they must agree"
        )


def _opened(run: Run) -> Sources:
    data = _limited(Cached(_open(run), CACHE_BYTES), run.limit)
    if run.data_b is not None:
        return _two_domains(run, data)
    if run.eval_data is not None:
        return _with_evaluation_data(run, data)
    if has_test_split(run.data):
        own = Cached(_open(run, "test"), CACHE_BYTES)
        return Sources([data], data, own, "queries: the data's own test split; memory: the training images")
    if _labelled(data) and len(data) >= 20:
        rest, held_out = _divide(data, HELD_OUT, MOST_HELD_OUT)
        return Sources(
            [rest],
            rest,
            held_out,
            f"queries: {len(held_out)} images held out of training; memory: the others",
        )
    return Sources([data], data, data, "no labels: images of the training data")


def _open(run: Run, split: Split = "train") -> Source:
    """The data of a run, with captions where its method reads and masks of objects where these are given."""
    reads = kind_of(run.method).captions
    try:
        source = open_source(run.data, split=split, captions=reads)
    except Fault:
        if split == "train" or not reads:
            raise
        source = open_source(run.data, split=split)  # for being asked about labels are enough
    if run.saliency is None:
        return source
    found = WithMasks(source, run.saliency, run.data)
    if split == "train" and not found.masked:
        first = f"that of {source.path(0)} would be {run.saliency}/{found.names[0]}"
        raise Fault(f"there is no mask of any picture of {source.name} in {run.saliency}: {first}")
    return found


def _two_domains(run: Run, data: Source) -> Sources:
    other = _limited(Cached(open_source(run.data_b or ""), CACHE_BYTES), run.limit)
    split = "the training images of both domains"
    memory, queries = data, other
    if run.eval_data and run.eval_data_b:
        memory, queries = open_source(run.eval_data), open_source(run.eval_data_b)
        split = "the evaluation data of both domains"
    elif has_test_split(run.data) and has_test_split(run.data_b or ""):
        memory = open_source(run.data, split="test")
        queries = open_source(run.data_b or "", split="test")
        split = "the test splits of both domains"
    return Sources([data, other], memory, queries, split)


def _with_evaluation_data(run: Run, data: Source) -> Sources:
    given = run.eval_data or ""
    if has_test_split(given):
        memory = Cached(open_source(given), CACHE_BYTES)
        asked = Cached(open_source(given, split="test"), CACHE_BYTES)
        return Sources([data], memory, asked, "memory and queries: train and test split of the evaluation data")
    queries: Source = Cached(open_source(given), CACHE_BYTES)
    if _labelled(data) and data.classes == queries.classes and not _overlap(data, queries):
        return Sources([data], data, queries, "queries: the evaluation data; memory: the training images")
    if _labelled(queries):
        rest, held_out = _divide(queries, 0.2, MOST_HELD_OUT)
        return Sources([data], rest, held_out, "memory and queries: four fifths and one fifth of the evaluation data")
    return Sources([data], queries, queries, "no labels: the evaluation data")


def _overlap(one: Source, other: Source) -> bool:
    """Whether an image is in both: asked about, it would be its own nearest neighbour."""
    there = {abspath(one.path(i)) for i in range(len(one))}
    return any(abspath(other.path(i)) in there for i in range(len(other)))


def image_size(source: Source) -> int:
    """The side of views that suits the data: by the median shorter side of up to 64 images spread over it."""
    sides = []
    for index in np.unique(np.linspace(0, len(source) - 1, 64).astype(int)):
        try:
            sides.append(min(source.image(int(index)).shape[1:]))
        except Unreadable:
            continue
    if not sides:
        raise Fault(f"{source.name}: none of the images looked at can be read; `unlabel scan` lists the reasons")
    return side_of_views(float(np.median(sides)))


def side_of_views(median: float) -> int:
    """The side of views that suits images of this median shorter side: that or less, and at most a quarter more."""
    return max((size for size in SIZES if size <= 1.25 * median), default=SIZES[0])
