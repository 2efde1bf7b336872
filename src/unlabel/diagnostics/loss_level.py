"""Does a loss sit at a value that it has where learning failed?"""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

LEAST = 10  # readings
TOLERANCE = 0.01  # of the value, or of 1 where it is smaller


class Level(NamedTuple):
    """value: where the loss sits; where: what is the case there, as in "all embeddings are equal"."""

    value: float
    where: str


def sits_at(losses: Sequence[float], values: Mapping[str, float], *, tolerance: float = TOLERANCE) -> Level | None:
    """Which of these values a loss sits at; None where it sits at none, or where there are fewer than ten readings.

    losses     its readings in order
    values     {what is the case: the loss there}, such as `Method.collapse_values`
    tolerance  how near the loss must be: as a share of max(1, |value|)

    It sits where the typical (median) distance of the last tenth of its readings, ten at least, is within the
    tolerance: of a few stray readings nothing follows. A loss may sit there for another reason. At its start a
    contrastive loss often does, and a task that is solved reaches the 0 of BYOL too: see what the embeddings say. The
    rule and its tolerance are ours.
    """
    last = losses[-max(LEAST, len(losses) // 10) :]
    if len(last) < LEAST or not all(map(math.isfinite, last)):
        return None
    apart = {where: median(abs(loss - value) for loss in last) for where, value in values.items()}
    near = [where for where in values if apart[where] <= tolerance * max(1.0, abs(values[where]))]
    if not near:
        return None
    where = min(near, key=apart.__getitem__)
    return Level(values[where], where)


def value_in_words(value: float) -> str:
    """A value of a loss as people know it: "ln 1024" where it is the logarithm of a whole number, else its digits."""
    whole = round(math.exp(value)) if 0.5 < value < 30 else 0
    return f"ln {whole}" if whole > 1 and math.isclose(math.log(whole), value, rel_tol=1e-9) else f"{value:.4g}"
