"""Curves of progress: each is a pure function of how much of training is done, a number in [0, 1].

Nothing here counts steps or epochs, so a schedule is the same whatever the batch size, and resumes by itself.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence


def middle(update: int, total_updates: int) -> float:
    """The progress at the middle of an update: (update + 1/2) / total_updates, with update = 0, 1, ….

    Rates are read here, so that neither the first update (a warm-up starts from 0) nor the last (a cosine
    ends at 0) is made with a rate of exactly 0, and a run of one update works too.
    """
    return (update + 0.5) / total_updates


def constant(progress: float, start: float) -> float:
    """`start`, always."""
    return start


def linear(progress: float, start: float, end: float) -> float:
    """The straight line from `start` at progress 0 to `end` at progress 1."""
    return start + (end - start) * _within(progress)


def cosine(progress: float, start: float, end: float) -> float:
    """Half a cosine from `start` to `end`: end + (start − end)·(1 + cos(π·progress)) / 2.

    SGDR, arXiv 1608.03983, eq. 5. With `start` = m and `end` = 1 it is the momentum ramp of BYOL and DINO.
    """
    return end + (start - end) * (1 + math.cos(math.pi * _within(progress))) / 2


def linear_tail(progress: float, start: float, end: float) -> float:
    """`start` for the first half, then the straight line to `end` (CycleGAN, arXiv 1703.10593, section 4)."""
    return linear(2 * _within(progress) - 1, start, end)


def steps(progress: float, start: float, milestones: Sequence[float], shares: Sequence[float]) -> float:
    """`start`, and from each milestone on its share of `start`: milestones rise, and each has one share."""
    return start * (1.0, *shares)[bisect_right(milestones, progress)]


def warm_up(progress: float, fraction: float) -> float:
    """The factor of a linear warm-up: 0 at progress 0, 1 from progress = `fraction` on (arXiv 1706.02677)."""
    return 1.0 if progress >= fraction else _within(progress) / fraction


def cool_down(update: int, begin: int, end: int) -> float:
    """The factor of a linear cool-down over the updates begin .. end - 1: 1 before them, 0 from `end` on.

    Within them it is read at the middle of the update, as every rate is.
    """
    return 1.0 if update < begin else max(0.0, (end - update - 0.5) / (end - begin)) if update < end else 0.0


def _within(progress: float) -> float:
    return min(max(progress, 0.0), 1.0)
