"""May training end before its plan does? Verdicts at readings decide it, and nothing else.

Asked right after a reading, with the journal up to there; the verdict is that of `verdict` while training.

    plateau   the verdict is a plateau, which several readings have part in, at the sixth reading since the end of the
              warm-up or later. The learning rate then falls in a straight line to 0 over 15 % of the updates done, for
              much of what a schedule gains it gains while the rate falls. Where the plan ends sooner than that, nothing
              is shortened.
    failure   the verdict is collapsed or diverging at three readings one after the other, all after the warm-up, during
              which the embeddings did not spread out again (no std and no effective rank grew by half): training ends
              there. A dimensional collapse is no failure here: there are systems that learn while it is seen in their
              loss.

A state that training recovers from must not end it. A decision is a function of the journal alone: what a run would
have done can be told from the journal of one that went on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unlabel.diagnostics.evidence import PROJECTION, finite
from unlabel.diagnostics.verdict import Verdict, verdict

LEAST = 6
FAILURES = ("collapsed", "diverging")
FAILED = 3
COOL_DOWN = 0.15
_SPREADS = ("std", "effective_rank", f"{PROJECTION}std", f"{PROJECTION}effective_rank")


@dataclass(frozen=True)
class Stop:
    """The decision to end training early, in plain values.

    state             that of the verdict which decided
    decided           after which update
    end               after which update training ends; in between the learning rate falls to 0
    sentence, advice  of the verdict
    """

    state: str
    decided: int
    end: int
    sentence: str
    advice: str


def stop(
    history: Sequence[dict[str, Any]],
    *,
    updates: int,
    warmup: float = 0.0,
    collapse_values: Mapping[str, float] | None = None,
) -> Stop | None:
    """Whether training ends early, by the newest reading; None: it goes on as planned.

    history          lines of metrics.jsonl, see `verdict`; what follows the last reading is not looked at
    updates          of the whole plan
    warmup           share of them in which the rate rises
    collapse_values  of the method
    """
    places = [
        place
        for place, line in enumerate(history)
        if "monitor" in line and line["update"] > 0 and line["update"] >= warmup * updates
    ]
    if not places:
        return None
    now = int(history[places[-1]]["update"])

    def at(place: int) -> Verdict:
        return verdict(history[: place + 1], final=None, finished=False, collapse_values=collapse_values)

    found, end = at(places[-1]), now
    if found.state == "plateau":
        kept = len(places) >= LEAST
        end += max(1, math.ceil(COOL_DOWN * now))
    elif found.state in FAILURES:
        last = places[-FAILED:]
        kept = len(last) == FAILED and all(at(place).state in FAILURES for place in last[:-1])
        kept = kept and not _spreads_out(history[last[0]]["monitor"], history[last[-1]]["monitor"])
    else:
        return None
    return Stop(found.state, now, end, found.sentence, found.advice) if kept and end < updates else None


def _spreads_out(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    pairs = [(before.get(name), after.get(name)) for name in _SPREADS]
    return any(finite(old) and finite(new) and new > 1.5 * old for old, new in pairs)
