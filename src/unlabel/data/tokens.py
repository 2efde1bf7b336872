"""Texts as numbers: byte pairs learnt from the captions at hand.

Sennrich, Haddow, Birch, Neural Machine Translation of Rare Words with Subword Units, arXiv 1508.07909: begin with the
256 bytes and merge the most frequent neighbours, over and over. No text is foreign to it. The work is done by the
library `tokenizers`, and what it learnt is a JSON file that any other user of that library opens.

    text     upper case and lower case are one, so are all blanks
    ids      0 filling, 1 start, 2 end, then 256 bytes, then merges
    row      start, text, end, filling up to `context`; a longer text is cut, and its end is kept
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unlabel.errors import Fault
from unlabel.nn.text import END, PAD, START

_SPECIAL = ("<PAD>", "<START>", "<END>")  # in the order of their ids
assert (PAD, START, END) == (0, 1, 2)


class Tokeniser:
    """Texts -> ids of tokens, int64 [B, context]. Threads may share it."""

    def __init__(self, library: Any) -> None:
        """library: a `tokenizers.Tokenizer` as `learn` makes it."""
        self.library = library
        self.library.encode_special_tokens = True  # "<END>" in a caption is four letters and two signs

    @classmethod
    def learn(cls, texts: Iterable[str], *, vocabulary: int, context: int) -> "Tokeniser":
        """The tokeniser of these texts, whatever their order: at most `vocabulary` ids, rows of `context`."""
        library = _library()
        made = library.Tokenizer(library.models.BPE())
        blanks = library.normalizers.Replace(library.Regex(r"\s+"), " ")
        made.normalizer = library.normalizers.Sequence(
            [library.normalizers.NFC(), library.normalizers.Lowercase(), blanks, library.normalizers.Strip()]
        )
        made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
        made.decoder = library.decoders.ByteLevel()
        made.train_from_iterator(
            texts,
            library.trainers.BpeTrainer(
                vocab_size=vocabulary, min_frequency=2, special_tokens=list(_SPECIAL), show_progress=False,
                initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            ),
        )  # fmt: skip
        made.post_processor = library.processors.TemplateProcessing(
            single="<START> $A <END>", special_tokens=[("<START>", START), ("<END>", END)]
        )
        made.enable_truncation(context)
        made.enable_padding(length=context, pad_id=PAD, pad_token="<PAD>")
        return cls(made)

    @classmethod
    def read(cls, file: str | Path) -> "Tokeniser":
        """The tokeniser that `as_json` wrote. Fault where the file is none."""
        try:
            made = cls(_library().Tokenizer.from_str(Path(file).read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise Fault(f"there is no tokeniser {file}") from None
        except Exception as problem:  # the library raises plain exceptions
            raise Fault(f"{file} is damaged or no tokeniser: {problem}") from problem
        ids = [made.library.token_to_id(token) for token in _SPECIAL]
        if ids != [PAD, START, END] or not made.library.padding or not made.library.truncation:
            raise Fault(f"{file} is not a tokeniser of this library")
        return made

    def as_json(self) -> str:
        """What `read` reads."""
        return str(self.library.to_str(pretty=True))

    @property
    def size(self) -> int:
        """How many ids there are."""
        return int(self.library.get_vocab_size())

    @property
    def context(self) -> int:
        """L, the length of a row."""
        return int(self.library.padding["length"])

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """[B, context] int64."""
        # One by one: a batch would take all cores from the step beside it, for two milliseconds of work.
        rows = [self.library.encode(text).ids for text in texts]
        return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), self.context)

    def normalised(self, text: str) -> str:
        """The text as it is tokenised; what `decode` gives back."""
        return str(self.library.normalizer.normalize_str(text))

    def decode(self, ids: Tensor) -> str:
        """The text of one row [L]."""
        return str(self.library.decode(ids.tolist(), skip_special_tokens=True)).strip()


def _library() -> Any:
    # Read when the library is imported: it would complain wherever a process is forked after it used its own threads.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import tokenizers

    return tokenizers
