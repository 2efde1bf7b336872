"""The drawn shapes: the same picture every time, factors that are what they say, a class that pixels do not give away."""

import numpy as np
import pytest
import torch

from unlabel.data import shapes
from unlabel.data.shapes import CLASSES, FACTORS, FIELDS, LUMA, REACH, SCALE, SHIFT, TEXTURES, TURN, Shapes, tables
from unlabel.errors import Fault


def test_picture_depends_on_split_position_and_size_alone() -> None:
    few, many = Shapes(20), Shapes(500)
    chosen = np.array([19, 3, 3, 0])
    assert torch.equal(few.images(chosen), many.images(chosen))
    assert torch.equal(few.images(chosen), torch.stack([Shapes(20).image(int(i)) for i in chosen]))
    for name in FACTORS:
        assert np.array_equal(few.factors[name], many.factors[name][:20]), name


def test_batches_longer_than_a_chunk_are_in_order() -> None:
    source = Shapes(150)
    order = np.random.default_rng(0).permutation(150)
    together = source.images(order)
    for row in (0, 63, 64, 127, 128, 149):
        assert torch.equal(together[row], source.image(int(order[row])))


def test_splits_share_no_picture() -> None:
    everything = torch.cat([Shapes(1000, split=split).images(np.arange(1000)) for split in ("train", "test")])
    assert len(torch.unique(everything.flatten(1), dim=0)) == 2000


@pytest.mark.parametrize("size", [8, 32, 50])
def test_images_are_uint8_of_the_size_asked_for(size: int) -> None:
    image = Shapes(3, size=size).image(2)
    assert image.dtype == torch.uint8 and image.shape == (3, size, size)
    assert image.float().std() > 5


def test_size_changes_resolution_not_content() -> None:
    small, large = (Shapes(64, size=size).images(np.arange(64)).float() for size in (32, 64))
    assert (torch.nn.functional.avg_pool2d(large, 2) - small).abs().mean() < 2  # of 255


def test_edges_are_antialiased(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pixel is as bright as the mean of the 8 x 8 small ones in its place."""
    monkeypatch.setattr(shapes, "CONTRAST", 1.0)
    for name in ("LIGHT", "TEXTURE"):
        monkeypatch.setattr(shapes, name, (0.0, 0.0))
    monkeypatch.setattr(shapes, "CHROMA", 0.0)
    small, large = (Shapes(64, size=size).images(np.arange(64)).float() / 255 for size in (32, 256))
    exact = torch.nn.functional.avg_pool2d(large, 8)
    edge = (exact > 0.02) & (exact < 0.98)
    assert (small - exact)[edge].abs().mean() < 0.04  # a step without antialiasing: 0.25


def test_factors_have_their_kinds_and_ranges() -> None:
    source = Shapes(5000)
    assert list(source.factors) == list(FACTORS)
    for name, kind in FACTORS.items():
        values = source.factors[name]
        assert values.shape == (5000,)
        assert (values.dtype.kind in "iu") == (kind == "class"), name
    circle = (0.0, 2 * np.pi)
    ranges = {"hue_angle": circle, "ground_angle": circle, "light_angle": circle, "scale": SCALE}
    ranges |= {"x": (-SHIFT, SHIFT), "y": (-SHIFT, SHIFT), "rotation": (-TURN, TURN)}
    for name, (low, high) in ranges.items():
        values, tenth = source.factors[name], (high - low) / 10
        assert low <= values.min() < low + tenth and high - tenth < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))  # 7 standard errors
        assert values.std() == pytest.approx((high - low) / 12**0.5, rel=0.05)


def test_factors_are_independent() -> None:
    factors = Shapes(5000).factors
    table = np.corrcoef([factors[name].astype(float) for name in FACTORS])
    assert np.abs(table - np.eye(len(FACTORS))).max() < 0.07  # 5 standard errors


def test_classes_are_balanced_in_every_run_of_eight() -> None:
    source = Shapes(803)
    assert source.labels is source.factors["shape"] and source.labels.dtype == np.int64
    assert source.classes == list(CLASSES) and len(source) == 803
    assert (np.sort(source.labels[:800].reshape(-1, 8)) == np.arange(8)).all()
    every_eighth = np.bincount(source.labels[::8], minlength=8)  # the order is random: a stride is no single class
    assert every_eighth.min() > 0
    textures = np.bincount(Shapes(5000).factors["texture"], minlength=len(TEXTURES))
    assert abs(textures / 5000 - 1 / len(TEXTURES)).max() < 0.03


def test_shape_is_where_and_as_large_as_the_factors_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without light, texture and colours, luma says how much of each pixel is covered: area and middle follow."""
    monkeypatch.setattr(shapes, "LIGHT", (0.0, 0.0))
    monkeypatch.setattr(shapes, "TEXTURE", (0.0, 0.0))
    monkeypatch.setattr(shapes, "CHROMA", 0.0)
    monkeypatch.setattr(shapes, "CONTRAST", 1.0)
    source = Shapes(400, size=64)
    cover = source.images(np.arange(400)).numpy()[:, 0] / 255  # [n, 64, 64]
    area, axis = cover.sum(axis=(1, 2)), (np.arange(64) + 0.5) / 64 - 0.5
    symmetric = np.isin(source.labels, [CLASSES.index(name) for name in ("disc", "ring", "cross", "hourglass")])
    x, y, scale = (source.factors[name] for name in ("x", "y", "scale"))
    inside = symmetric & (np.maximum(abs(x), abs(y)) + 1.2 * scale < 0.5)
    assert inside.sum() > 50
    for place, along in ((x, 1), (y, 2)):
        assert abs(cover.sum(axis=along) @ axis / area - place)[inside].max() < 0.005
    discs = inside & (source.labels == CLASSES.index("disc"))
    assert np.sqrt(area / np.pi)[discs] / 64 == pytest.approx(0.82 * scale[discs], rel=0.02)


def test_rotation_turns_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """A star's point nearest the top is at `rotation` from it, clockwise as y grows downwards."""
    monkeypatch.setattr(shapes, "CHROMA", 0.0)
    monkeypatch.setattr(shapes, "LIGHT", (0.0, 0.0))
    monkeypatch.setattr(shapes, "TEXTURE", (0.0, 0.0))
    star = {name: values[:1].repeat(3) for name, values in shapes._draw(8, 0).items()}
    star |= {"shape": np.full(3, CLASSES.index("star")), "x": np.zeros(3), "y": np.zeros(3), "scale": np.full(3, 0.38)}
    angles = np.array([-0.5, 0.0, 0.5])
    pictures = shapes._render(star | {"rotation": angles}, 128)[:, 0] > 127
    axis = (np.arange(128) + 0.5) / 128 - 0.5
    right, down = np.meshgrid(axis, axis)
    far = np.hypot(right, down)
    for picture, angle in zip(pictures, angles, strict=True):
        tip = picture & (far > 0.30) & (abs(np.arctan2(right, -down)) < 1.0)
        tips = np.arctan2(right, -down)[tip]
        nearest = tips[abs(tips - angle) < 0.6]
        assert nearest.mean() == pytest.approx(angle, abs=0.03)


def test_grey_copy_hides_hues() -> None:
    """Pictures that differ in hue alone have the same luma, up to rounding and clipping."""
    drawn = {name: values[:1].repeat(6) for name, values in shapes._draw(8, 0).items()}
    grey = []
    for name in ("hue_angle", "ground_angle", "lamp"):
        turned = drawn | {name: np.arange(6) * np.pi / 3}
        pictures = shapes._render(turned, 32)
        assert (pictures != pictures[:1]).any(axis=(1, 2, 3))[1:].all()
        untouched = ((pictures > 0) & (pictures < 255)).all(axis=(0, 1))
        grey.append(np.ptp(np.tensordot(pictures, LUMA, axes=(1, 0)), axis=0)[untouched])
    assert np.concatenate(grey).max() <= 1.0


@pytest.mark.parametrize("name", CLASSES)
def test_outline_has_a_signed_distance(name: str) -> None:
    """All within the table, and a slope of one at the outline: what antialiasing counts on."""
    axis = np.linspace(-REACH, REACH, 201)
    x, y = np.meshgrid(axis, axis)
    distance = FIELDS[name](x, y)
    inside = distance < 0
    assert inside.mean() > 0.1 and np.hypot(x, y)[inside].max() <= 1.2 < REACH
    across, along = np.gradient(distance, axis, axis)
    near = np.abs(distance) < 0.03
    assert np.median(np.hypot(across, along)[near]) == pytest.approx(1, abs=0.02)


def test_mirrored_shape_is_no_other_class() -> None:
    inside = tables() < 0
    for a in range(len(CLASSES)):
        for b in range(len(CLASSES)):
            other = inside[b, :, ::-1]
            overlap = (inside[a] & other).sum() / (inside[a] | other).sum()
            if a == b and CLASSES[a] != "crescent":
                assert overlap > 0.97
            if a != b:
                assert overlap < 0.87


def test_path_and_fingerprint_tell_sources_apart() -> None:
    source = Shapes(10)
    assert source.path(7) == f"shapes/train/{CLASSES[source.labels[7]]}-000007"
    assert source.fingerprint() == Shapes(10).fingerprint()
    others = [Shapes(11), Shapes(10, split="test"), Shapes(10, size=64)]
    assert len({source.fingerprint(), *(other.fingerprint() for other in others)}) == 4
    assert source.skipped == {}


def test_mistakes_are_faults() -> None:
    with pytest.raises(Fault, match="ask for 1 or more"):
        Shapes(0)
    with pytest.raises(Fault, match="size of 8 or more"):
        Shapes(10, size=4)
    with pytest.raises(Fault, match="did you mean `train`"):
        Shapes(10, split="trian")  # type: ignore[arg-type]
    with pytest.raises(IndexError):
        Shapes(10).image(10)


@pytest.mark.parametrize("centred", [False, True])
def test_pixels_do_not_give_the_class_away(centred: bool) -> None:
    """kNN of raw pixels: 45 % at most, with and without each picture's mean and the mean picture."""
    memory, queries = Shapes(2000), Shapes(500, split="test")
    m, q = (source.images(np.arange(len(source))).flatten(1).float() / 255 for source in (memory, queries))
    if centred:
        m, q = m - m.mean(dim=1, keepdim=True), q - q.mean(dim=1, keepdim=True)
        m, q = m - m.mean(dim=0), q - m.mean(dim=0)
    m, q = torch.nn.functional.normalize(m, dim=1), torch.nn.functional.normalize(q, dim=1)
    cosine, neighbours = (q @ m.T).topk(20, dim=1)
    votes = torch.zeros(500, len(CLASSES))
    votes.scatter_add_(1, torch.from_numpy(memory.labels)[neighbours], (cosine / 0.07).exp())
    accuracy = 100 * (votes.argmax(dim=1) == torch.from_numpy(queries.labels)).float().mean()
    assert accuracy <= 45
