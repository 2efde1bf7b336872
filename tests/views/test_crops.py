"""The laws of led crops: ContrastiveCrop's and CAST's, by their closed forms and limits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from unlabel.errors import Fault
from unlabel.views import Objects, Recipe, View, boxes, sample
from unlabel.views.crops import suppressed

RANDOM = View(size=32, scale=(0.2, 1.0), jitter=(0.4, 0.4, 0.4, 0.1), grey=0.2, blur=0.5, solarise=0.3)
LED = replace(RANDOM, crop="contrastive")
SALIENT = replace(RANDOM, crop="salient")
PLACES = ("top", "left", "height", "width")


def draw(view: View, n: int, size=(40, 60), region=None, mask=None, **keys) -> np.ndarray:
    keys = {"seed": 0, "epoch": 0, "view_index": 0} | keys
    regions = None if region is None else np.tile(region, (n, 1))
    objects = None if mask is None else Objects.of([mask] * n)
    sizes = np.tile(size, (n, 1))
    return sample(view, indices=np.arange(n), sizes=sizes, regions=regions, objects=objects, **keys)


def equal(a: np.ndarray, b: np.ndarray, fields=PLACES) -> bool:
    return all((a[field] == b[field]).all() for field in fields)


def test_led_crops_change_nothing_but_the_crop():
    mask = np.zeros((40, 60), bool)
    mask[5:20, 30:50] = True
    plain = draw(RANDOM, 300)
    others = [name for name in plain.dtype.names if name not in PLACES]
    for led in (draw(LED, 300, region=(0.1, 0.2, 0.5, 0.9)), draw(SALIENT, 300, mask=mask)):
        assert equal(led, plain, others) and not equal(led, plain)


# ContrastiveCrop


def test_before_there_are_regions_crops_are_random():
    assert equal(draw(LED, 500), draw(RANDOM, 500))


def test_alpha_one_on_the_whole_image_is_the_random_crop():
    whole = draw(replace(LED, crop_alpha=1.0), 2000, region=(0, 0, 1, 1))
    assert equal(whole, draw(RANDOM, 2000))


@given(
    st.integers(40, 120),
    st.integers(40, 120),
    st.tuples(*[st.floats(0, 1)] * 4),
    st.sampled_from([0.1, 0.6, 1.0, 3.0]),
)
@settings(deadline=None, max_examples=60)
def test_led_boxes_lie_in_the_image_and_their_middle_in_the_region(H, W, edges, alpha):
    (top, bottom), (left, right) = sorted(edges[:2]), sorted(edges[2:])
    view = replace(LED, crop_alpha=alpha, scale=(0.05, 0.3))  # of ten attempts one fits
    record = draw(view, 60, (H, W), region=(top, left, bottom, right))
    assert equal(record, draw(replace(view, crop="random_resized"), 60, (H, W)), ("height", "width"))
    for start, side, extent, low, high in (("top", "height", H, top, bottom), ("left", "width", W, left, right)):
        assert (record[start] >= 0).all() and (record[start] + record[side] <= extent).all()
        # The middle lies between the region's edges, or as near to them as a box in the image can have it.
        half = record[side] // 2
        middle = record[start] + half
        least, most = (np.clip(np.floor(edge * extent), half, extent - record[side] + half) for edge in (low, high))
        assert ((least <= middle) & (middle <= most)).all()


@pytest.mark.parametrize("alpha, variance", [(0.1, 0.2083333), (1.0, 0.0833333), (0.6, 0.1136364)])
def test_the_variance_of_a_place_is_beta(alpha, variance):
    """1 / (4 (2 alpha + 1)), by the midpoint rule over the quantile function."""
    u = suppressed((np.arange(200_000) + 0.5) / 200_000, alpha)
    assert u.mean() == pytest.approx(0.5, abs=1e-6)
    assert u.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=1e-4)
    assert u.var() == pytest.approx(variance, rel=1e-4)


def test_places_follow_beta_between_the_regions_edges():
    view = replace(LED, crop_alpha=0.6, scale=(0.04, 0.04), ratio=(1.0, 1.0))
    record = draw(
        view, 4000, (1000, 1000), region=(0.3, 0.25, 0.7, 0.75)
    )  # a box of 200 fits about any middle in there
    assert (record["height"] == 200).all()
    for start, low, high in (("top", 0.3, 0.7), ("left", 0.25, 0.75)):
        steps = record[start] + 100 - 1000 * low  # whole pixels from the first place on
        place = (steps + np.random.default_rng(0).random(4000)) / (1000 * (high - low) + 1)
        assert stats.kstest(place, stats.beta(0.6, 0.6).cdf).pvalue > 0.001
    assert abs(np.corrcoef(record["top"], record["left"])[0, 1]) < 0.06


def test_a_point_leaves_nothing_to_chance():
    view = replace(LED, scale=(0.25, 0.25), ratio=(1.0, 1.0))
    record = draw(view, 200, (40, 60), region=(0.5, 0.75, 0.5, 0.75))
    side = int(np.rint(np.sqrt(0.25 * 40 * 60)))
    assert (record["height"] == side).all()
    assert set(record["top"]) == {20 - side // 2} and set(record["left"]) == {45 - side // 2}


def test_suppression_spreads_crops():
    spread = [draw(replace(LED, crop_alpha=a), 3000, region=(0.2, 0.2, 0.8, 0.8))["left"].var() for a in (0.1, 1, 10)]
    assert spread[0] > 1.3 * spread[1] > 1.3 * 1.3 * spread[2]


def test_the_central_region_needs_nothing_from_outside():
    view = replace(LED, crop_region=(0.25, 0.25, 0.75, 0.75))
    assert equal(draw(view, 500), draw(LED, 500, region=(0.25, 0.25, 0.75, 0.75)))
    assert equal(draw(view, 500, region=(0, 0, 1, 1)), draw(view, 500))


def test_each_image_has_its_own_region():
    regions = np.array([(0, 0, 0.1, 0.1), (0.9, 0.9, 1, 1)] * 50)
    sizes = np.tile((64, 64), (100, 1))
    keys = {"seed": 0, "epoch": 0, "view_index": 0}
    record = sample(LED, indices=np.arange(100), sizes=sizes, regions=regions, **keys)
    alone = sample(LED, indices=np.arange(7, 8), sizes=sizes[7:8], regions=regions[7:8], **keys)
    assert alone[0] == record[7]
    middle = boxes(record)[:, :2] + boxes(record)[:, 2:] / 2
    assert (middle[0::2] < 0.52).all() and (middle[1::2] > 0.48).all()


# CAST


def covered(record: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The share of the object that each box shows."""
    inside = [mask[r["top"] : r["top"] + r["height"], r["left"] : r["left"] + r["width"]].sum() for r in record]
    return np.array(inside) / mask.sum()


@given(
    st.integers(8, 90),
    st.integers(8, 90),
    st.tuples(*[st.floats(0, 1)] * 4),
    st.sampled_from([0.0, 0.2, 0.6, 1.0]),
    st.sampled_from([0.08, 0.2, 0.9]),
)
@settings(deadline=None, max_examples=80)
def test_every_crop_shows_enough_of_the_object(H, W, edges, cover, least):
    mask = np.zeros((H, W), bool)
    (top, bottom), (left, right) = sorted(edges[:2]), sorted(edges[2:])
    mask[int(top * (H - 1)) : int(bottom * (H - 1)) + 1, int(left * (W - 1)) : int(right * (W - 1)) + 1] = True
    mask[::2, ::3] &= np.random.default_rng(H * W).random(mask[::2, ::3].shape) < 0.5
    mask[int(top * (H - 1)), int(left * (W - 1))] = True
    record = draw(replace(SALIENT, crop_cover=cover, scale=(least, 1.0)), 40, (H, W), mask=mask)
    enough = min(cover, least * H * W / mask.sum())
    assert (covered(record, mask) >= enough - 1e-12).all()
    assert (record["top"] >= 0).all() and (record["top"] + record["height"] <= H).all()
    assert (record["left"] >= 0).all() and (record["left"] + record["width"] <= W).all()
    assert (record["height"] > 0).all() and (record["width"] > 0).all()


def test_without_cover_it_is_a_random_crop_with_a_prior_for_the_middle():
    mask = np.zeros((400, 600), bool)
    mask[40:60, 450:550] = True
    view = replace(SALIENT, crop_cover=0.0, scale=(0.1, 0.1), ratio=(1.0, 1.0))
    record, plain = (
        draw(view, 4000, (400, 600), mask=mask),
        draw(replace(view, crop="random_resized"), 4000, (400, 600)),
    )
    assert equal(record, plain, ("height", "width"))
    side = int(record["height"][0])
    for start, centre, extent in (("top", 50.0, 400), ("left", 500.0, 600)):
        low, high = (side / 2 - centre) / extent, (extent - side / 2 - centre) / extent
        law = stats.truncnorm(low, high, loc=centre, scale=extent)
        middle = record[start] + side / 2 + np.random.default_rng(0).random(4000)  # boxes begin at whole pixels
        assert stats.kstest(np.minimum(middle, extent - side / 2), law.cdf).pvalue > 0.001


def test_a_full_mask_asks_for_area_alone():
    """Coverage is then the share of the area, which no crop falls short of: sides are those of the random crop."""
    mask = np.ones((40, 60), bool)
    record, plain = draw(SALIENT, 500, mask=mask), draw(RANDOM, 500)
    np.testing.assert_allclose(covered(record, mask), record["height"] * record["width"] / 2400)
    exact = plain["height"] * plain["width"] >= 0.2 * 2400  # some are rounded to a little less
    assert exact.mean() > 0.97 and equal(record[exact], plain[exact], ("height", "width"))


def test_a_mask_of_nothing_is_one_of_all():
    nothing, everything = np.zeros((40, 60), bool), np.ones((40, 60), bool)
    assert equal(draw(SALIENT, 200, mask=nothing), draw(SALIENT, 200, mask=everything))


def test_where_no_attempt_succeeds_the_box_is_around_the_object():
    mask = np.zeros((100, 100), bool)
    mask[10:20, 5:95] = True  # wider than any crop of a fiftieth of the area
    record = draw(replace(SALIENT, crop_cover=1.0, scale=(0.02, 0.02)), 300, (100, 100), mask=mask)
    enough = 0.02 * 100 * 100 / mask.sum()  # what so small a crop could show
    assert (covered(record, mask) >= enough - 1e-12).all()
    record = draw(replace(SALIENT, crop_cover=1.0, scale=(0.1, 0.1)), 300, (100, 100), mask=mask)
    assert (covered(record, mask) == 1.0).all()
    assert (record["top"] <= 10).all() and (record["left"] <= 5).all()
    assert len(set(record["top"])) > 5 and len(set(record["height"])) > 10
    ratio = record["width"] / record["height"]
    assert (ratio >= 3 / 4 - 0.02).all()
    assert (ratio <= np.maximum(4 / 3, 90 / record["height"]) + 1e-9).all()  # as far as the object lets it


def test_middles_are_drawn_to_the_object():
    mask = np.zeros((64, 64), bool)
    mask[:16, 48:] = True
    led, plain = (boxes(draw(view, 2000, (64, 64), mask=mask)) for view in (SALIENT, replace(RANDOM)))
    middle, usual = (box[:, :2] + box[:, 2:] / 2 for box in (led, plain))
    assert middle[:, 0].mean() < usual[:, 0].mean() - 0.02 and middle[:, 1].mean() > usual[:, 1].mean() + 0.02


def test_objects_are_measured():
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:7] = True
    objects = Objects.of([mask, np.zeros((2, 4), bool)])
    assert objects.area.tolist() == [15, 8]
    assert objects.centre.tolist() == [[2.5, 4.5], [1.0, 2.0]]
    assert objects.extent.tolist() == [[1, 2, 4, 7], [0, 0, 2, 4]]


def test_salient_crops_need_objects():
    with pytest.raises(ValueError, match="whose objects are known"):
        draw(SALIENT, 3)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"crop_alpha": 0.0}, "`crop_alpha` must be above 0"),
        ({"crop_cover": 1.5}, r"`crop_cover` in \[0, 1\]"),
        ({"crop_region": (0.5, 0.0, 0.2, 1.0)}, "`crop_region` is"),
        ({"crop": "salient", "source": 1}, "looks at source 0"),
    ],
)
def test_views_that_cannot_be(options, words):
    with pytest.raises(Fault, match=words):
        View(size=8, **options)


def test_a_transform_of_ones_own_cannot_follow_objects():
    own = View(size=8, transform=lambda image: image)
    with pytest.raises(Fault, match="does not tell where it cuts"):
        Recipe(views=(own,), salient=True)
