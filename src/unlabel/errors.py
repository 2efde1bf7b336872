"""What the user did wrong, in one sentence each; the command line prints them and exits with status 2."""

import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from os import PathLike


class Fault(Exception):
    """A mistake of the user's: one sentence that says what, where and what to do."""


class Faults(Fault):
    """Several mistakes found at once, so that they can be mended at once.

    faults: one sentence each.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint that ends a sentence about an unknown name: "; did you mean `x`?", or nothing."""
    asked, lower = word.lower(), {name.lower(): name for name in known}
    begun = sorted((name for name in lower if len(asked) > 2 and name.startswith(asked)), key=len)
    match = get_close_matches(asked, lower, n=1) or begun
    return f"; did you mean `{lower[match[0]]}`?" if match else ""


def command(*words: object) -> str:
    """A command of unlabel for a sentence, as a shell takes it: `unlabel report 'runs/[set b]-1'`."""
    return shlex.join(["unlabel", *map(str, words)])


@contextmanager
def writing(file: str | PathLike[str]) -> Iterator[None]:
    """Inside, the file of this name is written; what the system has against it becomes a Fault."""
    try:
        yield
    except OSError as problem:
        raise Fault(f"{file} cannot be written: {problem.strerror or problem}") from None


class Interrupted(Exception):
    """Somebody asked training to stop, and everything is saved; the message says how to go on."""
