"""How numbers are made: one frozen record, written beside every one of them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unlabel.evaluation.kinds import Declared
from unlabel.views import View

PIXELS = "pixels at 32 x 32 or less, each image's mean and the memory's mean image taken away"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way to evaluate. Numbers compare only where everything here is equal.

    k, temperature  nearest neighbours that vote, with weights exp(cos / temperature)
    memory          at most so many images whose labels are known to the probes
    queries         at most so many images that are asked about
    seed            of the choice of images, of the random-weight control and of the linear probe's held-out part
    l2              penalties that the linear probe chooses from, strongest first
    view            what is shown to the network, in words
    layer           which features are looked at
    weights         whose: the teacher's or the student's, where a method has both
    data            the collection
    split           how queries were kept apart from training
    """

    k: int = 20
    temperature: float = 0.07
    memory: int = 20_000
    queries: int = 5_000
    seed: int = 0
    l2: tuple[float, ...] = (1.0, 1e-1, 1e-2, 1e-3)
    view: str = "largest central square, resized"
    layer: str = "what the method's `embed` returns, before any head"
    weights: str = "those that `embed` uses"
    data: str = ""
    split: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The record as plain values for JSON."""
        stated = {
            "data": self.data,
            "split": self.split,
            "memory": self.memory,
            "queries": self.queries,
            "k": self.k,
            "temperature": self.temperature,
            **self.seen(),
            "linear": {
                "classifier": "logistic regression, L-BFGS on all images at once",
                "features": "standardised by the memory's mean and standard deviation",
                "l2": list(self.l2),
                "chosen_on": "a tenth of the memory",
            },
            "random": f"the same backbone with random weights (seed {self.seed}), batch norm set on the memory",
            "pixels": PIXELS,
            "seed": self.seed,
        }
        return Declared("frozen", stated).as_dict()

    def seen(self) -> dict[str, str]:
        """What every kind of number says of the network: whose weights, which layer, which view."""
        return {"weights": self.weights, "layer": self.layer, "view": self.view}

    def shown(self, view: View) -> "Protocol":
        """The same with what this view shows, in words."""
        resized = f"{view.size} px, {view.interpolation} with antialiasing"
        what = f"largest central square at {resized}" if view.crop == "centre" else f"{view.crop} crop at {resized}"
        return replace(self, view=what)


def balanced(labels: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """At most `limit` positions with as equal numbers of each label as there are, by a fixed shuffle.

    labels [n] (those of -1 are a class of their own); returns positions in rising order. Where a class has too few
    images, the others share what it leaves.
    """
    if len(labels) <= limit:
        return np.arange(len(labels))
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(labels))
    # The rank of each image within its class; taking the lowest ranks first deals one of each class in turn.
    by_class = order[np.argsort(labels[order], kind="stable")]
    starts = np.r_[0, np.flatnonzero(np.diff(labels[by_class])) + 1]
    lengths = np.diff(np.r_[starts, len(labels)])
    rank = np.arange(len(labels)) - np.repeat(starts, lengths)
    return np.sort(by_class[np.argsort(rank, kind="stable")[:limit]])
