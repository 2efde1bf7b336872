from unlabel.reporting.words import (
    counted,
    duration,
    finite,
    listed,
    memory,
    number,
    percent,
    short_name,
    spread,
    title_of,
)


def test_numbers_are_rounded_as_one_says_them() -> None:
    said = {12_345: "12,345", 12_345.6: "12,346", 512.34: "512.3", 51.34: "51.3", 5.134: "5.13", 0.05134: "0.0513",
            -3.04: "−3.04", 1e-6: "1e−06", 0.0: "0"}  # fmt: skip
    assert {value: number(value) for value in said} == said
    assert number(float("nan")) == "not a number"
    assert number(float("-inf")) == "minus infinite"
    assert number(None) == "–"


def test_finite_takes_numbers_only() -> None:
    assert finite(3) == 3.0
    assert [finite(v) for v in (True, "3", None, float("nan"), float("inf"))] == [None] * 5


def test_units() -> None:
    assert [duration(s) for s in (8.44, 200, 4312.4, 200_000)] == ["8.4 s", "3 min 20 s", "1 h 11 min", "2 days 7 h"]
    assert duration(59.97) == "60.0 s"
    assert [memory(m) for m in (640, 1931)] == ["640 MB", "1.9 GB"]
    assert [percent(v) for v in (71.34, None)] == ["71.3 %", "–"]


def test_phrases() -> None:
    assert [counted(n, "file", "files") for n in (1, 3000)] == ["1 file", "3,000 files"]
    assert [listed(parts) for parts in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert title_of("random_walk-2") == "Random walk 2"
    assert [short_name(s) for s in ("/data/cifar10/train", "/train", "./train")] == ["cifar10/train", "train", "train"]
    assert [short_name(s) for s in ("/data/cats", "hf:org/cats", "shapes:200")] == ["cats", "hf:org/cats", "shapes:200"]


def test_spread_is_mean_and_deviation_over_seeds() -> None:
    assert spread([40.0, 42.0]) == "41.0 ± 1.4"
    assert spread([-3.0], 2) == "−3.00" and spread([]) == "–"
