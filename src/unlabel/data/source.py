"""Where pictures come from: a source is a numbered, finite collection of pictures, decoded one at a time.

Labels are carried along for evaluation where a collection has them; nothing that trains ever sees them.
"""

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from unlabel.errors import Fault

SMALL = 256 * 256  # pixels: up to here a picture is always decoded whole, and may be kept so


class Unreadable(Exception):
    """A picture that cannot be read. Runs go on without it and list it at the end.

    path:   printable name of the picture.
    reason: a few words for the user, such as "the file is cut short".
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Look:
    """A picture whose size is known, and whose pixels may still have to be decoded.

    size    (height, width)
    pixels  uint8 [C, H, W] of at least the (height, width) it is given, or of `size` for None. A larger picture may
            come smaller than it is. It may be shared: do not write into it. Raises Unreadable.
    """

    size: tuple[int, int]
    pixels: Callable[[tuple[int, int] | None], Tensor]

    @classmethod
    def of(cls, image: Tensor) -> "Look":
        """A picture that is decoded already."""
        return cls((image.shape[1], image.shape[2]), lambda least: image)


class Source(ABC):
    """A collection of pictures.

    name:    what the user called it.
    labels:  [n] int64, the class of each picture, -1 where unknown.
    classes: the names of classes 0, 1, ..., or None when there are no classes.
    factors: other known facts of each picture by name, [n] each, or None; for evaluation only.
    channels: of every picture, 3 (RGB) wherever files are read; arrays may have any number.
    captioned: whether pictures have texts; one without is then refused like one that cannot be read.
    skipped: pictures that turned out to be unreadable so far, by position; `image` fills it.
    """

    def __init__(
        self,
        name: str,
        labels: np.ndarray,
        classes: list[str] | None = None,
        factors: dict[str, np.ndarray] | None = None,
        channels: int = 3,
    ) -> None:
        self.name = name
        self.labels = labels
        self.classes = classes
        self.factors = factors
        self.channels = channels
        self.captioned = False
        self.skipped: dict[int, Unreadable] = {}

    @abstractmethod
    def __len__(self) -> int:
        """The number of pictures, readable or not."""

    @abstractmethod
    def image(self, i: int) -> Tensor:
        """Picture i, uint8 [C, H, W], channels apart or side by side in memory. It may be shared: do not write into it.

        Raises Unreadable, after noting it in `skipped`, when there is no such picture to be had.
        Threads may call it at the same time.
        """

    def look(self, i: int) -> Look:
        """Picture i, to be decoded when it is known how large it is needed; otherwise as `image`.

        What a look's `pixels` raises is noted in `skipped` too.
        """
        return Look.of(self.image(i))

    def kept(self) -> float:
        """Share of the pictures, from 0 to 1, that stay decoded in memory once they were looked at; an estimate."""
        return 0.0

    @property
    def masked(self) -> bool:
        """Whether it is known where the salient objects of pictures are."""
        return False

    def mask(self, i: int) -> Tensor | None:
        """Where the salient object of picture i is: uint8 [1, H, W], 255 on it and 0 elsewhere; None: not known.

        It has the picture's size, and may be shared. A mask of zeros: nothing stands out.
        """
        return None

    @abstractmethod
    def path(self, i: int) -> str:
        """A printable name of picture i: its path where it has one, exact where the path is UTF-8."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A sha256 in hexadecimal digits that tells this collection from others."""

    def captions(self, i: int) -> tuple[str, ...]:
        """The texts of picture i: one or several where `captioned`, except for pictures that are refused."""
        return ()

    def refuse(self, i: int, reason: str) -> Unreadable:
        """Notes that picture i cannot be read; returns the exception for `image` to raise."""
        # The one that is kept is never raised: a traceback would keep the bytes of the file alive.
        self.skipped[i] = Unreadable(self.path(i), reason)
        return Unreadable(self.path(i), reason)

    def hopeless(self) -> Fault:
        """What to raise where none of the pictures can be read."""
        return Fault(f"none of the {len(self)} pictures of {self.name} can be read; `unlabel scan` lists the reasons")

    @contextmanager
    def noting(self, i: int) -> Iterator[None]:
        """Inside, that a picture cannot be read is noted as being picture i of this source."""
        try:
            yield
        except Unreadable as unreadable:
            raise self.refuse(i, unreadable.reason) from None

    def watched(self, i: int, make: Callable[[], Look]) -> Look:
        """The look that `make` returns, with failures noted, of making it and of its pixels."""
        with self.noting(i):
            look = make()

        def pixels(least: tuple[int, int] | None) -> Tensor:
            with self.noting(i):
                return look.pixels(least)

        return Look(look.size, pixels)


class Subset(Source):
    """Some pictures of another source, renumbered 0, 1, ... in the order of `indices`."""

    def __init__(self, source: Source, indices: Sequence[int] | np.ndarray) -> None:
        self.source = source
        self.indices = np.asarray(indices, dtype=np.int64)
        if len(self.indices) and not 0 <= self.indices.min() <= self.indices.max() < len(source):
            raise IndexError(f"indices of a subset must be in [0, {len(source)})")
        factors = source.factors and {key: facts[self.indices] for key, facts in source.factors.items()}
        super().__init__(source.name, source.labels[self.indices], source.classes, factors, source.channels)
        self.captioned = source.captioned

    def __len__(self) -> int:
        return len(self.indices)

    def image(self, i: int) -> Tensor:
        """Picture i of the subset; see `Source.image`."""
        with self.noting(i):
            return self.source.image(int(self.indices[i]))

    def look(self, i: int) -> Look:
        """Picture i of the subset; see `Source.look`."""
        return self.watched(i, lambda: self.source.look(int(self.indices[i])))

    def captions(self, i: int) -> tuple[str, ...]:
        """The texts of picture i of the subset."""
        return self.source.captions(int(self.indices[i]))

    def path(self, i: int) -> str:
        """The name that picture i has in the whole source."""
        return self.source.path(int(self.indices[i]))

    def kept(self) -> float:
        """As the whole source: which of its pictures come first is not known."""
        return self.source.kept()

    @property
    def masked(self) -> bool:
        """As the whole source."""
        return self.source.masked

    def mask(self, i: int) -> Tensor | None:
        """Mask i of the subset."""
        return self.source.mask(int(self.indices[i]))

    def fingerprint(self) -> str:
        """Covers the whole source and the choice made from it."""
        return digest([self.source.fingerprint(), self.indices.tobytes()])


class Cached(Source):
    """Another source whose small pictures are kept in memory, decoded, first come, until `max_bytes` are full.

    Those of more than `max_pixels` are decoded each time, and no larger than they are needed.

    Pictures are visited in a new random order each epoch, so throwing old ones out would gain nothing.
    """

    def __init__(self, source: Source, max_bytes: int, max_pixels: int = SMALL) -> None:
        super().__init__(source.name, source.labels, source.classes, source.factors, source.channels)
        self.captioned = source.captioned
        self.source = source
        self.skipped = source.skipped
        self.max_bytes, self.max_pixels = max_bytes, max_pixels
        self.bytes = 0  # of pictures and masks
        self._of_images = 0
        self._images: dict[int, Tensor] = {}
        self._masks: dict[int, Tensor] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.source)

    def image(self, i: int) -> Tensor:
        """Picture i, decoded at most once by each thread that asks before it is kept."""
        kept = self._images.get(i)
        return self._keep(i, self.source.image(i)) if kept is None else kept

    def look(self, i: int) -> Look:
        """Picture i; large ones still to be decoded."""
        kept = self._images.get(i)
        if kept is not None:
            return Look.of(kept)
        look = self.source.look(i)
        small = look.size[0] * look.size[1] <= self.max_pixels
        return Look.of(self._keep(i, look.pixels(None))) if small else look

    def captions(self, i: int) -> tuple[str, ...]:
        """The texts of picture i."""
        return self.source.captions(i)

    def kept(self) -> float:
        """From the size of those that are kept already; 0 before there is one."""
        return min(1.0, self.max_bytes / (self._of_images / len(self._images) * len(self))) if self._images else 0.0

    def _keep(self, i: int, image: Tensor) -> Tensor:
        if image.shape[1] * image.shape[2] <= self.max_pixels:
            with self._lock:
                if i not in self._images and self.bytes + image.nbytes <= self.max_bytes:
                    self._images[i] = image
                    self.bytes += image.nbytes
                    self._of_images += image.nbytes
        return image

    def path(self, i: int) -> str:
        """The name of picture i."""
        return self.source.path(i)

    @property
    def masked(self) -> bool:
        """As the source."""
        return self.source.masked

    def mask(self, i: int) -> Tensor | None:
        """The mask of picture i; small ones are kept as pictures are."""
        if i in self._masks:
            return self._masks[i]
        mask = self.source.mask(i)
        if mask is not None and mask.nbytes <= self.max_pixels:
            with self._lock:
                if i not in self._masks and self.bytes + mask.nbytes <= self.max_bytes:
                    self._masks[i] = mask
                    self.bytes += mask.nbytes
        return mask

    def fingerprint(self) -> str:
        """That of the source: a cache changes no picture."""
        return self.source.fingerprint()


def digest(parts: Iterable[bytes | str]) -> str:
    """sha256 of several parts, hexadecimal; where one part ends and the next begins counts."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()
