"""What to train with on some data, as plain values: every choice with its reason."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Choice:
    """One option of a run: its name, its value and why, in a sentence; follows: from the others, so it is not given."""

    name: str
    value: str
    reason: str
    follows: bool = False


@dataclass(frozen=True)
class Advice:
    """A run that suits some data, some time and this machine.

    command:  the whole command to start it.
    choices:  its options, in the order in which they were decided, and what follows from them.
    measured: what was timed here, one sentence each.
    notes:    what speaks against it, one sentence each.
    """

    command: str
    choices: list[Choice]
    measured: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
