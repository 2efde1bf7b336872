"""Everything that the engine can train, by name: the methods, and what goes on from a run with labels."""

from unlabel import methods
from unlabel.engine.distilling import Distillation
from unlabel.engine.finetuning import FineTuning
from unlabel.methods import Method

TAUGHT: dict[str, type[Method]] = {"finetune": FineTuning, "distil": Distillation}
"""Trained with labels, from a run on; `unlabel NAME RUN` does it. They are no methods of the catalogue."""


def kind_of(name: str) -> type[Method]:
    """The class behind a name; Fault with the nearest method's name if there is none."""
    return TAUGHT[name] if name in TAUGHT else methods.get(name)
