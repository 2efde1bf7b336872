import math

import pytest

from unlabel.diagnostics import sits_at

VALUES = {"all embeddings are equal": math.log(511), "all scores are 0": 0.0}


def test_it_sits_where_the_last_readings_are():
    losses = [9.0] * 300 + [6.20 + 0.02 * (i % 3) for i in range(60)]
    assert sits_at(losses, VALUES) == (math.log(511), "all embeddings are equal")
    assert sits_at([0.004] * 10, VALUES).where == "all scores are 0"


def test_it_sits_nowhere_else():
    assert sits_at([5.5] * 50, VALUES) is None
    assert sits_at([6.24] * 50 + [5.5] * 50, VALUES) is None  # it has left
    assert sits_at([6.24] * 50, {}) is None


def test_a_few_stray_readings_change_nothing():
    assert sits_at([6.24] * 96 + [60.0] * 4, VALUES) is not None


def test_the_nearest_value_wins():
    near = {"this": 4.00, "that": 4.03}
    assert sits_at([4.02] * 20, near).where == "that" and sits_at([4.01] * 20, near).where == "this"


@pytest.mark.parametrize(("loss", "value", "sits"), [(8100.0, 8192.0, False), (8120.0, 8192.0, True),
                                                     (-0.995, -1.0, True), (-0.98, -1.0, False),
                                                     (0.02, 0.0, False), (0.009, 0.0, True)])  # fmt: skip
def test_the_tolerance_is_a_share_of_the_value_or_of_one(loss, value, sits):
    assert (sits_at([loss] * 10, {"": value}) is not None) is sits


def test_too_little_to_say_anything():
    assert sits_at([6.24] * 9, VALUES) is None
    assert sits_at([], VALUES) is None
    assert sits_at([6.24] * 20 + [math.nan], VALUES) is None
