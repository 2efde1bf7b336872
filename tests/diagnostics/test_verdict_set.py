"""The set of runs that verdicts are judged by: its entries can be run, what counts as true, and the page made of it."""

import importlib
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PLACE = Path(__file__).parents[2] / "benchmarks" / "verdicts"
NAMES = ("entries", "records", "truth", "tables")


def load() -> list[ModuleType]:
    """The modules of the set, which import each other by these names; other folders of benchmarks use some of them too."""
    before = {name: sys.modules.pop(name) for name in NAMES if name in sys.modules}
    sys.path.insert(0, str(PLACE))
    try:
        return [importlib.import_module(name) for name in NAMES]
    finally:
        sys.path.remove(str(PLACE))
        for name in NAMES:
            sys.modules.pop(name, None)
        sys.modules.update(before)


entries, records, truth, tables = load()


def record(name: str, knn: list[float], *, run: float, random: float = 20.0, **more: Any) -> dict[str, Any]:
    """A run of 1,200 updates with readings of these accuracies, and an evaluation."""
    entry = entries.ENTRIES[name]
    shape = {"dimensions": 128, "images": 500, "std": 0.08, "mean_cosine": 0.2, "effective_rank": 60.0}
    readings = [[100 * i, {**shape, "knn": value}] for i, value in enumerate(knn)]
    evaluation = {**shape, "protocol": {"queries": 2000}, "knn": {"run": run, "random": random}, "linear": None,
                  "non_finite": 0, "untrained": shape, "projection": None}  # fmt: skip
    found = {"name": name, "made": entry.made, "method": entry.method, "data": entry.data, "of": entry.of,
             "updates": 1200, "warmup": 0.1, "collapse_values": {}, "stopped": None, "readings": readings,
             "losses": [[i, 5 - i / 600] for i in range(1, 1200)], "evaluation": evaluation}  # fmt: skip
    return {**found, **more}


RISING = [20.0 + 3 * i for i in range(13)]
FLAT = [20.0, 35.0, 45.0, 49.0, 50.0, 50.3, 50.1, 50.4, 50.2, 50.3, 50.1, 50.4, 50.3]
NAME, LONG = "plateau-simclr-cifar10", "overlong-simclr-cifar10"


def test_the_set_is_large_and_varied_and_its_options_are_valid() -> None:
    from unlabel.engine.options import check

    assert len(entries.RUNS) >= 60 and len({run.name for run in entries.RUNS}) == len(entries.RUNS)
    assert len({run.method for run in entries.RUNS}) >= 15 and len({run.data for run in entries.RUNS}) >= 3
    for entry in entries.ENTRIES.values():
        check(entry.method, {**entry.options, "data": "shapes"})


def test_halves_are_even_in_each_kind() -> None:
    half = entries.halves()
    counts = Counter((run.made, half[run.name]) for run in entries.RUNS)
    assert all(abs(counts[run.made, "tuning"] - counts[run.made, "test"]) <= 2 for run in entries.RUNS)
    assert {half[name] for name in entries.SEEN} == {"tuning"}


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({}, "learning"),
        ({"readings": record(NAME, FLAT, run=50.0)["readings"]}, "plateau"),
        ({"losses": [[1, 5.0], [2, None]]}, "diverging"),
    ],
)
def test_what_counts_as_true(more: dict[str, Any], state: str) -> None:
    assert truth.truth(record(NAME, RISING, run=56.0, **more)) == state


def test_labels_outvote_everything_but_numbers() -> None:
    equal = {"mean_cosine": 0.9999, "std": 0.0005}
    for run, state in ((56.0, "learning"), (20.5, "collapsed")):
        found = record(NAME, RISING, run=run)
        found["evaluation"] |= equal
        assert truth.truth(found) == state
    dead = record(NAME, RISING, run=20.0)
    dead["evaluation"] |= {"mean_cosine": 0.0, "std": 0.0}
    assert truth.truth(dead) == "collapsed"
    line = record(NAME, RISING, run=20.0)
    line["evaluation"] |= {"projection": {"participation_ratio": 1.5}}
    line["readings"][0][1] |= {"projection_participation_ratio": 8.0}
    assert truth.truth(line) == "dimensional-collapse"
    assert truth.truth(record(NAME, FLAT, run=50.0), afterwards=True) == "learning"
    assert truth.truth(record(NAME, RISING, run=21.0)) == "not-better-than-random"


def test_a_run_is_judged_with_and_without_labels_and_its_end_foretold() -> None:
    found = record(NAME, FLAT, run=50.0)
    assert tables.pair(found, "with labels") == ("plateau", "plateau")
    assert tables.pair(found, "evaluated") == ("learning", "learning")
    assert "kNN" not in tables.judged(found, "without labels").sentence
    ends = tables.simulated(found, labels=True)
    assert ends is not None and ends.state == "plateau" and ends.end < 1200
    assert tables.simulated(found, labels=False) is None  # its loss still falls


def test_the_page_is_made_of_whatever_records_there_are() -> None:
    bare = tables.page({})
    assert "on 0 of" in bare and bare.index("\n## The rules\n") < bare.index("\n## What counts as true\n")
    assert (
        "the feature std is below 5 % of 1/sqrt(D), its healthy value" in bare
        and "over 15 % of the updates done" in bare
    )
    whole, short = record(LONG, FLAT, run=50.0), record(f"{LONG}-stop", FLAT, run=49.2)
    short["stopped"] = {"updates": 700}
    page = tables.page({LONG: whole, f"{LONG}-stop": short, NAME: record(NAME, FLAT, run=50.0)})
    assert "1 of 1 ended early; on average 42 % of the updates were saved and 0.8 points of kNN lost, at most" in page
    assert f"`{NAME}`" in page and "| 1200 | 700 | 42 % | 50.0 % | 49.2 % | +0.8 |" in page


def test_confusion_and_scores() -> None:
    pairs = [("learning", "learning")] * 3 + [("plateau", "learning")] + [("plateau", "plateau")]
    assert "| learning | 3 | 0.75 (3/4) | 1.00 (3/3) |" in tables.scores(pairs)
    assert "| plateau | 2 | 1.00 (1/1) | 0.50 (1/2) |" in tables.scores(pairs)
    assert "| plateau | 1 | **1** |" in tables.confusion(pairs) and tables.right(pairs) == "0.80 (4/5)"


def test_an_alarm_is_right_whatever_it_calls_the_failure() -> None:
    pairs = [("collapsed", "dimensional-collapse"), ("collapsed", "learning"), ("learning", "plateau"),
             ("plateau", "diverging"), ("diverging", "diverging")]  # fmt: skip
    assert "precision 0.67 (2/3), recall 0.67 (2/3)" in tables.alarm(pairs)


def test_the_page_in_the_docs_is_that_of_the_records() -> None:
    found = {name: one for name, one in records.load().items() if name in entries.ENTRIES}
    assert tables.page(found) == tables.PAGE.read_text(), "run benchmarks/verdicts/tables.py"
