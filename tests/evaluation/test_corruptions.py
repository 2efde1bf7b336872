"""Corruptions: each against its formula or another library, what they have in common, and what is refused."""

import colorsys

import numpy as np
import pytest
import torch
from scipy import ndimage

from unlabel.evaluation.corruptions import (
    NAMES,
    SEVERITIES,
    applicable,
    corrupt,
    disk,
    plasma,
    settings,
    source_of,
)


def pictures(b=4, c=3, side=32, seed=0):
    """Smooth pictures with edges, neither black nor white at large."""
    g = torch.Generator().manual_seed(seed)
    x = torch.nn.functional.interpolate(torch.rand(b, c, 5, 5, generator=g), size=(side, side), mode="bilinear")
    x[:, :, side // 3 : side // 2, side // 4 :] *= 0.3
    return (255 * x).round().to(torch.uint8)


def changed(name, severity, x=None, **more):
    x = pictures() if x is None else x
    return corrupt(x, name, severity, indices=np.arange(len(x)), **more)


def near(found, expected, steps=1.0):
    """Equal up to rounding; both in 0 .. 255."""
    np.testing.assert_allclose(found.numpy().astype(float), np.asarray(expected), atol=steps + 1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_each_depends_on_seed_and_index_alone_and_leaves_the_pictures_as_they_are(name):
    x = pictures()
    before = x.clone()
    whole = corrupt(x, name, 3, indices=np.array([5, 6, 7, 8]), seed=1)
    assert torch.equal(x, before) and whole.dtype == torch.uint8 and whole.shape == x.shape
    assert torch.equal(corrupt(x[2:3], name, 3, indices=np.array([7]), seed=1), whole[2:3])
    drawn = not torch.equal(corrupt(x, name, 3, indices=np.array([5, 6, 7, 8]), seed=2), whole)
    assert drawn == (name.endswith("noise") or name in ("motion_blur", "fog"))
    assert drawn == (not torch.equal(corrupt(x, name, 3, indices=np.arange(4), seed=1), whole))


@pytest.mark.parametrize(
    ("name", "side"),
    [
        (name, side)
        for name in NAMES
        for side in (32, 64, 224)
        # Some saturations take away and some add, fog has other shapes, and of 30 or 28 pixels it depends on the edges.
        if name not in ("saturate", "fog") and (name, side) != ("pixelate", 32)
    ],
)
def test_severities_go_farther_from_the_picture(name, side):
    x = pictures(2, side=side)
    far = [float((changed(name, s, x).float() - x.float()).abs().mean()) for s in range(1, SEVERITIES + 1)]
    assert far == sorted(far) and far[0] < far[-1]


def test_whose_numbers_they_are():
    assert [source_of(side) for side in (28, 32, 40, 64, 96, 128, 224, 448)] == [
        "CIFAR-10-C", "CIFAR-10-C", "CIFAR-10-C", "Tiny-ImageNet-C", "Tiny-ImageNet-C", "ImageNet-C", "ImageNet-C", "ImageNet-C",
    ]  # fmt: skip
    for side in (32, 64, 224):
        assert all(len(found) == SEVERITIES for found in settings(side).values())


def test_noises_have_the_moments_of_their_formulas():
    x = torch.full((64, 3, 32, 32), 102, dtype=torch.uint8)  # 0.4
    y = changed("gaussian_noise", 2, x).double() / 255
    assert float(y.mean()) == pytest.approx(0.4, abs=2e-3) and float(y.std()) == pytest.approx(0.06, abs=1e-3)
    y = changed("shot_noise", 5, x).double() / 255
    assert float(y.mean()) == pytest.approx(0.4, abs=2e-3) and float(y.std()) == pytest.approx(
        (0.4 / 50) ** 0.5, abs=1e-3
    )
    y = changed("impulse_noise", 5, x)
    assert float((y == 0).double().mean()) == pytest.approx(0.035, abs=2e-3)
    assert float((y == 255).double().mean()) == pytest.approx(0.035, abs=2e-3)
    assert float((y == 102).double().mean()) == pytest.approx(0.93, abs=4e-3)


def test_draws_are_shared_by_severities_and_not_by_corruptions():
    x = torch.full((1, 3, 32, 32), 128, dtype=torch.uint8)
    weak, strong = changed("impulse_noise", 1, x) != 128, changed("impulse_noise", 5, x) != 128
    assert bool((strong | ~weak).all()) and strong.sum() > weak.sum()
    noises = [changed(name, 3, x).flatten().double() for name in ("gaussian_noise", "shot_noise")]
    assert abs(float(torch.corrcoef(torch.stack(noises))[0, 1])) < 0.1


@pytest.mark.parametrize(("side", "severity", "sigma"), [(32, 5, 1.0), (64, 4, 1.25), (128, 5, 6)])
def test_gaussian_blur_is_scipys(side, severity, sigma):
    x = pictures(2, side=side)
    near(
        changed("gaussian_blur", severity, x),
        ndimage.gaussian_filter(x.numpy().astype(float), (0, 0, sigma, sigma), mode="nearest", truncate=4),
    )


@pytest.mark.parametrize(
    ("side", "severity", "radius", "soft"), [(32, 3, 0.5, 0.6), (64, 4, 2.5, 0.01), (224, 2, 4, 0.5)]
)
def test_defocus_is_opencvs(side, severity, radius, soft):
    cv2 = pytest.importorskip("cv2")
    x = pictures(2, side=side)
    place = np.arange(-8, 9)
    flat = (place[:, None] ** 2 + place**2 <= radius**2).astype(np.float32)
    kernel = cv2.GaussianBlur(flat / flat.sum(), ksize=(3, 3), sigmaX=soft)
    expected = [[cv2.filter2D(plane.astype(np.float32), -1, kernel) for plane in image] for image in x.numpy()]
    near(changed("defocus_blur", severity, x), np.array(expected))


@pytest.mark.parametrize(("radius", "softness"), [(0.3, 0.4), (3.0, 0.1), (8.0, 0.5), (10.0, 0.5)])
def test_a_disk_sums_to_one_and_is_round(radius, softness):
    kernel = disk(radius, softness)
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(kernel, kernel.flip(0))
    torch.testing.assert_close(kernel, kernel.T)


def test_motion_is_a_half_gaussian_along_the_drawn_line():
    x = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    x[0, 0, 16, 20] = 255
    draw = np.random.Generator(np.random.Philox(np.random.SeedSequence((0, NAMES.index("motion_blur"), 0))))
    angle = np.radians(draw.uniform(-45, 45))
    weight = np.exp(-0.5 * (np.arange(19) / 2.5) ** 2)
    expected = np.zeros((32, 32))
    for tap, share in enumerate(255 * weight / weight.sum()):
        left, top = int(np.ceil(tap * np.cos(angle) - 0.5)), int(np.ceil(tap * np.sin(angle) - 0.5))
        if 0 <= 16 - top < 32 and 0 <= 20 - left < 32:
            expected[16 - top, 20 - left] += share
    near(changed("motion_blur", 5, x)[0, 0], expected, 0.5)
    flat = torch.full((1, 3, 32, 32), 77, dtype=torch.uint8)
    assert torch.equal(changed("motion_blur", 5, flat), flat)  # what lies beyond the edge is the edge


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("side", [32, 224])
def test_brightness_and_saturation_are_those_of_hsv(side, severity):
    few = torch.tensor(
        [[0, 0, 0], [255, 255, 255], [90, 90, 90], [200, 30, 90], [10, 250, 40], [1, 0, 2], [60, 70, 200]]
    )
    x = few.T.reshape(1, 3, 1, 7).repeat(1, 1, side, side // 7 + 1)[..., :side].to(torch.uint8)
    more = settings(side)["brightness"][severity - 1]
    factor, added = settings(side)["saturate"][severity - 1]
    for name, change in (
        ("brightness", lambda h, s, v: (h, s, min(1, v + more))),
        ("saturate", lambda h, s, v: (h, min(1, factor * s + added), v)),
    ):
        found = changed(name, severity, x)[0, :, 0, :7].T
        expected = [
            colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*(c / 255 for c in pixel)))) for pixel in few.tolist()
        ]
        near(found, 255 * np.array(expected), 0.5)


def test_contrast_goes_to_each_channels_mean():
    x = pictures()
    mean = x.double().mean(dim=(2, 3), keepdim=True)
    near(changed("contrast", 5, x), mean + 0.15 * (x - mean), 0.5)


def test_fog_is_thick_by_its_number_and_keeps_the_brightest_value():
    black, white = torch.zeros(8, 3, 64, 64, dtype=torch.uint8), torch.full((8, 3, 64, 64), 255, dtype=torch.uint8)
    assert torch.equal(changed("fog", 5, black), black)  # max x is 0
    y = changed("fog", 5, white).double() / 255  # (1 + 2 f) / 3, f from 0 to 1
    assert torch.equal(y[:, 0], y[:, 1]) and not torch.equal(y[0], y[1])
    assert float(y.amin()) == pytest.approx(1 / 3, abs=0.01) and float(y.amax()) == pytest.approx(1, abs=0.01)


def test_a_plasma_is_a_smooth_cloud_on_a_torus():
    rough, smooth = (plasma(50, decay, np.random.default_rng(3)) for decay in (1.4, 3.0))
    for cloud in (rough, smooth):
        assert cloud.shape == (64, 64) and cloud.min() == 0 and cloud.max() == 1
    steps = [np.abs(np.diff(cloud, axis=0)).mean() for cloud in (rough, smooth)]
    assert steps[1] < 0.3 * steps[0]
    assert np.abs(smooth[0] - smooth[-1]).mean() < 3 * steps[1]  # the last row is beside the first


def test_pixels_become_blocks():
    x = pictures(2, side=64)
    y = changed("pixelate", 5, x)  # 32 blocks of 2 x 2
    expected = x.double().unflatten(2, (32, 2)).unflatten(4, (32, 2)).mean(dim=(3, 5))
    near(y[:, :, ::2, ::2], expected)  # rounded twice, across and down
    assert torch.equal(y[:, :, ::2], y[:, :, 1::2]) and torch.equal(y[..., ::2], y[..., 1::2])


def test_jpeg_keeps_flat_pictures_and_loses_detail():
    flat = torch.full((1, 3, 32, 32), 130, dtype=torch.uint8)
    near(changed("jpeg", 5, flat), flat, 2)
    x = pictures(2)
    assert 0 < float((changed("jpeg", 1, x).double() - x).abs().mean()) < 6


def test_images_of_other_channels_have_what_applies():
    assert applicable(3) == NAMES and set(NAMES) - set(applicable(1)) == {"saturate"}
    assert set(NAMES) - set(applicable(4)) == {"saturate", "jpeg"}
    for channels in (1, 4):
        x = pictures(2, channels)
        for name in applicable(channels):
            assert changed(name, 2, x).shape == x.shape
    with pytest.raises(ValueError, match="no jpeg of severity 1 for images of 4 channels"):
        changed("jpeg", 1, pictures(1, 4))


@pytest.mark.parametrize(("name", "severity"), [("snow", 1), ("fog", 0), ("fog", 6)])
def test_others_are_refused(name, severity):
    with pytest.raises(ValueError, match=f"no {name} of severity {severity}"):
        changed(name, severity)


def test_no_picture_is_no_trouble():
    for name in ("contrast", "gaussian_blur"):
        assert corrupt(pictures(0), name, 1, indices=np.empty(0, np.int64)).shape == (0, 3, 32, 32)
