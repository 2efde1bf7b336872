import math

import pytest

from unlabel.optim import curves


def test_middle_of_updates() -> None:
    assert [curves.middle(u, 4) for u in range(4)] == [0.125, 0.375, 0.625, 0.875]
    assert curves.middle(0, 1) == 0.5


@pytest.mark.parametrize("curve", [curves.linear, curves.cosine, curves.linear_tail])
def test_curves_run_from_start_to_end_and_stay_there(curve) -> None:
    assert curve(0.0, 3.0, 1.0) == 3.0
    assert curve(1.0, 3.0, 1.0) == 1.0
    assert curve(-0.5, 3.0, 1.0) == 3.0
    assert curve(1.5, 3.0, 1.0) == 1.0


def test_values_on_the_way() -> None:
    assert curves.linear(0.25, 2.0, 6.0) == 3.0
    assert curves.cosine(0.5, 2.0, 6.0) == pytest.approx(4.0)
    assert curves.cosine(0.25, 1.0, 0.0) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert curves.linear_tail(0.5, 2.0, 0.0) == 2.0
    assert curves.linear_tail(0.75, 2.0, 0.0) == 1.0
    assert curves.constant(0.7, 2.0) == 2.0


def test_steps_fall_at_their_milestones() -> None:
    at = (0.0, 0.39, 0.4, 0.69, 0.7, 1.0)
    assert [curves.steps(p, 2.0, (0.4, 0.7), (0.5, 0.25)) for p in at] == [2.0, 2.0, 1.0, 1.0, 0.5, 0.5]
    assert curves.steps(0.9, 2.0, (), ()) == 2.0


@pytest.mark.parametrize("t", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_cosine_is_the_teachers_ramp(t: float) -> None:
    expected = 1 - (1 - 0.996) * (math.cos(math.pi * t) + 1) / 2
    assert curves.cosine(t, 0.996, 1.0) == pytest.approx(expected, rel=1e-15)


def test_warm_up() -> None:
    assert [curves.warm_up(p, 0.2) for p in (0.0, 0.1, 0.2, 0.9)] == [0.0, 0.5, 1.0, 1.0]
    assert curves.warm_up(0.0, 0.0) == 1.0


def test_a_cool_down_goes_from_1_to_0_at_the_middles_of_its_updates() -> None:
    assert [curves.cool_down(update, 10, 14) for update in (0, 9, 10, 11, 12, 13, 14, 20)] == [
        1.0, 1.0, 0.875, 0.625, 0.375, 0.125, 0.0, 0.0,
    ]  # fmt: skip
    assert curves.cool_down(9, 9, 9) == 0.0 and curves.cool_down(8, 9, 9) == 1.0
