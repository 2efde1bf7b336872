"""Every recipe names options that exist, with values that the option's own check accepts."""

import pytest

from unlabel import methods
from unlabel.engine.kinds import TAUGHT
from unlabel.engine.options import check
from unlabel.errors import Fault
from unlabel.recipes import choose, recipes

ALL = [(method, recipe) for method in methods.available() for recipe in recipes(method)]


@pytest.mark.parametrize(("method", "recipe"), ALL, ids=lambda value: value)
def test_values_are_valid_options(method: str, recipe: str) -> None:
    make = recipes(method)[recipe]
    second = {"data_b": "shapes"} if methods.get(method).family == "translation" else {}
    check(method, {"data": "shapes", **second, **make()})
    assert make.__doc__, "a recipe says what it is for and what it costs"


@pytest.mark.parametrize("method", methods.available())
def test_every_method_has_a_recipe_for_small_and_for_large_images(method: str) -> None:
    assert {"paper", "small", "large"} <= set(recipes(method))
    assert recipes(method)["paper"]() == {}


def test_auto_goes_by_data_then_by_size() -> None:
    assert choose("simclr", "auto", data="shapes:500", size=32)[0] == "shapes"
    assert choose("simclr", "auto", data="photos", size=32)[0] == "small"
    assert choose("simclr", "auto", data="photos", size=224)[0] == "large"
    with pytest.raises(Fault, match="did you mean `small`"):
        choose("simclr", "smal", data="photos", size=32)


@pytest.mark.parametrize(("task", "recipe"), [(task, recipe) for task in TAUGHT for recipe in recipes(task)])
def test_what_goes_on_from_a_run_has_recipes_too(task: str, recipe: str) -> None:
    assert {"paper", "small", "large"} <= set(recipes(task))
    check(task, {"data": "shapes", **recipes(task)[recipe]()})
