"""The numbers of one run, sorted by what they can prove; `verdict` draws the conclusions."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any, TypeGuard

from unlabel.diagnostics.loss_level import sits_at

READ_QUERIES = 500  # images behind a reading that does not say how many
PROJECTION = "projection_"
"""How the names of a reading begin that speak of what the loss compares, where that is not the representation."""
# Points by which two networks of random weights differ (standard deviation). Over six seeds of a small ResNet on
# CIFAR-10, 4,000 images remembered and 2,000 asked, one network has 0.8 by kNN and 1.4 by the linear probe. Measured
# near 25 %; closer to 0 and 100 % there is less room to differ, so it goes with sqrt(p (100 - p)).
SEEDS, SEEDS_AT = 1.8, 25.0
UNIFORM = 0.99  # of the entropy that assignments to prototypes can have
STILL_FALLING = 0.2  # of what the loss fell in all
CAME_DOWN = 0.05  # of the value where the loss sits, or of 1 where it is smaller


class Evidence:
    """What was measured in a run.

    last       the last update there is a line of; None: there are no lines
    losses     the logged losses, in order, finite or not
    level      where the loss sits, if that is a value it has where learning failed
    updates    when each reading was taken
    readings   the monitors' numbers
    evaluated  whether there is an evaluation of embeddings
    latest     the newest measure of the embeddings' shape: the evaluation's, else the last reading's
    projection the same of what the loss compares; empty where that is the representation
    queries    labelled images behind the evaluation's accuracies
    """

    def __init__(
        self,
        history: Sequence[dict[str, Any]],
        final: dict[str, Any] | None,
        finished: bool,
        collapse_values: Mapping[str, float] | None = None,
    ) -> None:
        self.final = final or {}
        self.finished = finished
        known = [int(line["update"]) for line in history if "update" in line]
        self.last = max(known, default=None)
        self.losses = [line["loss"] for line in history if "loss" in line]
        self.level = sits_at([float(loss) for loss in self.losses if finite(loss)], collapse_values or {})
        readings = [line for line in history if "monitor" in line]
        self.updates = [int(line.get("update", 0)) for line in readings]
        self.readings: list[dict[str, Any]] = [line["monitor"] for line in readings]
        self.evaluated = finite(self.final.get("std"))
        self.latest: dict[str, Any] = self.final if self.evaluated else (self.readings[-1] if self.readings else {})
        self.projection = _projection(self.latest)
        self.queries = int((self.final.get("protocol") or {}).get("queries") or 0)

    @property
    def untrained(self) -> dict[str, Any]:
        """The same measure of random weights: the evaluation's control, else the reading before the first update."""
        control = self.final.get("untrained")
        if self.evaluated and control:
            return dict(control)
        return self._begun

    @property
    def _begun(self) -> dict[str, Any]:
        """The reading before any update; empty where there is none."""
        return self.readings[0] if self.readings and self.updates[0] == 0 else {}

    @property
    def clouds(self) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
        """What may have collapsed, with words for where it is: its shape, and the same with untrained weights."""
        return [("", self.latest, self.untrained), (" in the loss", self.projection, _projection(self._begun))]

    @property
    def uniform(self) -> bool:
        """Whether images are assigned to all prototypes alike, and the loss sits where that puts it."""
        share = self.readings[-1].get("assignment_entropy_share") if self.readings else None
        return self.level is not None and finite(share) and share > UNIFORM

    # ------------------------------------------------------------ readings

    def column(self, name: str) -> list[float]:
        """The finite values of one entry of the readings."""
        return [float(reading[name]) for reading in self.readings if finite(reading.get(name))]

    @property
    def knn(self) -> list[float]:
        """Live kNN in %, one for each reading; empty where any reading lacks it."""
        found = self.column("knn")
        return found if len(found) == len(self.readings) else []

    @property
    def read_margin(self) -> float:
        """The margin of live kNN, by how many images it asked about; older readings asked about all of theirs."""
        last = self.readings[-1]
        return margin(max(self.knn), int(last.get("knn_queries") or last.get("images") or READ_QUERIES))

    @property
    def late_gain(self) -> float:
        """Points that live kNN gained: the mean over the last third of its readings less that over the third before."""
        third = len(self.knn) // 3
        return fmean(self.knn[-third:]) - fmean(self.knn[-2 * third : -third]) if third else 0.0

    @property
    def still_rising(self) -> bool:
        """Whether that is more than noise: the same images are asked at every reading, and several are averaged."""
        return self.late_gain > self.read_margin / 4

    @property
    def loss_quarters(self) -> tuple[float, float, float] | None:
        """Medians of the loss over the first quarter, the middle half and the last quarter."""
        known = [float(loss) for loss in self.losses if finite(loss)]
        quarter = len(known) // 4
        if not quarter:
            return None
        return median(known[:quarter]), median(known[quarter:-quarter]), median(known[-quarter:])

    @property
    def loss_fell(self) -> bool:
        """Whether the loss is lower in the last quarter than in the first, by more than a hundredth."""
        if self.loss_quarters is None:
            return False
        start, _, end = self.loss_quarters
        return start - end > 0.01 * abs(start)

    @property
    def loss_falls(self) -> bool:
        """Whether the loss still fell in the last quarter: by a fifth of what it fell in all, which is not nothing."""
        if self.loss_quarters is None:
            return False
        start, middle, end = self.loss_quarters
        return self.loss_fell and middle - end > STILL_FALLING * (start - end)

    @property
    def stuck(self) -> bool:
        """Whether the loss sits where it does when learning failed, and was never well above: then it is to blame.

        The solution of BYOL's task sits there too, but comes down to it.
        """
        if self.level is None:
            return False
        quarters = self.loss_quarters
        return quarters is None or quarters[0] - self.level.value <= CAME_DOWN * max(1.0, abs(self.level.value))

    # ------------------------------------------------------------ evaluation

    def score(self, name: str, who: str) -> float | None:
        """A top-1 accuracy of the evaluation in %: name "knn" or "linear", who "run", "random" or "pixels"."""
        value = (self.final.get(name) or {}).get(who)
        value = value.get("top1") if isinstance(value, dict) else value
        return float(value) if finite(value) else None

    def lead(self, name: str, over: str) -> float | None:
        """Points by which the run beats a control, less the margin; None where one of them was not measured."""
        run, control = self.score(name, "run"), self.score(name, over)
        if run is None or control is None:
            return None
        return run - control - margin(max(run, control), self.queries, SEEDS if over == "random" else 0.0)

    def leads(self, over: str) -> dict[str, float]:
        """The leads that exist, by the accuracy's name."""
        found = {name: self.lead(name, over) for name in ("knn", "linear")}
        return {name: lead for name, lead in found.items() if lead is not None}

    @property
    def proven(self) -> bool:
        """Whether an evaluation with labels shows that the embeddings are better than those of untrained weights."""
        return max(self.leads("random").values(), default=0.0) > 0

    @property
    def vindicated(self) -> bool:
        """Whether labels show that the embeddings are better than those of untrained weights."""
        if self.leads("random"):
            return self.proven
        third = max(1, len(self.knn) // 3)
        return len(self.knn) >= 2 and fmean(self.knn[-third:]) - self.knn[0] > self.read_margin


def _projection(shape: dict[str, Any]) -> dict[str, Any]:
    """The part of a measure that speaks of what the loss compares: an entry of an evaluation, names of a reading."""
    part = shape.get("projection")
    if isinstance(part, dict):
        return part
    return {name.removeprefix(PROJECTION): value for name, value in shape.items() if name.startswith(PROJECTION)}


def margin(accuracy: float, count: int, seeds: float = 0.0) -> float:
    """Two standard errors of an accuracy in % on `count` images; one point at least, less near 0 and 100 %.

    seeds  standard deviation in points that the choice of a random seed adds at an accuracy of `SEEDS_AT` %
    """
    edge = 100 / max(count, 1)  # one image: all of them right, or none, is no proof that the next is so too
    p = min(max(accuracy, edge), 100 - edge) if count > 1 else 50.0
    drawn, chosen = p * (100 - p) / max(count, 1), seeds**2 * p * (100 - p) / (SEEDS_AT * (100 - SEEDS_AT))
    return max(min(1.0, p / 4, (100 - p) / 4), 2 * math.sqrt(drawn + chosen))


def finite(value: Any) -> TypeGuard[float]:
    """Whether this is a number that says something."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
