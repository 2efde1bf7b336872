from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torchvision import transforms

from unlabel.views import NAMES, RandomMask, View, boxes, evaluation, named, sample, sample_masks

STRONG = View(size=32, jitter=(0.4, 0.8, 1.5, 0.2), grey=0.2, blur=0.5, solarise=0.3)


def draw(view: View, n: int, size=(40, 60), **keys) -> np.ndarray:
    keys = {"seed": 0, "epoch": 0, "view_index": 0} | keys
    return sample(view, indices=np.arange(n), sizes=np.tile(size, (n, 1)), **keys)


def test_draws_stay_what_they_were():
    """A run that began with an earlier version goes on with the same views: new draws get uniforms of their own."""
    drawn = draw(STRONG, 4, view_index=1)
    whole = ["top", "left", "height", "width", "flip", "jitter", "grey", "solarise", "seed"]
    assert drawn[whole].tolist() == [
        (3, 9, 34, 43, False, True, False, False, 10369092517997320599),
        (4, 19, 29, 37, True, False, False, False, 3106101207791145709),
        (3, 9, 37, 29, False, False, False, False, 3546891357458786364),
        (11, 22, 22, 27, True, True, False, False, 9704569629542907589),
    ]
    assert drawn["order"].tolist() == [[2, 3, 0, 1], [1, 3, 0, 2], [3, 0, 2, 1], [3, 1, 0, 2]]


@given(st.lists(st.integers(0, 500), min_size=1, max_size=30), st.sampled_from(NAMES))
@settings(deadline=None, max_examples=40)
def test_a_record_does_not_depend_on_its_batch(indices, name):
    view = named(name, 32).views[-1]
    indices = np.array(indices)
    sizes = np.stack((20 + indices % 7, 20 + indices % 11), axis=1)
    keys = {"seed": 3, "epoch": 4, "view_index": 1}
    together = sample(view, indices=indices, sizes=sizes, **keys)
    for i in range(len(indices)):
        alone = sample(view, indices=indices[i : i + 1], sizes=sizes[i : i + 1], **keys)
        assert alone[0] == together[i]


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}, {"view_index": 1}])
def test_records_differ_between_seeds_epochs_and_views(other):
    a, b = draw(STRONG, 200), draw(STRONG, 200, **other)
    assert (a["seed"] != b["seed"]).all()
    for field in ("top", "left", "height", "flip", "jitter", "brightness", "hue", "grey", "sigma", "solarise"):
        assert (a[field] != b[field]).any(), field
    assert abs(np.corrcoef(a["height"], b["height"])[0, 1]) < 0.25


def test_changing_one_probability_changes_nothing_else():
    a, b = draw(STRONG, 200), draw(View(size=32, jitter=(0.4, 0.8, 1.5, 0.2), blur=0.5, solarise=0.3), 200)
    assert a["grey"].any() and not b["grey"].any()
    for field in a.dtype.names:
        if field != "grey":
            assert (a[field] == b[field]).all(), field


@pytest.mark.parametrize("size", [(40, 60), (20, 64)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.4, 1.0)])
def test_boxes_are_distributed_as_torchvisions(size, scale):
    n = 2000
    ours = draw(View(size=32, scale=scale), n, size)
    image = torch.zeros(3, *size)
    theirs = np.array([transforms.RandomResizedCrop.get_params(image, list(scale), [3 / 4, 4 / 3]) for _ in range(n)])
    for column, field in enumerate(("top", "left", "height", "width")):
        assert stats.ks_2samp(ours[field], theirs[:, column]).pvalue > 0.001, field
    area = ours["height"] * ours["width"]
    assert stats.ks_2samp(area, theirs[:, 2] * theirs[:, 3]).pvalue > 0.001
    ratio = ours["width"] / ours["height"]
    assert stats.ks_2samp(ratio, theirs[:, 3] / theirs[:, 2]).pvalue > 0.001


@pytest.mark.parametrize("size", [(2000, 8), (8, 2000), (1, 5), (7, 2), (90, 31)])
def test_no_box_fits_then_the_central_one_of_torchvision(size):
    """With the whole area asked of an elongated image every attempt fails."""
    (record,) = draw(View(size=32, scale=(1.0, 1.0)), 1, size)
    theirs = transforms.RandomResizedCrop.get_params(torch.zeros(3, *size), [1.0, 1.0], [3 / 4, 4 / 3])
    assert tuple(record[field] for field in ("top", "left", "height", "width")) == theirs


@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.floats(0.01, 1.0),
    st.sampled_from([(3 / 4, 4 / 3), (1.0, 1.0), (0.2, 5.0)]),
)
@settings(deadline=None, max_examples=60)
def test_boxes_lie_within_the_image(H, W, least, ratio):
    record = draw(View(size=32, scale=(least, 1.0), ratio=ratio), 50, (H, W))
    assert (record["height"] >= 1).all() and (record["width"] >= 1).all()
    assert (record["top"] >= 0).all() and (record["top"] + record["height"] <= H).all()
    assert (record["left"] >= 0).all() and (record["left"] + record["width"] <= W).all()
    assert (record["source_height"] == H).all() and (record["source_width"] == W).all()
    box = boxes(record)
    assert (box >= 0).all() and (box[:, :2] + box[:, 2:] <= 1 + 1e-12).all()


def test_jitter_is_torchvisions_colour_jitter():
    strengths = (0.4, 0.8, 1.5, 0.2)
    record = draw(View(size=32, jitter=strengths, jitter_p=1.0), 4000)
    jitter = transforms.ColorJitter(*strengths)
    ranges = (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    for field, (low, high) in zip(("brightness", "contrast", "saturation", "hue"), ranges, strict=True):
        assert stats.kstest(record[field], "uniform", args=(low, high - low)).pvalue > 0.001, field
    orders, counts = np.unique(record["order"], axis=0, return_counts=True)
    assert len(orders) == 24 and (np.sort(orders, axis=1) == np.arange(4)).all()
    assert stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize(
    "field, share", [("flip", 0.5), ("jitter", 0.8), ("grey", 0.2), ("solarise", 0.3), ("sigma", 0.5)]
)
def test_steps_happen_as_often_as_asked(field, share):
    happened = int((draw(STRONG, 4000)[field] > 0).sum())
    assert stats.binomtest(happened, 4000, share).pvalue > 0.001


def test_certain_and_impossible_steps():
    always = draw(View(size=32, flip=1.0, jitter=(0.4,) * 4, jitter_p=1.0, grey=1.0, blur=1.0, solarise=1.0), 500)
    never = draw(View(size=32, flip=0.0), 500)
    for field in ("flip", "jitter", "grey", "solarise"):
        assert always[field].all() and not never[field].any(), field
    assert (always["sigma"] >= 0.1).all() and (always["sigma"] <= 2.0).all() and (never["sigma"] == 0).all()
    assert stats.kstest(always["sigma"], "uniform", args=(0.1, 1.9)).pvalue > 0.001
    for field in ("brightness", "contrast", "saturation"):
        assert (never[field] == 1).all()
    assert (never["hue"] == 0).all()


def test_a_step_missing_from_the_order_never_happens():
    view = View(size=32, flip=1.0, jitter=(0.4,) * 4, grey=1.0, blur=1.0, solarise=1.0, order=("crop",))
    record = draw(view, 20)
    for field in ("flip", "jitter", "grey", "sigma", "solarise"):
        assert not record[field].any(), field
    assert (record["brightness"] == 1).all()


def test_factors_are_neutral_where_nothing_is_jittered():
    record = draw(STRONG, 500)
    still = record[~record["jitter"]]
    assert len(still) and (still["brightness"] == 1).all() and (still["hue"] == 0).all()


def test_pad_reaches_every_place_around_the_image():
    record = draw(View(size=32, crop="pad", pad=4), 3000, (32, 32))
    for field in ("top", "left"):
        values, counts = np.unique(record[field], return_counts=True)
        assert values.tolist() == list(range(-4, 5)) and stats.chisquare(counts).pvalue > 0.001
    assert (record["height"] == 32).all() and (record["width"] == 32).all()


def test_load_reaches_every_place_in_the_frame():
    view = View(size=32, crop="load", load_size=36)
    record = draw(view, 3000, (50, 70))
    for field in ("top", "left"):
        values, counts = np.unique(record[field], return_counts=True)
        assert values.tolist() == list(range(5)) and stats.chisquare(counts).pvalue > 0.001
    assert np.allclose(boxes(record)[:, 2:], 32 / 36)


def test_evaluation_takes_the_central_square_of_every_image():
    record = draw(evaluation(32), 20, (50, 71))
    assert (record["top"] == 0).all() and (record["left"] == 10).all()
    assert (record["height"] == 50).all() and (record["width"] == 50).all()
    assert not record["flip"].any() and not record["jitter"].any()
    assert np.allclose(boxes(record)[0], (0, 10 / 71, 1, 50 / 71))


def test_masks_hide_the_same_number_in_every_image():
    for ratio, grid in [(0.75, (8, 8)), (0.6, (8, 8)), (0.9, (2, 5)), (0.5, (1, 2)), (0.75, (14, 14))]:
        mask = RandomMask(ratio=ratio, grid=grid)
        drawn = sample_masks(mask, seed=0, epoch=0, indices=np.arange(50))
        assert drawn.shape == (50, grid[0] * grid[1]) and drawn.dtype == bool
        assert (drawn.sum(axis=1) == mask.masked).all()


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20))
@settings(deadline=None, max_examples=30)
def test_a_mask_does_not_depend_on_its_batch(indices):
    mask = RandomMask(ratio=0.75, grid=(8, 8))
    together = sample_masks(mask, seed=1, epoch=2, indices=np.array(indices))
    for index, row in zip(indices, together, strict=True):
        assert (sample_masks(mask, seed=1, epoch=2, indices=np.array([index]))[0] == row).all()


def test_masks_differ_between_images_epochs_and_seeds():
    mask = RandomMask(ratio=0.5, grid=(8, 8))
    a, b, c = (sample_masks(mask, seed=s, epoch=e, indices=np.arange(40)) for s, e in ((0, 0), (1, 0), (0, 1)))
    assert len({row.tobytes() for drawn in (a, b, c) for row in drawn}) == 120


def test_every_cell_and_every_pair_of_cells_is_equally_likely():
    n, mask = 20_000, RandomMask(ratio=0.5, grid=(2, 2))
    drawn = sample_masks(mask, seed=0, epoch=0, indices=np.arange(n))
    subsets, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(subsets) == 6 and stats.chisquare(counts).pvalue > 0.001


def test_masks_owe_nothing_to_the_views():
    """The flip of an image says nothing about its mask."""
    n = 4000
    flips = draw(STRONG, n)["flip"]
    masked = sample_masks(RandomMask(ratio=0.5, grid=(7, 7)), seed=0, epoch=0, indices=np.arange(n))
    for cell in masked.T:
        assert abs(np.corrcoef(flips, cell)[0, 1]) < 4.5 / np.sqrt(n)


def test_a_view_may_share_the_flip_of_another_and_nothing_else():
    own = View(size=32, jitter=(0.4, 0.4, 0.4, 0.1), grey=0.2)
    first, second = draw(own, 400), draw(own, 400, view_index=1)
    shared = draw(replace(own, flip_of=0), 400, view_index=1)
    assert (shared["flip"] == first["flip"]).all() and 150 < shared["flip"].sum() < 250
    assert (second["flip"] != first["flip"]).any()
    for field in second.dtype.names:
        if field != "flip":
            assert (shared[field] == second[field]).all(), field


def test_some_pad_crops_stay_where_they_are_and_the_others_are_as_ever():
    view = View(size=32, crop="pad", pad=4)
    always, sometimes = draw(view, 3000, (32, 32)), draw(replace(view, pad_p=0.3), 3000, (32, 32))
    moved = (sometimes["top"] != 0) | (sometimes["left"] != 0)
    assert (sometimes[moved] == always[moved]).all()
    assert stats.binomtest(int(moved.sum()), 3000, 0.3 * (1 - 1 / 81)).pvalue > 0.001
    never = draw(replace(view, pad_p=0.0), 100)
    assert not never["top"].any() and not never["left"].any()


@pytest.mark.parametrize(
    "view, frame",
    [
        (View(size=32), (40, 60)),
        (evaluation(32), (40, 60)),
        (View(size=32, crop="pad"), (32, 32)),
        (View(size=32, crop="load", load_size=36), (36, 36)),
    ],
)
def test_a_record_knows_the_frame_of_its_box(view, frame):
    record = draw(view, 5)
    assert {tuple(sides) for sides in record[["frame_height", "frame_width"]].tolist()} == {frame}
    assert np.allclose(boxes(record)[:, 2], record["height"] / frame[0])
