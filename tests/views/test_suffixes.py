"""What follows the name of a view recipe: how much of the image crops show; small crops, how many and how large."""

from dataclasses import replace

import pytest

from unlabel.errors import Fault
from unlabel.views import LARGE, named


def sizes(name: str, size: int = 32) -> list[int]:
    return [view.size for view in named(name, size).views]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("multicrop:6x16", [32, 32] + [16] * 6),
        ("multicrop:2x24+4x16", [32, 32, 24, 24, 16, 16, 16, 16]),
        ("multicrop:3", [32, 32] + [16] * 3),
        ("multicrop-small:0", [32, 32]),
        ("byol:4x12", [32, 32] + [12] * 4),
        ("cifar-min:2", [32, 32, 16, 16]),
        ("instdisc:1x8", [32, 32, 8]),
        ("rotation:1", [32, 32, 16]),
        ("cifar-min:2x32", [32] * 4),
    ],
)
def test_number_and_sides(name: str, expected: list[int]) -> None:
    assert sizes(name) == expected


def test_what_is_not_said_is_as_in_the_recipe() -> None:
    plain, chosen = named("multicrop", 224).views, named("multicrop:6", 224).views
    assert chosen == plain
    assert named("dino:8x96", 224).views == named("dino", 224).views
    assert named("multicrop:0", 224).views == plain[:LARGE]
    (crop,) = named("multicrop:1x64", 224).views[LARGE:]
    assert crop.scale == (0.05, 0.14) and crop.jitter == plain[2].jitter


def test_recipes_of_two_views_lend_their_colours_in_turn() -> None:
    first, second, *small = named("byol:4x96", 224).views
    assert (first, second) == named("byol", 224).views
    assert [crop.solarise for crop in small] == [0.0, 0.2, 0.0, 0.2]
    assert [crop.blur for crop in small] == [1.0, 0.1, 1.0, 0.1]
    assert all(crop.scale == (0.05, 0.3) for crop in small)


def test_share_of_the_area() -> None:
    views = named("multicrop:2x16@0.05-0.2+1x8@.02-.1", 32).views
    assert [view.scale for view in views[LARGE:]] == [(0.05, 0.2), (0.05, 0.2), (0.02, 0.1)]
    assert named("multicrop:1@0.1-1", 32).views[-1].scale == (0.1, 1.0)


def test_area_of_large_crops() -> None:
    """All else stays: other views, colours, masks."""
    for name, changed in (("byol", 2), ("dino-small", 2), ("clsa-small", 3), ("mae", 1), ("multicrop:6x16", 2)):
        base, _, rest = name.partition(":")
        plain = named(name, 32)
        views = named(f"{base}@0.2-1" + (f":{rest}" if rest else ""), 32).views
        assert [view.scale for view in views[:changed]] == [(0.2, 1.0)] * changed
        assert views[changed:] == plain.views[changed:]
        for view, old in zip(views, plain.views, strict=True):
            assert replace(view, scale=old.scale) == old
        assert named(f"{base}@0.2-1", 32).mask == plain.mask


def test_padded_views_have_resized_small_crops() -> None:
    assert [view.crop for view in named("rotation:1", 32).views] == ["pad", "pad", "random_resized"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("multicrop:", "no group of small crops"),
        ("multicrop:six", "`six` in views `multicrop:six` is no group"),
        ("multicrop:6x16+", "no group"),
        ("multicrop:6x", "no group"),
        ("multicrop:-1", "no group"),
        ("multicrop:100x8", "no group"),
        ("multicrop:2x16@0.2", "no group"),
        ("multicrop:2x16@0.2-1.5", "no group"),
        ("multicrop:2x16@0.3-0.2", "`scale`"),
        ("multicrop:2x1", "at least 2 pixels"),
        ("multicrop:6x48", "small crops of 48 px beside views of 32 px"),
        ("byol@0.2", "`0.2` in views `byol@0.2` is no share of the area: write it as in `byol@0.2-1`"),
        ("byol@", "no share"),
        ("byol@0.2-1@0.3-1", "no share"),
        ("byol@0-1", "no share"),
        ("byol@0.2-1.5:6", "no share"),
        ("byol@0.5-0.2", "`scale`"),
        ("byoll@0.2-1", "did you mean `byol`"),
        ("rotation@0.2-1", "views `rotation` are no crops of random size: leave out `@0.2-1`"),
        ("cut@0.2-1", "no crops of random size"),
        ("mae:4x16", "views `mae` take no small crops: leave out `:4x16`"),
        ("cut:4x16", "views `cut` take no small crops"),
        ("multicropp:4x16", "did you mean `multicrop`"),
    ],
)
def test_what_means_nothing_is_refused(name: str, words: str) -> None:
    with pytest.raises(Fault, match=words):
        named(name, 32)
