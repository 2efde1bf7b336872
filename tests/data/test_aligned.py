"""A picture laid on another one lies where it was cut from."""

import numpy as np
import pytest
from PIL import Image

from unlabel.data.aligned import aligned, correlation, halved, laid, place_of, soft


def clouds(count: int, side: int = 256) -> list[Image.Image]:
    small = np.random.default_rng(0).integers(0, 256, (count, 9, 9), np.uint8)
    return [Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC) for pixels in small]


def shrunk(pictures: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(picture.resize((32, 32), Image.Resampling.BOX)) for picture in pictures])


@pytest.mark.parametrize(
    ("left", "top", "right", "bottom"), [(0, 0, 0, 0), (8, 0, 4, 0), (0, 0, 0, 16), (3, 12, 9, 0), (12, 12, 0, 0)]
)
def test_where_a_crop_was_cut_from(left, top, right, bottom):
    """Of 256 pixels: the crop is wide 1 - (left + right) / 256 and its middle lies (left - right) / 256 off."""
    whole = clouds(12)
    a = shrunk(whole)
    b = shrunk([picture.crop((left, top, 256 - right, 256 - bottom)) for picture in whole])
    near, mask, place = aligned(a, b, place_of(a, b))
    expected = [1 - (left + right) / 256, (left - right) / 256, 1 - (top + bottom) / 256, (top - bottom) / 256]
    assert np.abs(place - expected).max() < 0.01
    assert correlation(near, b.astype(np.float32), mask).min() > 0.99
    back = place_of(b, a)  # the other way round it is enlarged
    assert np.abs(back[:, 0::2] - 1 / np.array(expected)[0::2]).max() < 0.02


def test_contrast_and_lightness_move_nothing():
    a = shrunk(clouds(6))
    place = place_of(a, (a // 2 + 60).astype(np.uint8))
    assert np.abs(place - [1, 0, 1, 0]).max() < 0.01


def test_plain_pictures_and_none_are_no_error():
    plain = np.full((2, 32, 32), 90, np.uint8)
    near, mask, place = aligned(plain, plain, place_of(plain, plain))
    assert np.isfinite(place).all() and mask.all() and (correlation(near, near) == 0).all()
    none = np.zeros((0, 32, 32), np.uint8)
    assert aligned(none, none, place_of(none, none))[0].shape == (0, 32, 32)


def test_as_it_lies_there():
    """Moved by one pixel of 32, which is 1/16 of half the side, the last column is taken from outside."""
    a = np.random.default_rng(0).random((1, 32, 32), np.float32)
    near, mask = laid(a, np.array([[1, 1 / 16, 1, 0]]))
    assert np.allclose(near[0, :, :31], a[0, :, 1:], atol=1e-5)
    assert mask[0, :, :31].all() and not mask[0, :, 31].any()


def test_correlation_is_numpys_where_the_mask_is():
    a, b = np.random.default_rng(0).random((2, 3, 8, 8)).astype(np.float32)
    mask = np.random.default_rng(1).random((3, 8, 8)) < 0.5
    for k in range(3):
        assert correlation(a, b)[k] == pytest.approx(np.corrcoef(a[k].ravel(), b[k].ravel())[0, 1], abs=1e-5)
        inside = np.corrcoef(a[k][mask[k]], b[k][mask[k]])[0, 1]
        assert correlation(a, b, mask)[k] == pytest.approx(inside, abs=1e-5)


def test_softened_and_halved_are_means():
    a = np.random.default_rng(0).integers(0, 256, (2, 8, 8)).astype(float)
    assert soft(a)[1, 3, 4] == pytest.approx(a[1, 2:5, 3:6].mean())
    assert soft(a)[0, 0, 0] == pytest.approx((4 * a[0, 0, 0] + 2 * a[0, 0, 1] + 2 * a[0, 1, 0] + a[0, 1, 1]) / 9)
    assert halved(a)[1, 3, 0] == pytest.approx(a[1, 6:8, 0:2].mean())
