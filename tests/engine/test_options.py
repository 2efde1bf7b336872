"""Wrong options are refused before data is touched, all at once, each with the nearest valid name."""

import pytest

from unlabel.engine.job import decide
from unlabel.engine.options import check, chosen_views, hyperparameters, needs_backbone
from unlabel.engine.run import Run, convert, seconds
from unlabel.engine.sources import open_sources
from unlabel.errors import Fault, Faults
from unlabel.methods import get
from unlabel.recipes import choose


def faults(method: str, **options: object) -> list[str]:
    with pytest.raises(Faults) as caught:
        check(method, options)
    return caught.value.faults


def test_all_faults_come_at_once_with_the_nearest_names() -> None:
    found = faults("simclr", data="/does/not/exist", temprature=0.2, epohs="3", lr="fast", batch_size=-1, size=3)
    text = "\n".join(found)
    assert len(found) == 5
    assert "unknown option `temprature`; did you mean `temperature`?" in text
    assert "unknown option `epohs`; did you mean `epochs`?" in text
    assert "option `lr` is 'fast', but must be a number" in text
    assert "batch_size" in text and "size" in text
    assert "exist" not in text  # the data was not looked at


def test_an_unknown_method_is_answered_with_the_nearest() -> None:
    assert "did you mean `simclr`?" in faults("simclar", data="shapes")[0]


def test_unknown_backbone_views_and_missing_data() -> None:
    found = "\n".join(faults("byol", backbone="resnet81", views="cifar-weka"))
    assert "resnet" in found and "cifar-weak" in found and "no data given" in found


def test_combinations_that_exclude_each_other() -> None:
    assert "choose one" in faults("simclr", data="shapes", epochs=3, budget="3m")[0]
    assert "second folder" in faults("cut", data="shapes")[0]
    assert "data_b" in faults("simclr", data="shapes", data_b="shapes")[0]
    assert "own networks" in faults("cut", data="shapes", data_b="shapes", backbone="resnet18")[0]
    assert "cannot accumulate" in faults("cut", data="shapes", data_b="shapes", accumulate=2)[0]
    assert "2^63" in faults("simclr", data="shapes", seed=2**64)[0]
    assert "nesterov" in faults("simclr", data="shapes", optimiser="adam", nesterov="yes")[0]


def test_a_batch_of_one_image_is_for_methods_that_look_at_one_alone() -> None:
    for method in ("simclr", "byol", "finetune"):
        assert "`batch_size` is 1" in faults(method, data="shapes", batch_size=1)[0]
    for method in ("mae", "rotation"):
        assert check(method, {"data": "shapes", "batch_size": 1})
    assert check("cut", {"data": "shapes", "data_b": "shapes", "batch_size": 1})


@pytest.mark.parametrize(
    ("option", "owner"),
    [({"crop_alpha": 0.5}, {"crops": "salient"}), ({"crop_warmup": 0.1}, {"crops": "central"}),
     ({"crop_cover": 0.5}, {"crops": "contrastive"}), ({"background_share": 0.5}, {"background": "none"}),
     ({"betas": "0.9,0.99"}, {"optimiser": "sgd"}), ({"momentum": 0.8}, {"optimiser": "adamw"}),
     ({"milestones": "0.5,0.9"}, {"schedule": "cosine"}), ({"final_lr": 0.1}, {"schedule": "constant"})],
)  # fmt: skip
def test_an_option_without_effect_is_refused(option: dict[str, object], owner: dict[str, str]) -> None:
    (fault,) = faults("simclr", data="shapes", **option, **owner)
    assert fault.startswith(f"`{next(iter(option))}` belongs to {next(iter(owner))}=")
    assert check("simclr", {"data": "shapes", **option})  # a recipe may bring what it belongs to


def test_what_the_paper_or_the_recipe_chose_is_not_refused() -> None:
    assert check("rotation", {"data": "shapes", "optimiser": "adamw"})  # its paper has Nesterov's momentum
    chosen = check("amdim", {"data": "shapes:64", "optimiser": "sgd", "size": 32})
    start = choose("amdim", "small", data="", size=32)[1]
    assert "betas" in start and decide(chosen, start, open_sources(Run(**chosen.run))).plan.optimiser == "sgd"


def test_text_and_values_mean_the_same() -> None:
    by_text = check(
        "simclr", {"data": "shapes", "temperature": "0.2", "epochs": "3", "channels-last": "no", "lr_per": "none"}
    )
    by_value = check(
        "simclr", {"data": "shapes", "temperature": 0.2, "epochs": 3, "channels_last": False, "lr_per": None}
    )
    assert by_text == by_value
    assert by_text.hyper == {"temperature": 0.2} and by_text.plan == {"epochs": 3, "lr_per": None}


def test_a_hyperparameter_outside_its_range() -> None:
    assert "between 0.001 and 100" in faults("simclr", data="shapes", temperature=0)[0]


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("20m", 1200), ("1.5h", 5400), ("45", 45)])
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "m", "-3m", "ten", "nan", "inf"])
def test_what_is_no_duration(text: str) -> None:
    assert "duration" in faults("simclr", data="shapes", budget=text)[0]


def test_a_number_where_several_are_expected() -> None:
    assert faults("simclr", data="shapes", betas=0.9) == [
        "option `betas` is 0.9, but must be 2 numbers separated by commas"
    ]
    options = {"data": "shapes", "schedule": "steps", "milestones": 0.5, "step_rates": 0.1}
    assert check("simclr", options).plan["milestones"] == (0.5,)


def test_convert_tells_what_was_expected() -> None:
    assert convert("(0.5, 0.9)", tuple[float, float]) == (0.5, 0.9)
    for value, kind, words in (("3.5", int, "whole"), ("nan", float, "finite"), ("maybe", bool, "true or false")):
        with pytest.raises(ValueError, match=words):
            convert(value, kind)


def test_hyperparameters_are_the_constructors_keywords() -> None:
    assert hyperparameters(get("moco"))["temperature"].default == 0.07
    assert needs_backbone(get("simclr")) and not needs_backbone(get("cut"))


def test_unknown_method_by_get() -> None:
    with pytest.raises(Fault, match="did you mean `byol`"):
        get("bylo")


@pytest.mark.parametrize("method", ["simclr", "byol", "dino", "swav", "simsiam", "moco", "moco_v2", "moco_v3"])
def test_small_crops_are_chosen_by_words(method: str) -> None:
    assert check(method, {"data": "shapes", "views": "cifar-min:4x16"}).run["views"] == "cifar-min:4x16"
    assert [view.size for view in chosen_views("cifar-min:4x16", 32, get(method)).views] == [32, 32, 16, 16, 16, 16]


def test_small_crops_that_make_no_sense() -> None:
    assert "small crops of 48 px" in faults("byol", data="shapes", views="multicrop:2x48", size=32)[0]
    assert check("byol", {"data": "shapes", "views": "multicrop:2x48"})  # the size of the images is not known yet
    assert "takes one view" in faults("rotation", data="shapes", views="cifar-min:2x16")[0]
    assert "make 71 views" in faults("simclr", data="shapes", views="cifar-min:69x16")[0]
    assert "no group of small crops" in faults("simclr", data="shapes", views="cifar-min:many")[0]
