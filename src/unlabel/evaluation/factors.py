"""What does a representation know of the facts that made an image? For collections that know them.

Each factor is read from frozen, standardised features by ridge regression: numbers directly, angles as their sine
and cosine, classes as one-hot vectors of which the largest wins,

    W = argmin 1/n |Y - X W|² + l2 |W|²,

with the penalty chosen for each factor on a tenth of the training images. All factors share one decomposition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unlabel.evaluation.kinds import Declared
from unlabel.evaluation.linear import standardise
from unlabel.evaluation.protocol import Protocol

PENALTIES = (10.0, 1.0, 1e-1, 1e-2, 1e-3)
ANGLES = ("angle", "orientation", "rotation")
"""Numbers whose name ends in one of these words are angles in radians."""
_FEW = 5  # held-out images below which a penalty cannot be chosen


def factor_scores(
    train: Float[Tensor, "n d"],
    train_factors: Mapping[str, np.ndarray],
    test: Float[Tensor, "m d"],
    test_factors: Mapping[str, np.ndarray],
    *,
    seed: int = 0,
) -> dict[str, float]:
    """How well each factor can be read: accuracy in per cent for classes, R² for numbers.

    train, test    [n, D] and [m, D] frozen features
    *_factors      name -> [n] or [m]; integers are classes, floats are numbers
    seed           of the shuffle that picks the tenth

    R² = 1 - squared error / squared distance to the test mean; below zero where the mean would have been better.
    A factor that does not vary in the test set is left out.
    """
    x, scale = standardise(train)
    names = [name for name, facts in test_factors.items() if len(np.unique(facts)) > 1]
    if not names:
        return {}
    goals = {name: _Goal.of(name, train_factors[name], test_factors[name]) for name in names}
    order = torch.from_numpy(np.random.Generator(np.random.Philox(seed)).permutation(len(x)))
    held_out, rest = order[: len(x) // 10], order[len(x) // 10 :]
    chosen = dict.fromkeys(names, PENALTIES[len(PENALTIES) // 2])
    if len(held_out) >= _FEW:
        tried = _ridge(x[rest.to(x.device)], [goal.train[rest] for goal in goals.values()], x[held_out.to(x.device)])
        for number, (name, goal) in enumerate(goals.items()):
            truth = goal.train[held_out]
            chosen[name] = max(PENALTIES, key=lambda l2: (goal.score(tried[l2][number], truth), l2))
    found = _ridge(x, [goal.train for goal in goals.values()], scale(test))
    return {
        name: goal.score(found[chosen[name]][number], goal.test) for number, (name, goal) in enumerate(goals.items())
    }


def declared_factors(protocol: Protocol, *, memory: int, queries: int) -> Declared:
    """How factors are read; `protocol` says what the network is shown."""
    return Declared(
        "factors",
        {
            **protocol.seen(),
            "memory": memory,
            "queries": queries,
            "probe": "ridge regression on standardised features, classes as one-hot vectors",
            "penalties": list(PENALTIES),
            "chosen_on": "a tenth of the memory, for each factor",
            "angles": "as sine and cosine",
            "word": "from 0 guessing to 1 perfect: kept from 0.5 and 0.9 of the better control on, discarded below 0.1 "
            "or half of it",
            "seed": protocol.seed,
        },
    )


def kind(facts: np.ndarray) -> str:
    """ "class" for whole numbers, "regression" for others."""
    return "class" if facts.dtype.kind in "iub" else "regression"


def chance(train: np.ndarray, test: np.ndarray) -> float:
    """What guessing scores: the commonest training class's accuracy in per cent, 0 for R²."""
    if kind(train) == "regression":
        return 0.0
    values, counts = np.unique(train, return_counts=True)
    return 100 * float((test == values[counts.argmax()]).mean())


def word(entry: Mapping[str, Any]) -> str:
    """ "kept", "partly" or "discarded": how much of a factor is left, given what the controls show of it.

    With scores counted from guessing (0) to perfection (1) and `best` that of the better control:
    kept at 0.5 or more, if also at 0.9 best or more; discarded below 0.1 or below best / 2; partly in between.
    """
    top = 100.0 if entry["kind"] == "class" else 1.0
    share = {
        who: (entry[who] - entry["chance"]) / (top - entry["chance"])
        for who in ("run", "random", "pixels")
        if entry.get(who) is not None
    }
    run, best = share["run"], max([score for who, score in share.items() if who != "run"], default=0.0)
    if run < 0.1 or run < best / 2:
        return "discarded"
    return "kept" if run >= 0.5 and run >= 0.9 * best else "partly"


@dataclass(frozen=True)
class _Goal:
    """What is regressed for one factor: [n, T] and [m, T], and whether the largest column is a class."""

    classes: bool
    train: Tensor
    test: Tensor

    @classmethod
    def of(cls, name: str, train: np.ndarray, test: np.ndarray) -> "_Goal":
        """One-hot classes; sine and cosine of an angle; other numbers in units of their spread."""
        if kind(train) == "class":
            known = np.unique(np.concatenate((train, test)))
            a, b = (facts[:, None] == known for facts in (train, test))
        elif name.rpartition("_")[2] in ANGLES:
            a, b = (np.stack((np.sin(facts), np.cos(facts)), axis=1) for facts in (train, test))
        else:
            unit = float(train.std()) or 1.0
            a, b = ((facts[:, None] - train.mean()) / unit for facts in (train, test))
        as_tensor = (torch.from_numpy(values.astype(np.float32)) for values in (a, b))
        return cls(kind(train) == "class", *as_tensor)

    def score(self, predicted: Tensor, truth: Tensor) -> float:
        """Accuracy in per cent, or R² over all columns."""
        if self.classes:
            return 100 * float((predicted.argmax(dim=1) == truth.argmax(dim=1)).double().mean())
        wrong, spread = predicted.double() - truth, truth.double() - truth.double().mean(dim=0)
        return 1 - float(wrong.square().sum() / spread.square().sum().clamp(min=1e-12))


def _ridge(x: Tensor, targets: Sequence[Tensor], asked: Tensor) -> dict[float, tuple[Tensor, ...]]:
    """Predictions for `asked` [m, D] by every penalty: penalty -> for each target [m, T], on the host."""
    both = torch.cat(list(targets), dim=1).to(x)  # [n, all T]
    at, mean = x.mean(dim=0), both.mean(dim=0)
    centred = x - at
    gram = (centred.T @ centred / len(x)).cpu().double()
    cross = (centred.T @ (both - mean) / len(x)).cpu().double()
    found = {}
    for l2 in PENALTIES:
        root = torch.linalg.cholesky(gram + l2 * torch.eye(len(gram), dtype=torch.float64))
        predicted = (asked - at) @ torch.cholesky_solve(cross, root).to(x) + mean  # [m, all T]
        found[l2] = predicted.cpu().split([target.shape[1] for target in targets], dim=1)
    return found
