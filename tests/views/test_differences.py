"""How two views differ, on records written by hand."""

import numpy as np
import pytest

from unlabel.views import DIFFERENCES, RECORD, differences, named, sample


def record(**fields) -> np.ndarray:
    made = np.zeros(1, RECORD)
    made["source_height"], made["source_width"] = 40, 80
    made["height"], made["width"] = 10, 20
    for name in ("brightness", "contrast", "saturation"):
        made[name] = 1.0
    for name, value in fields.items():
        made[name] = value
    return made


def differ(**fields) -> dict[str, float]:
    """What differs from the plain record, by name."""
    (found,) = differences(record(), record(**fields))
    return {name: float(value) for name, value in zip(DIFFERENCES, found, strict=True) if abs(value) > 1e-6}


def test_equal_views_differ_in_nothing() -> None:
    assert differ() == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"top": 10}, {"row": 0.25}),
        ({"left": 20}, {"column": 0.25}),
        ({"flip": True}, {"flip": 1.0}),
        ({"brightness": 1.25}, {"brightness": 0.25}),
        ({"contrast": 0.5}, {"contrast": -0.5}),
        ({"saturation": 1.5}, {"saturation": 0.5}),
        ({"hue": -0.125}, {"hue": -0.125}),
        # Twice the side around the same middle.
        ({"height": 20, "width": 40, "top": -5, "left": -10}, {"area": np.log(4)}),
        ({"height": 20, "top": -5}, {"area": np.log(2), "ratio": -np.log(2)}),
    ],
)
def test_one_change_is_one_number(fields: dict, expected: dict) -> None:
    assert differ(**fields) == pytest.approx(expected)


def test_the_other_way_round_is_the_opposite_but_for_flips() -> None:
    views = named("byol", 32).views
    first, second = (
        sample(view, seed=0, epoch=0, view_index=k, indices=np.arange(50), sizes=np.full((50, 2), 48))
        for k, view in enumerate(views)
    )
    there, back = differences(first, second), differences(second, first)
    flip = DIFFERENCES.index("flip")
    assert there.shape == (50, len(DIFFERENCES)) and there.dtype == np.float32
    np.testing.assert_array_equal(there[:, flip], back[:, flip])
    np.testing.assert_allclose(np.delete(there, flip, 1), -np.delete(back, flip, 1), atol=1e-6)
    assert (there.std(axis=0) > 0).all()
