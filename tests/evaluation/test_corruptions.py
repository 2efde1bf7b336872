"""Corruptions: each against its formula or another library, what they have in common, and what is refused."""

import colorsys

import numpy as np
import pytest
import torch
from scipy import ndimage

from unlabel.evaluation.corruptions import applicable, corrupt, disk
from unlabel.evaluation.filters import plasma, zoomed
from unlabel.evaluation.severities import FURTHER, NAMES, SEVERITIES, settings, source_of
from unlabel.evaluation.warps import smoothed
from unlabel.evaluation.weather import ice, luma, relief


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
    at_random = ("motion_blur", "fog", "glass_blur", "snow", "frost", "elastic", "spatter")
    assert drawn == (name.endswith("noise") or name in at_random)
    assert drawn == (not torch.equal(corrupt(x, name, 3, indices=np.arange(4), seed=1), whole))


@pytest.mark.parametrize(
    ("name", "side"),
    [
        (name, side)
        for name in NAMES
        for side in (32, 64, 224)
        # Some saturations take away and some add, fog has other shapes, and of 30 or 28 pixels it depends on the edges.
        # Snow, frost, spatter, glass and elastic sheets change in kind: what is drawn grows in one number and falls in another.
        if name not in ("saturate", "fog", "snow", "frost", "spatter", "glass_blur", "elastic")
        and (name, side) != ("pixelate", 32)
    ],
)
def test_severities_go_farther_from_the_picture(name, side):
    x = pictures(2, side=side)
    far = [float((changed(name, s, x).float() - x.float()).abs().mean()) for s in range(1, SEVERITIES + 1)]
    assert far == sorted(far) and far[0] < far[-1]


@pytest.mark.parametrize("name", ["snow", "spatter", "glass_blur", "elastic", "fog"])
@pytest.mark.parametrize("side", [32, 64, 224])
def test_the_strongest_is_farther_than_the_weakest_on_average(name, side):
    x = pictures(4 if side < 224 else 2, side=side)
    far = [float((changed(name, s, x).float() - x.float()).abs().mean()) for s in (1, SEVERITIES)]
    # An affine map of a tenth of the side moves more than the ripples of ImageNet-C's last severities do.
    assert far[0] < far[1] if name != "elastic" else min(far) > 1


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
    assert applicable(3) == NAMES and set(NAMES) - set(applicable(1)) == {"saturate", "spatter"}
    assert set(NAMES) - set(applicable(4)) == {"saturate", "spatter", "jpeg"}
    for channels in (1, 4):
        x = pictures(2, channels)
        for name in applicable(channels):
            assert changed(name, 2, x).shape == x.shape
    with pytest.raises(ValueError, match="no jpeg of severity 1 for images of 4 channels"):
        changed("jpeg", 1, pictures(1, 4))


@pytest.mark.parametrize(("name", "severity"), [("hail", 1), ("fog", 0), ("fog", 6)])
def test_others_are_refused(name, severity):
    with pytest.raises(ValueError, match=f"no {name} of severity {severity}"):
        changed(name, severity)


def test_no_picture_is_no_trouble():
    for name in NAMES:
        if name in ("jpeg", "pixelate") or name.endswith("noise") or name in ("fog", "frost", "snow", "spatter"):
            continue  # these put together what they made of each
        assert corrupt(pictures(0), name, 1, indices=np.empty(0, np.int64)).shape == (0, 3, 32, 32)


# ------------------------------------------------------------------ the seven that were published as programs


def test_all_nineteen_are_there_and_four_are_apart():
    assert len(NAMES) == 19 and len(set(NAMES) - set(FURTHER)) == 15 and set(FURTHER) <= set(NAMES)


def test_speckles_are_as_strong_as_the_picture_is_bright():
    x = torch.full((64, 3, 32, 32), 51, dtype=torch.uint8)  # 0.2
    y = changed("speckle_noise", 5, x).double() / 255
    assert float(y.mean()) == pytest.approx(0.2, abs=1e-3) and float(y.std()) == pytest.approx(0.04, abs=1e-3)
    black = torch.zeros_like(x)
    assert torch.equal(changed("speckle_noise", 5, black), black)


@pytest.mark.parametrize(("side", "severity", "reach"), [(32, 1, 1), (64, 5, 2), (224, 5, 4)])
def test_glass_takes_pixels_from_nearby_and_leaves_flat_pictures(side, severity, reach):
    flat = torch.full((1, 3, side, side), 77, dtype=torch.uint8)
    assert torch.equal(changed("glass_blur", severity, flat), flat)
    half = torch.zeros(1, 1, side, side, dtype=torch.uint8)
    half[..., side // 2 :] = 200
    y = changed("glass_blur", severity, half)[0, 0]
    assert not torch.equal(y, half[0, 0])
    # The last row that a pixel can come from: two shuffles and the blurs before and after them.
    wide = 2 * 2 * reach + 2 * int(4 * settings(side)["glass_blur"][severity - 1][0] + 0.5)
    far = torch.cat((y[:, : side // 2 - wide], 200 - y[:, side // 2 + wide :]), dim=1)
    assert not far.any()


def test_glass_at_the_first_severity_is_a_choice_among_near_pixels():
    x = pictures(1)  # a standard deviation of 0.05 blurs nothing
    y = changed("glass_blur", 1, x)
    near_by = torch.stack([x.roll((a, b), (2, 3)) for a in range(-2, 3) for b in range(-2, 3)])
    inner = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    found = (near_by == y).all(dim=2)  # the same neighbour in all channels
    assert bool(found.any(dim=0)[0, 3:-3, 3:-3].float().mean() > 0.9) and not torch.equal(y[inner], x[inner])


@pytest.mark.parametrize("factor", [1.0, 1.05, 1.24, 2.25, 4.5])
def test_enlargements_are_scipys(factor):
    x = pictures(1, side=40).float()
    inner = int(np.ceil(40 / factor))
    top = (40 - inner) // 2
    part = x[0, 0].numpy()[top : top + inner, top : top + inner]
    large = ndimage.zoom(part, factor, order=1)
    if len(large) >= 40:  # rounded down, the program that this follows would have a row too few
        cut = (len(large) - 40) // 2
        np.testing.assert_allclose(zoomed(x, factor)[0, 0].numpy(), large[cut : cut + 40, cut : cut + 40], atol=1e-3)
    assert zoomed(x, factor).shape == x.shape


def test_zooming_is_the_mean_of_the_enlargements():
    x = pictures(2, side=64)
    factors = np.arange(1, 1.06, 0.01)
    expected = (x.float() + sum(zoomed(x.float(), f) for f in factors)) / (len(factors) + 1)
    near(changed("zoom_blur", 1, x), expected, 0.5)


@pytest.mark.parametrize(("side", "sigma"), [(32, 0.96), (40, 6.4), (30, 21.0)])
def test_smoothing_is_scipys_however_wide(side, sigma):
    field = np.random.default_rng(0).uniform(-1, 1, (side, side + 3))
    expected = ndimage.gaussian_filter(field, sigma, mode="reflect", truncate=3)
    np.testing.assert_allclose(smoothed(field, sigma), expected, atol=1e-10)
    assert smoothed(field, 0.0) is field


def test_an_elastic_sheet_keeps_flat_pictures_and_moves_no_farther_than_it_may():
    flat = torch.full((2, 3, 32, 32), 91, dtype=torch.uint8)
    assert torch.equal(changed("elastic", 4, flat), flat)
    x = torch.zeros(1, 1, 64, 64, dtype=torch.uint8)
    x[..., 32, 32] = 255
    y = changed("elastic", 5, x)[0, 0]  # 0.16 of the side at most, smoothed to less, and 0.02 of it by the affine map
    rows, columns = torch.nonzero(y, as_tuple=True)
    assert len(rows) and int((rows - 32).abs().max()) <= 12 and int((columns - 32).abs().max()) <= 12


def test_snow_whitens_and_falls_and_is_the_same_turned():
    black = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    y = changed("snow", 1, black).double() / 255  # 0.95 x 0 + 0.05 x 0.5 + flakes
    assert float(y.amin()) == pytest.approx(0.025, abs=3e-3) and float(y.amax()) > 0.1
    assert torch.equal(y[:, 0], y[:, 1]) and torch.equal(y, y.flip(2, 3))
    assert float(changed("snow", 5, black).double().mean()) > 2 * float(y.mean() * 255)


def test_the_grey_value():
    x = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)
    assert float(luma(x)) == pytest.approx(0.299 + 0.2935) and float(luma(x[:, :2])) == pytest.approx(0.75)


def test_frost_is_a_share_of_the_picture_and_ice():
    draw = np.random.default_rng(1)
    drawn = ice(40, 48, draw)
    assert drawn.shape == (40, 48) and 0 <= drawn.min() < 0.45 and 0.6 < drawn.max() <= 1 and 0.3 < drawn.mean() < 0.7
    black, grey = (torch.full((1, 3, 32, 32), value, dtype=torch.uint8) for value in (0, 100))
    on_black, on_grey = (changed("frost", 5, x).double() for x in (black, grey))
    near(on_grey, on_black + 75, 1)  # 0.75 of the picture
    assert float(on_black.mean()) == pytest.approx(0.45 * 255 * drawn.mean(), rel=0.3)


@pytest.mark.parametrize("side", [32, 64, 224])
def test_under_frost_less_and_less_is_seen_of_the_picture(side):
    x = pictures(3, side=side)
    seen = [
        float(torch.corrcoef(torch.stack([x.flatten(), changed("frost", s, x).flatten()]).double())[0, 1])
        for s in range(1, 6)
    ]
    assert seen == sorted(seen, reverse=True) and seen[-1] < seen[0] - 0.02


def test_drops_of_water_add_light_and_of_mud_cover():
    x = torch.full((4, 3, 64, 64), 60, dtype=torch.uint8)
    water, mud = changed("spatter", 3, x), changed("spatter", 5, x)
    assert bool((water >= x).all()) and bool((water > x).any())
    added = (water.double() - 60)[:, :, (water[0, 0] > 80)]
    assert float((added[:, 0] / added[:, 1]).nanmedian()) == pytest.approx(175 / 238, abs=0.05)  # water's colour
    covered = mud != x
    assert bool(covered.any()) and not bool(covered.all())
    colour = torch.tensor([63, 42, 20])[None, :, None, None]
    low, high = torch.minimum(colour, x.long()), torch.maximum(colour, x.long())
    assert bool((mud.long() >= low - 1).all()) and bool((mud.long() <= high + 1).all())


def test_no_drop_changes_nothing_and_a_drop_is_lit_from_one_side():
    assert not relief(torch.zeros(9, 9)).any()
    drop = torch.zeros(40, 40)
    drop[10:30, 10:30] = 170
    lit = relief(drop)
    assert lit.shape == (40, 40) and float(lit.amin()) >= 0 and float(lit.amax()) <= 255
    assert float((lit - lit.flip(0, 1)).abs().max()) > 50 and torch.allclose(lit, lit.T, atol=1e-3)
