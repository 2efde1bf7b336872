"""What was the case in a run: decided by how it was made and by what labels say afterwards, never by its verdict.

The first of these that holds. "Labels" means that kNN or the linear probe of the finished backbone is better than that
of the same network with random weights by more than two standard errors and what two networks of random weights differ
by; where they do, nothing has failed, however the embeddings look.

    diverging             a loss or an embedding is not a finite number; or the run was made with far too high a rate,
                          labels do not speak for it, and its last losses are on average more than twice its first ones
    loss-at-collapse      labels do not speak for it, the last losses are on average within 2 % of a collapse value, and
                          it was made so that the loss tells nothing, or its images are assigned to all prototypes
                          alike (99 % of the entropy that there can be)
    collapsed             labels do not speak for it, and all embeddings are 0 (their std is below a hundredth of the
                          healthy one) or point the same way: their mean cosine is above 0.99, and 1 less it a quarter
                          of what it was with untrained weights, in the representation or in what the loss compares
    dimensional-collapse  labels do not speak for it, and the variance lies in fewer than two directions (participation
                          ratio), where it was twice as many with untrained weights, in either of the two
    too-short             it was made with a handful of updates, and labels do not speak for it
    plateau               labels speak for it, and the mean of live kNN over the last third of the readings is at most
                          one point above that over the third before
    learning              labels speak for it
    not-better-than-random   all others

After training there is no plateau: a run that learned has learned.
"""

import math
from statistics import fmean
from typing import Any

from unlabel.diagnostics import healthy_std
from unlabel.diagnostics.evidence import SEEDS, finite, margin

PLATEAU = 1.0  # points


def truth(found: dict[str, Any], *, afterwards: bool = False) -> str:
    """The state of a recorded run; `afterwards` as an evaluation has to say it."""
    losses = [loss for _, loss in found["losses"]]
    evaluation = found["evaluation"] or {}
    if not all(map(finite, losses)) or evaluation.get("non_finite") or not evaluation:
        return "diverging"
    if labels_speak_for(evaluation):
        return "plateau" if not afterwards and _flat(found["readings"]) else "learning"
    tenth = max(1, len(losses) // 10)
    first, last = fmean(losses[:tenth]), fmean(losses[-tenth:])
    if found["made"] == "diverging" and last > 2 * first > 0:
        return "diverging"
    values = found["collapse_values"].values()
    share = found["readings"][-1][1].get("assignment_entropy_share") if found["readings"] else None
    silent = found["made"] == "loss-at-collapse" or (finite(share) and share > 0.99)
    if silent and any(abs(last - v) <= 0.02 * max(1.0, abs(v)) for v in values):
        return "loss-at-collapse"
    clouds = _clouds(found, evaluation)
    if any(_one_direction(now, before) for now, before in clouds):
        return "collapsed"
    if any(_few_directions(now, before) for now, before in clouds):
        return "dimensional-collapse"
    if found["made"] == "too-short":
        return "too-short"
    return "not-better-than-random"


def labels_speak_for(evaluation: dict[str, Any]) -> bool:
    """Whether one of both accuracies is better than with random weights by more than noise."""
    queries = evaluation["protocol"]["queries"]
    for name in ("knn", "linear"):
        run, random = (_top1((evaluation.get(name) or {}).get(who)) for who in ("run", "random"))
        if run is not None and random is not None and run - random > margin(max(run, random), queries, SEEDS):
            return True
    return False


def _top1(score: Any) -> float | None:
    value = score.get("top1") if isinstance(score, dict) else score
    return float(value) if finite(value) else None


def _flat(readings: list[list[Any]]) -> bool:
    knn = [reading["knn"] for _, reading in readings if finite(reading.get("knn"))]
    third = len(knn) // 3
    return third > 0 and fmean(knn[-third:]) - fmean(knn[-2 * third : -third]) <= PLATEAU


def _clouds(found: dict[str, Any], evaluation: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    begun = found["readings"][0][1] if found["readings"] else {}
    before = {
        name.removeprefix("projection_"): value for name, value in begun.items() if name.startswith("projection_")
    }
    return [(evaluation, evaluation.get("untrained") or begun), (evaluation.get("projection") or {}, before)]


def _one_direction(now: dict[str, Any], before: dict[str, Any]) -> bool:
    cosine, untrained = now.get("mean_cosine"), before.get("mean_cosine")
    std, width = now.get("std"), now.get("dimensions")
    if finite(std) and finite(width) and std < 0.01 * healthy_std(int(width)):
        return True
    if not finite(cosine) or cosine <= 0.99:
        return False
    return not finite(untrained) or 1 - cosine <= (1 - untrained) / 4


def _few_directions(now: dict[str, Any], before: dict[str, Any]) -> bool:
    ratio, untrained = now.get("participation_ratio"), before.get("participation_ratio", math.inf)
    return finite(ratio) and ratio < 2 and (not finite(untrained) or untrained >= 2 * ratio)
