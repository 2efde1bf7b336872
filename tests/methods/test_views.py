"""Which views each joint-embedding system looks at; what these are is tested in tests/views/test_named.py."""

import pytest

from tests.methods.toy import toy_method
from unlabel import methods
from unlabel.views import named

VIEWS = {  # method: the recipe of its paper
    "amdim": "amdim",
    "barlow_twins": "byol",
    "byol": "byol",
    "byol_two_losses": "byol",
    "clip": "clip",
    "clsa": "clsa",
    "cmc": "cmc",
    "dino": "dino",
    "directclr": "byol",
    "instdisc": "instdisc",
    "moco_v2": "moco2",
    "moco_v3": "byol",
    "pirl": "pirl",
    "pixcontrast": "byol",
    "pixpro": "byol",
    "simclr": "simclr",
    "simclr_v2": "simclr",
    "simsiam": "moco2",
    "swav": "multicrop",
}
OTHERS = {"cast", "cpc", "cpc_v2", "invaspread", "moco"}  # whose views have no name of their own
NAMES = [name for name in methods.available() if methods.get(name).family == "joint-embedding"]


def test_every_system_is_here() -> None:
    assert sorted({*VIEWS, *OTHERS}) == NAMES


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("size", [32, 224])
def test_views_are_those_of_the_paper(name: str, size: int) -> None:
    assert toy_method(name).views(size) == named(VIEWS[name], size)


def test_the_first_moco_looks_twice_through_instance_discrimination() -> None:
    assert toy_method("moco").views(224).views == named("instdisc", 224).views * 2


def test_casts_views_are_mirrored_then_grey_then_jittered() -> None:
    first, second = toy_method("cast", cover=0.2).views(224).views
    assert first == second and first.order == ("crop", "flip", "grey", "jitter")
    assert (first.scale, first.crop_cover, first.jitter, first.jitter_p, first.grey, first.flip) == (
        (0.2, 1.0), 0.2, (0.4,) * 4, 0.5, 0.2, 0.5,
    )  # fmt: skip
