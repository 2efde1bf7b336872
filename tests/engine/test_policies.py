"""View policies: what the options of a run make of any method's views."""

from dataclasses import fields, replace

import pytest

from unlabel.engine.options import check
from unlabel.engine.policies import refreshes, with_policies
from unlabel.engine.run import Run
from unlabel.errors import Fault, Faults
from unlabel.views import NAMES, Background, View, named


def test_without_options_nothing_changes() -> None:
    for name in NAMES:
        recipe = named(name, 32)
        assert with_policies(recipe, Run(), negatives=True) is recipe


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"crops": "contrastive", "crop_alpha": 0.6}, {"crop": "contrastive", "crop_alpha": 0.6}),
        ({"crops": "central"}, {"crop": "contrastive", "crop_region": (0.25, 0.25, 0.75, 0.75)}),
        ({"crops": "salient", "crop_cover": 0.5}, {"crop": "salient", "crop_cover": 0.5}),
        ({"crops": "random"}, {"crop": "random_resized"}),
    ],
)
def test_crops_change_the_crop_of_every_view_and_nothing_else(options, changes) -> None:
    for name in ("simclr", "byol", "dino-small", "mae"):
        recipe = named(name, 32)
        led = with_policies(recipe, Run(**options), negatives=False)
        assert led.mask == recipe.mask and len(led.views) == len(recipe.views)
        for before, after in zip(recipe.views, led.views, strict=True):
            assert after == replace(before, **changes)


def test_a_policy_takes_the_place_of_another() -> None:
    recipe = replace(named("simclr", 32), views=(View(size=32, crop="salient"),))
    assert with_policies(recipe, Run(crops="random"), negatives=False).views[0].crop == "random_resized"


@pytest.mark.parametrize(("name", "size"), [("rotation", 32), ("cut", 32)])
def test_views_without_random_crops_are_refused(name: str, size: int) -> None:
    with pytest.raises(Fault, match="leave out the option `crops`"):
        with_policies(named(name, size), Run(crops="contrastive"), negatives=False)


def test_backgrounds() -> None:
    recipe = named("simclr", 32)
    removed = with_policies(recipe, Run(background="remove", background_share=0.3), negatives=True)
    assert removed.background == Background(kind="remove", share=0.3) and removed.views == recipe.views
    for negatives in (True, False):
        swapped = with_policies(recipe, Run(background="swap"), negatives=negatives)
        assert swapped.background == Background(kind="swap", share=0.2, negative=negatives)
    with pytest.raises(Fault, match="images of one domain"):
        with_policies(named("cut", 32), Run(background="remove"), negatives=False)


def test_refreshes_are_the_papers() -> None:
    """After epochs 100, 200, 300 and 400 of 500."""
    assert refreshes(Run(crops="contrastive"), 500) == [100, 200, 300, 400]
    assert refreshes(Run(crops="contrastive", crop_warmup=0.1, crop_interval=0.1), 200) == list(range(20, 200, 20))


@pytest.mark.parametrize("updates", [0, 1, 2, 3, 7, 1000])
def test_refreshes_lie_within_training(updates: int) -> None:
    run = Run(crops="contrastive", crop_warmup=0.0, crop_interval=0.15)
    found = refreshes(run, updates)
    assert found == sorted(set(found)) and all(0 < moment < updates for moment in found)
    assert refreshes(Run(), updates) == refreshes(Run(crops="central"), updates) == []
    assert refreshes(Run(crops="contrastive", crop_warmup=1.0), updates) == []


def test_values_out_of_range_are_refused() -> None:
    wrong = {"crops": "contrastif", "crop_alpha": 0, "crop_warmup": 2, "background": "swaps", "background_share": -1}
    with pytest.raises(Faults) as caught:
        check("simclr", {"data": "shapes", **wrong})
    assert len(caught.value.faults) == len(wrong)
    names = {field.name for field in fields(Run)}
    assert set(wrong) <= names
