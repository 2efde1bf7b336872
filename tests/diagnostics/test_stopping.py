"""When training may end early, on hand-made journals: each reading is asked as it comes."""

import math
from typing import Any

from tests.diagnostics.test_verdict import losses, reading
from unlabel.diagnostics import Stop, stop
from unlabel.diagnostics.stopping import COOL_DOWN, FAILED, LEAST

SATURATED = [30.0, 45.0, 55.0, 59.0, 60.0, 60.5, 60.2, 60.6, 60.4, 60.5, 60.3, 60.6, 60.5]


def asked(lines: list[dict[str, Any]], updates: int = 1200, **more: Any) -> Stop | None:
    """What is decided first, by the journal up to each reading in turn."""
    for place, line in enumerate(lines):
        if "monitor" in line and (found := stop(lines[: place + 1], updates=updates, **more)):
            return found
    return None


def curve(knn: list[float]) -> list[dict[str, Any]]:
    return [reading(100 * i, knn=value) for i, value in enumerate(knn)]


def test_a_plateau_ends_after_a_cool_down() -> None:
    found = asked(curve(SATURATED))
    assert found is not None and found.state == "plateau"
    first = next(i for i in range(LEAST, 13) if _is_plateau(SATURATED[: i + 1]))
    assert found.decided == 100 * first
    assert found.end == found.decided + math.ceil(COOL_DOWN * found.decided)
    assert "safe to stop" in found.sentence.lower() and found.advice


def _is_plateau(knn: list[float]) -> bool:
    from unlabel.diagnostics import verdict

    return verdict(curve(knn), final=None, finished=False).state == "plateau"


def test_one_weak_reading_is_no_plateau() -> None:
    rising = [30.0 + 3 * i for i in range(13)]
    assert asked(curve([*rising[:8], 48.0, *rising[9:]])) is None


def test_what_still_learns_goes_on() -> None:
    assert asked(curve([30.0 + 3 * i for i in range(13)])) is None


def test_nothing_ends_within_the_warm_up_or_before_enough_readings_after_it() -> None:
    flat = curve([30.0, 50.0, *([50.0] * 11)])
    early, late = asked(flat), asked(flat, warmup=0.35)
    assert early is not None and early.decided >= 100 * LEAST
    assert late is not None and late.decided >= 0.35 * 1200 + 100 * (LEAST - 1)


def test_a_plan_that_ends_sooner_than_the_cool_down_is_kept() -> None:
    lines = curve(SATURATED)
    found = asked(lines)
    assert found is not None
    assert asked(lines[: found.decided // 100 + 1], updates=found.end) is None
    assert asked(lines[: found.decided // 100 + 1], updates=found.end + 1) == found


def test_without_labels_and_without_movement_it_ends_too() -> None:
    lines = [
        line
        for i in range(13)
        for line in (*({"update": 100 * i - k, "loss": 5.0} for k in (60, 30)), reading(100 * i))
    ]
    found = asked(lines)
    assert found is not None and found.state == "plateau" and "no labels" in found.sentence
    falling = [{**line, "loss": 5 - 0.003 * line["update"]} if "loss" in line else line for line in lines]
    assert asked(falling) is None


def test_a_collapse_ends_at_once_where_it_stays() -> None:
    lines = [reading(0), *(reading(100 * i, std=1e-4) for i in range(1, 13))]
    found = asked(lines)
    assert found is not None and found.end == found.decided == 100 * (FAILED + 1)  # two readings are too few to judge
    # Readings that the warm-up holds do not count.
    later = asked(lines, warmup=0.25)
    assert later is not None and later.decided == 100 * (3 + FAILED - 1)


def test_a_dimensional_collapse_ends_nothing() -> None:
    assert asked([reading(0, dimensions_99=80), *(reading(100 * i, dimensions_99=1) for i in range(1, 13))]) is None


def test_a_collapse_that_training_recovers_from_does_not_end_it() -> None:
    stds = [0.04, 0.001, 0.001, 0.04, 0.001, 0.001, *([0.04] * 7)]
    learning = losses([5 - 0.002 * i for i in range(1200)])
    lines = sorted(
        learning + [reading(100 * i, std=std) for i, std in enumerate(stds)], key=lambda line: line["update"]
    )
    assert asked(lines) is None
    rising = [0.04, 0.0001, 0.0002, 0.0004, 0.0008, 0.0012, 0.0018]
    assert asked([reading(100 * i, std=std) for i, std in enumerate(rising)]) is None


def test_a_rising_loss_ends_it_at_the_third_reading() -> None:
    lines: list[dict[str, Any]] = []
    for i in range(13):
        lines += [{"update": 100 * i - 90 + 10 * k, "loss": 1.0 + 9 * (i > 4)} for k in range(10)] if i else []
        lines.append(reading(100 * i, knn=30.0 + 5 * i))
    found = asked(lines)
    assert found is not None and found.state == "diverging" and found.end == found.decided


def test_what_follows_the_last_reading_is_not_looked_at() -> None:
    lines = curve(SATURATED)
    found = asked(lines)
    assert found is not None
    upto = lines[: found.decided // 100 + 1]
    assert stop([*upto, {"update": 5000, "loss": math.nan}], updates=1200) == found
    assert stop([], updates=10) is None and stop(losses([1.0]), updates=10) is None
