"""Cells of a jigsaw: parts of one box that all of an image's cell views share."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from unlabel.views import View, boxes, least_sizes, named, render, rescaled, sample

CELL = View(size=8, crop="cell", scale=(0.6, 1.0))


def draw(view: View, n: int, size: tuple[int, int] = (90, 120), view_index: int = 0, epoch: int = 0) -> np.ndarray:
    sizes = np.tile(size, (n, 1))
    return sample(view, seed=0, epoch=epoch, view_index=view_index, indices=np.arange(n), sizes=sizes)


def cells(n: int, size: tuple[int, int] = (90, 120), **fields) -> list[np.ndarray]:
    """All nine cells, as the views 1 to 9 of a recipe."""
    return [draw(replace(CELL, cell=k, **fields), n, size, view_index=1 + k) for k in range(9)]


def test_whole_cells_tile_one_random_resized_box() -> None:
    nine = cells(300, cell_share=1.0)
    first, last = nine[0], nine[8]
    height = last["top"] + last["height"] - first["top"]
    width = last["left"] + last["width"] - first["left"]
    for k, record in enumerate(nine):
        row, column = divmod(k, 3)
        assert (record["top"] == first["top"] + row * height // 3).all()
        assert (record["left"] == first["left"] + column * width // 3).all()
    assert (sum(r["height"].astype(int) * r["width"] for r in nine) == height * width).all()
    area = height * width / (90 * 120)
    assert (area > 0.58).all() and (area <= 1).all() and area.std() > 0.08
    ratio = width / height
    assert (ratio > 0.74).all() and (ratio < 1.35).all()


def test_the_shared_box_is_distributed_as_that_of_a_view_by_itself() -> None:
    nine = cells(2000, cell_share=1.0)
    alone = draw(View(size=8, scale=(0.6, 1.0)), 2000, epoch=1)
    height = nine[8]["top"] + nine[8]["height"] - nine[0]["top"]
    assert stats.ks_2samp(height, alone["height"]).pvalue > 0.001
    assert stats.ks_2samp(nine[0]["top"], alone["top"]).pvalue > 0.001
    assert stats.ks_2samp(nine[0]["left"], alone["left"]).pvalue > 0.001
    assert abs(np.corrcoef(height, draw(View(size=8, scale=(0.6, 1.0)), 2000)["height"])[0, 1]) < 0.1


def test_parts_lie_anywhere_within_their_cells_and_each_by_itself() -> None:
    whole, parts = cells(3000, cell_share=1.0), cells(3000)
    places = []
    for cell, part in zip(whole, parts, strict=True):
        for start, length in (("top", "height"), ("left", "width")):
            before, room = part[start] - cell[start], cell[length] - part[length]
            assert (before >= 0).all() and (before <= room).all()
            assert (part[length] == np.rint(64 / 85 * cell[length])).all()
            usual = room == np.median(room)
            values, counts = np.unique(before[usual], return_counts=True)
            assert len(values) == np.median(room) + 1 and stats.chisquare(counts).pvalue > 1e-4
        places.append(before / room)
    assert np.abs(np.corrcoef(places) - np.eye(9)).max() < 0.1


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.05, 1.0))
@settings(deadline=None, max_examples=60)
def test_cells_lie_within_any_image_and_apart_from_each_other(H: int, W: int, share: float) -> None:
    nine = cells(20, (H, W), cell_share=share)
    taken = np.zeros((20, H, W), int)
    for record in nine:
        assert (record["height"] >= 1).all() and (record["width"] >= 1).all()
        assert (record["top"] >= 0).all() and (record["top"] + record["height"] <= H).all()
        assert (record["left"] >= 0).all() and (record["left"] + record["width"] <= W).all()
        for image, (t, x, h, w) in zip(taken, record[["top", "left", "height", "width"]].tolist(), strict=True):
            image[t : t + h, x : x + w] += 1
    if min(H, W) >= 12:  # every side has a pixel for each cell
        assert taken.max() == 1


def test_cells_have_colours_and_flips_of_their_own() -> None:
    a, b = (draw(replace(CELL, cell=k, jitter=(0.4,) * 4, grey=0.3), 300, view_index=1 + k) for k in (0, 1))
    for field in ("flip", "grey", "brightness", "hue", "seed"):
        assert (a[field] != b[field]).any(), field


def test_boxes_and_sizes_know_cells_as_boxes_of_the_image() -> None:
    record = draw(replace(CELL, cell=4), 50)
    box = boxes(record)
    assert np.allclose(box, np.stack([record["top"] / 90, record["left"] / 120, record["height"] / 90,
                                      record["width"] / 120], axis=1))  # fmt: skip
    least = least_sizes(record, CELL)
    assert (least[:, 0] == np.minimum(-(-8 * 90 // record["height"]), 90)).all()
    smaller = rescaled(record, CELL, np.tile((45, 60), (50, 1)))
    assert np.abs(boxes(smaller) - box).max() <= 1 / 45 + 1e-12  # both edges to the nearest pixel
    assert (smaller["top"] + smaller["height"] <= 45).all()


def test_a_cell_shows_its_part_of_the_picture() -> None:
    image = torch.randint(0, 256, (3, 90, 120), dtype=torch.uint8)
    view = replace(CELL, cell=5, flip=0.0, cell_share=1.0)
    record = draw(view, 1)[0]
    part = image[:, record["top"] : record["top"] + record["height"], record["left"] : record["left"] + record["width"]]
    want = torch.nn.functional.interpolate(part[None] / 255, (8, 8), mode="bilinear", antialias=True)[0]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (view.mean, view.std))
    assert torch.allclose(render(image, record, view) * std + mean, want, atol=1e-5)


@pytest.mark.parametrize(("size", "side"), [(224, 64), (96, 24), (64, 16), (32, 8)])
def test_the_recipe_is_a_view_and_nine_cells(size: int, side: int) -> None:
    whole, *rest = named("pirl", size).views
    assert whole.scale == (0.08, 1.0) and whole.jitter == (0.4, 0.4, 0.4, 0.2) and whole.jitter_p == 1.0
    assert [view.cell for view in rest] == list(range(9)) and {view.size for view in rest} == {side}
    assert {(view.crop, view.scale, view.grid, view.cell_share) for view in rest} == {
        ("cell", (0.6, 1.0), (3, 3), 64 / 85)
    }
    assert [view.size for view in named("pirl-small", size).views] == [size] + [side] * 9
