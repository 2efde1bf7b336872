"""Places of feature maps: where they lie in the image, and which of two views are the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from unlabel.views import RECORD, View, bins, lit, named, render, same_places, sample


def crop(top: int, left: int, height: int, width: int, flip: bool = False, size=(60, 80)) -> np.ndarray:
    """One record of a "random_resized" crop."""
    record = np.zeros(1, RECORD)
    values = {"top": top, "left": left, "height": height, "width": width, "flip": flip}
    for name, side in zip(("source_height", "source_width", "frame_height", "frame_width"), size * 2, strict=True):
        values[name] = side
    for name, value in values.items():
        record[name] = value
    return record


def test_centres_are_the_middles_of_the_crops_boxes_in_pixels() -> None:
    found = bins(crop(10, 20, 30, 40), (3, 2))
    expected = [(15, 30), (15, 50), (25, 30), (25, 50), (35, 30), (35, 50)]
    assert found.centres[0].tolist() == pytest.approx(np.array(expected))
    assert found.diagonal.item() == pytest.approx(np.hypot(10, 20))


def test_a_flip_exchanges_left_and_right() -> None:
    straight, flipped = (bins(crop(10, 20, 30, 40, flip), (3, 4)) for flip in (False, True))
    there = straight.centres.unflatten(1, (3, 4))
    torch.testing.assert_close(flipped.centres.unflatten(1, (3, 4)), there.flip(2), rtol=0, atol=1e-12)
    assert torch.equal(straight.diagonal, flipped.diagonal)


@pytest.mark.parametrize("view", [
    View(size=32), View(size=32, crop="pad", pad=8), View(size=32, crop="load", load_size=40), View(size=32, crop="centre"),
])  # fmt: skip
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_places_are_where_the_renderer_took_their_pixels_from(view: View, flip: float) -> None:
    """The image tells every pixel's own row and column, so a rendered view tells where each of its places comes from."""
    H, W = 64, 96
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    image = torch.stack((2 * y, 2 * x, 0 * y)).to(torch.uint8)
    view = replace(view, flip=flip, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    record = sample(view, seed=1, epoch=0, view_index=0, indices=np.arange(6), sizes=np.tile((H, W), (6, 1)))
    centres, seen = bins(record, (4, 4)).centres, 0
    for i in range(6):
        rendered = render(image, record[i], view) * 255 / 2 + 0.5  # rows and columns of pixels' middles
        told = rendered[:2].unflatten(2, (4, 8)).unflatten(1, (4, 8)).mean(dim=(2, 4)).flatten(1).T
        inside = ((centres[i] > 16) & (centres[i] < torch.tensor([H - 16, W - 16]))).all(dim=1)  # reflections are not
        assert (told - centres[i])[inside].abs().lt(1.0).all()
        seen += int(inside.sum())
    assert seen > 20


def test_a_view_matches_itself_place_by_place_at_the_papers_distance() -> None:
    """For square boxes the next middle is one side away, 0.707 of the diagonal."""
    same = bins(crop(10, 20, 40, 40), (7, 7))
    assert torch.equal(same_places(same, same, distance=0.7)[0], torch.eye(49, dtype=torch.bool))
    assert same_places(same, same, distance=0.71).sum() == 49 + 2 * 2 * 7 * 6  # and its neighbours to four sides


def test_the_distance_itself_is_still_near() -> None:
    one, other = bins(crop(0, 0, 30, 40), (1, 1)), bins(crop(3, 4, 30, 40), (1, 1))  # 5 apart, diagonal 50
    assert same_places(one, other, distance=0.1).all() and not same_places(one, other, distance=0.0999).any()


def test_flipping_one_view_mirrors_what_matches() -> None:
    one = bins(crop(5, 10, 40, 50), (4, 4))
    other, mirrored = (bins(crop(12, 20, 36, 36, flip), (4, 4)) for flip in (False, True))
    there = same_places(one, other).unflatten(2, (4, 4))
    assert there.any() and torch.equal(same_places(one, mirrored).unflatten(2, (4, 4)), there.flip(3))
    assert not torch.equal(there, there.flip(3))


def test_crops_apart_share_nothing() -> None:
    assert not same_places(bins(crop(0, 0, 20, 20), (4, 4)), bins(crop(30, 40, 20, 20), (4, 4))).any()


def test_what_matches_is_mutual_and_knows_no_scale() -> None:
    boxes = (5, 10, 40, 50), (12, 20, 30, 36)
    small = [bins(crop(*box), (4, 5)) for box in boxes]
    large = [bins(crop(*(3 * side for side in box), size=(180, 240)), (4, 5)) for box in boxes]
    there = same_places(*small)
    assert torch.equal(same_places(*small[::-1]), there.mT) and torch.equal(same_places(*large), there)


def test_the_larger_of_two_boxes_decides() -> None:
    """A place of a wide view has several in a close one."""
    wide, close = bins(crop(0, 0, 56, 56), (7, 7)), bins(crop(8, 8, 14, 14), (7, 7))
    there = same_places(wide, close)[0]
    assert there.any(dim=0).all()  # every place of the close view is somewhere in the wide one
    assert there.sum(dim=1).max() > 4 and there.any(dim=1).sum() == 4 * 4 - 3  # all around but three corners


def test_every_place_in_both_views_has_a_partner() -> None:
    """The nearest middle is at most half a diagonal away."""
    view = named("byol", 32).views[0]
    records = [
        sample(view, seed=0, epoch=0, view_index=k, indices=np.arange(50), sizes=np.tile((40, 64), (50, 1)))
        for k in range(2)
    ]
    first, second = (bins(record, (4, 4)) for record in records)
    low = torch.from_numpy(np.stack((records[1]["top"], records[1]["left"]), 1))[:, None]
    high = low + torch.from_numpy(np.stack((records[1]["height"], records[1]["width"]), 1))[:, None]
    within = ((first.centres >= low) & (first.centres <= high)).all(dim=2)
    there = same_places(first, second)
    assert within.any() and there.any(dim=2)[within].all() and not there.all()


def test_lit_places_keep_their_brightness_and_others_lose_it() -> None:
    view = View(size=8, mean=(0.5,) * 3, std=(0.25,) * 3)
    x = torch.full((2, 3, 8, 8), 1.2)  # 0.8 of full brightness
    weight = torch.zeros(2, 2, 2)
    weight[:, 0, 1] = 1
    picture = lit([(x, weight), (x, 1 - weight)], view)
    assert picture.dtype == torch.uint8 and picture.shape == (3, 20, 20)
    assert (picture[:, 2:6, 6:10] == 204).all() and (picture[:, 2:6, 2:6] == 51).all()
    assert (picture[:, 2:6, 16:20] == 51).all() and (picture[:, 6:10, 12:20] == 204).all()
