"""Pictures with texts: what captions are, where they lie beside a picture, and which one an epoch shows."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from unlabel.data.folder import Folder
from unlabel.data.source import Look, Source, Unreadable, digest
from unlabel.errors import Fault
from unlabel.views.philox import CAPTIONS, words

Tokenise = Callable[[Sequence[str]], Tensor]
"""B texts -> ids of tokens, int64 [B, L] (`tokens.Tokeniser` is one)."""

NONE = "it has no caption"
LONGEST = 1 << 16  # bytes of a file of captions


class Captioned(Source):
    """Another source whose pictures have texts. A picture without one is refused, as one that cannot be read is.

    texts    for each picture its captions, cleaned; () where there are none
    reasons  why there are none, by position, where more is known than that

    Raises Fault where no picture has a caption.
    """

    def __init__(
        self, source: Source, texts: Sequence[tuple[str, ...]], reasons: Mapping[int, str] | None = None
    ) -> None:
        super().__init__(source.name, source.labels, source.classes, source.factors, source.channels)
        if not any(texts):
            raise without_captions(source.name)
        self.source, self.texts, self.reasons = source, texts, dict(reasons or {})
        self.captioned = True

    def __len__(self) -> int:
        return len(self.source)

    def captions(self, i: int) -> tuple[str, ...]:
        """The texts of picture i."""
        return self.texts[i]

    def image(self, i: int) -> Tensor:
        """Picture i; see `Source.image`."""
        with self.noting(i):
            return self._told(i).image(i)

    def look(self, i: int) -> Look:
        """Picture i; see `Source.look`."""
        return self.watched(i, lambda: self._told(i).look(i))

    def _told(self, i: int) -> Source:
        """The source, if picture i has a caption."""
        if not self.texts[i]:
            raise Unreadable(self.path(i), self.reasons.get(i, NONE))
        return self.source

    def kept(self) -> float:
        """As the source."""
        return self.source.kept()

    @property
    def masked(self) -> bool:
        """As the source."""
        return self.source.masked

    def mask(self, i: int) -> Tensor | None:
        """The mask of picture i."""
        return self.source.mask(i)

    def path(self, i: int) -> str:
        """The name of picture i."""
        return self.source.path(i)

    def fingerprint(self) -> str:
        """Covers the pictures as their source does, and all texts."""
        texts = (part for some in self.texts for part in (str(len(some)), *some))
        return digest([self.source.fingerprint(), *texts])


def without_captions(name: str) -> Fault:
    """What to raise where texts are needed and pictures have none."""
    return Fault(
        f"{name} has no captions: give a folder of pictures with a text beside each (cat.jpg, cat.txt), a table "
        "FILE.csv, FILE.jsonl or FILE.parquet of paths and captions, tar shards, or shapes"
    )


def cleaned(found: Any) -> tuple[str, ...]:
    """Captions as read, a text or a list of texts: without empty ones, each blank or line break one blank."""
    several = found if isinstance(found, list | tuple) else [found]
    # A lone surrogate, which JSON can hold, is no character: nothing could write or tokenise it.
    texts = (str(text).encode("utf-8", "replace").decode() for text in several if isinstance(text, str))
    return tuple(line for line in (" ".join(text.split()) for text in texts) if line)


def lines(content: bytes) -> tuple[str, ...]:
    """The captions in a file, one on each line. Raises ValueError with a reason where it is not text."""
    try:
        return cleaned(content.decode("utf-8-sig").splitlines())
    except UnicodeDecodeError:
        raise ValueError("its caption is not UTF-8 text") from None


def beside(folder: Folder) -> Captioned:
    """The pictures of a folder with what the text files of the same names say: cat.txt beside cat.jpg."""
    texts: list[tuple[str, ...]] = []
    reasons: dict[int, str] = {}
    for i in range(len(folder)):
        file = os.path.splitext(folder.file(i))[0] + ".txt"
        try:
            texts.append(_read(file))
        except OSError as error:
            texts.append(())
            reasons[i] = f"its caption cannot be read: {error.strerror or error}"
        except ValueError as wrong:
            texts.append(())
            reasons[i] = str(wrong)
    return Captioned(folder, texts, reasons)


def _read(file: str) -> tuple[str, ...]:
    if not os.path.isfile(file):  # nor a pipe, which would be waited for
        raise ValueError(f"{NONE}: there is no text file of its name beside it")
    with open(file, "rb") as stream:
        content = stream.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise ValueError(f"its caption is longer than {LONGEST:,} bytes")
    return lines(content)


def tokens_of(
    tokenise: Tokenise | None, source: Source, indices: np.ndarray, *, seed: int, epoch: int
) -> Tensor | None:
    """Ids [B, L] of one caption of each picture of a batch; None where nothing reads them."""
    return None if tokenise is None else tokenise(drawn(source, indices, seed=seed, epoch=epoch))


def drawn(source: Source, indices: np.ndarray, *, seed: int, epoch: int) -> list[str]:
    """One caption of each picture, all of a picture's equally likely: a function of (seed, epoch, picture) alone."""
    word = words(1, seed=seed, epoch=epoch, indices=indices, stream=CAPTIONS)[:, 0]  # [B] of 32 bits
    texts = (source.captions(int(i)) for i in indices)
    return [some[int(w) * len(some) >> 32] for some, w in zip(texts, word, strict=True)]
