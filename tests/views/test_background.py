"""Backgrounds: what is drawn, and what is put together, by the properties that the augmentations must have."""

import numpy as np
import pytest
import torch

from unlabel.errors import Fault
from unlabel.views import Background
from unlabel.views.background import bare, composed, sample_backgrounds, stretched

N = 50


def draw(kind="random", share=1.0, view=0, images=N, count=N, negative=False, **keys) -> np.ndarray:
    keys = {"seed": 0, "epoch": 0} | keys
    background = Background(kind=kind, share=share, negative=negative)
    return sample_backgrounds(background, view_index=view, indices=np.arange(count), images=images, views=2, **keys)


def picture(height=6, width=8) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8)


def mask(height=6, width=8) -> torch.Tensor:
    there = torch.zeros(1, height, width, dtype=torch.uint8)
    there[:, 2:4, 3:6] = 255
    return there


def test_a_full_mask_is_the_identity_and_an_empty_one_all_background() -> None:
    x, b = picture(), picture()
    assert torch.equal(composed(x, torch.full((1, 6, 8), 255, dtype=torch.uint8), b), x)
    assert torch.equal(composed(x, torch.zeros(1, 6, 8, dtype=torch.uint8), b), b)


def test_the_object_keeps_its_pixels_to_the_bit() -> None:
    x, b, m = picture(), picture(), mask()
    y, there = composed(x, m, b), m[0] > 0
    assert torch.equal(y[:, there], x[:, there]) and torch.equal(y[:, ~there], b[:, ~there])


def test_soft_masks_blend_to_the_nearest_level() -> None:
    x, b = picture(16, 16), picture(16, 16)
    m = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    share = m.double() / 255
    exact = share * x + (1 - share) * b
    assert (composed(x, m, b) - exact).abs().max() <= 0.5


def test_a_bare_background_shows_nothing_of_the_object() -> None:
    x, m = picture(), mask()
    x[:, m[0] > 0] = 255
    x[:, m[0] == 0] = x[:, m[0] == 0].clamp(max=200)
    ground = bare(x, m)
    assert ground.max() <= 200
    outside = torch.ones(6, 8, dtype=torch.bool)
    outside[2:4, 3:6] = False
    assert torch.equal(ground[:, outside], x[:, outside])
    assert torch.equal(ground[:, 2:4, 3:6], x[:, 2:4, 0:3])  # the strip on the left is the largest


def test_the_strip_is_repeated_where_it_is_smaller_than_the_hole() -> None:
    x = torch.arange(5, dtype=torch.uint8).view(1, 1, 5).expand(3, 4, 5).contiguous()
    m = torch.zeros(1, 4, 5, dtype=torch.uint8)
    m[:, :, 2:] = 255  # only the two columns on the left are left
    assert bare(x, m)[0, 0].tolist() == [0, 1, 0, 1, 0]


def test_what_has_no_background_lends_none_and_what_has_no_object_all() -> None:
    x = picture()
    assert bare(x, torch.full((1, 6, 8), 255, dtype=torch.uint8)) is None
    assert torch.equal(bare(x, torch.zeros(1, 6, 8, dtype=torch.uint8)), x)


def test_backgrounds_are_stretched_to_fit() -> None:
    flat = torch.full((3, 5, 9), 77, dtype=torch.uint8)
    assert torch.equal(stretched(flat, (8, 4)), torch.full((3, 8, 4), 77, dtype=torch.uint8))
    x = picture()
    assert stretched(x, (6, 8)) is x


# What is drawn


@pytest.mark.parametrize("kind", ["remove", "random", "swap"])
def test_a_share_of_the_images_gets_another_background(kind: str) -> None:
    assert draw(kind, 1.0)["on"].all() and not draw(kind, 0.0)["on"].any()
    assert abs(draw(kind, 0.3, count=5000, images=5000)["on"].mean() - 0.3) < 0.03


@pytest.mark.parametrize("kind", ["random", "swap"])
def test_the_background_is_that_of_another_image_and_any_of_them(kind: str) -> None:
    seen = set()
    for epoch in range(40):
        drawn = draw(kind, epoch=epoch, images=7, count=7)
        assert (drawn["behind"] != np.arange(7)).all() and (drawn["before"] == np.arange(7)).all()
        assert ((drawn["behind"] >= 0) & (drawn["behind"] < 7)).all()
        seen |= set(zip(range(7), drawn["behind"].tolist(), strict=True))
    assert len(seen) == 42


def test_views_draw_random_backgrounds_apart() -> None:
    one, two = (
        draw("random", 0.5, view=0, count=2000, images=2000),
        draw("random", 0.5, view=1, count=2000, images=2000),
    )
    assert abs(np.corrcoef(one["on"], two["on"])[0, 1]) < 0.08 and (one["behind"] == two["behind"]).mean() < 0.01


def test_grey_levels_are_those_of_the_view() -> None:
    one, two = (
        draw("remove", view=0, count=3000, images=3000)["grey"],
        draw("remove", view=1, count=3000, images=3000)["grey"],
    )
    assert one.min() < 5 and one.max() > 250 and (one == two).mean() < 0.02


def test_swapped_views_have_different_backgrounds_and_the_negative_the_first_ones() -> None:
    query, key, negative = (draw("swap", 0.5, view=k, images=N, negative=True) for k in (0, 1, 2))
    assert (query["on"] == key["on"]).all() and (query["on"] == negative["on"]).all()
    assert (query["behind"] != key["behind"]).all() and (key["behind"] != np.arange(N)).all()
    assert (negative["behind"] == query["behind"]).all()
    assert (negative["before"] != np.arange(N)).all() and (negative["before"] != negative["behind"]).all()
    assert (query["before"] == np.arange(N)).all() and (key["before"] == np.arange(N)).all()


def test_a_draw_does_not_depend_on_the_batch() -> None:
    background = Background(kind="swap", share=0.5)
    keys = {"seed": 3, "epoch": 4, "view_index": 1, "images": 90, "views": 2}
    together = sample_backgrounds(background, indices=np.array([5, 80, 7]), **keys)
    alone = sample_backgrounds(background, indices=np.array([80]), **keys)
    assert alone[0] == together[1]


@pytest.mark.parametrize(("kind", "few"), [("random", 1), ("swap", 2)])
def test_too_few_images_have_nothing_to_lend(kind: str, few: int) -> None:
    assert not draw(kind, images=few, count=few)["on"].any()
    assert draw(kind, images=few + 1, count=few + 1)["on"].all()


@pytest.mark.parametrize(("options", "words"), [({"share": 2.0}, "is in"), ({"negative": True}, "swapped")])
def test_backgrounds_that_cannot_be(options, words) -> None:
    with pytest.raises(Fault, match=words):
        Background(**{"kind": "random", **options})
