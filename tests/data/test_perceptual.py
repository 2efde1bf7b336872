"""Near duplicates are found by fewer comparisons than pairs, and others are not."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.fft import dctn

from unlabel.data import perceptual
from unlabel.data.perceptual import ALIKE, BITS, near_duplicates, perceptual_hash, small_copy
from unlabel.data.shapes import Shapes


def grey(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.BOX))


def tones(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB").resize((8, 8), Image.Resampling.BOX))


def clouds(count: int, seed: int = 0) -> list[Image.Image]:
    """Pictures with much at low frequencies, as photographs have, and of which no two are alike."""
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (count, 9, 9, 3), np.uint8)
    return [Image.fromarray(pixels).resize((96, 80), Image.Resampling.BICUBIC) for pixels in small]


def found(pictures: list[Image.Image]) -> list[list[int]]:
    greys = np.stack([grey(picture) for picture in pictures])
    copies = small_copy(greys, np.stack([tones(picture) for picture in pictures]))
    return [group.tolist() for group in near_duplicates(perceptual_hash(greys), copies)]


def test_the_bits_are_signs_of_a_cosine_transform():
    greys = np.stack([grey(picture) for picture in clouds(20)])
    waves = dctn(greys.astype(float), axes=(1, 2))[:, :8, :8] / 4  # scipy's has a factor 2 for each axis
    expected = (waves > 64).reshape(20, 64)
    hashes = perceptual_hash(greys)
    assert hashes.dtype == np.uint64
    assert [[int(h) >> k & 1 for k in range(64)] for h in hashes] == expected.astype(int).tolist()


def test_a_known_picture():
    """g = 128 + 100 cos(pi (2 x + 1) / 64) has c[0, 1] = 32 * 100 * 16 and c[0, 0] = 32 * 32 * 128; all others are 0."""
    row = 128 + 100 * np.cos(np.pi * (2 * np.arange(32) + 1) / 64)
    wave = np.tile(np.round(row).astype(np.uint8), (32, 1))
    assert perceptual_hash(np.stack([wave, 255 - wave, wave.T])).tolist() == [0b11, 0b1, 1 | 1 << 8]


CHANGES = {
    "jpeg": lambda p: Image.open(io.BytesIO(_jpeg(p, 30))),
    "half": lambda p: p.resize((p.width // 2, p.height // 2), Image.Resampling.LANCZOS),
    "double": lambda p: p.resize((2 * p.width, 2 * p.height), Image.Resampling.BICUBIC),
    "stretched": lambda p: p.resize((150, 60)),
    "lighter": lambda p: ImageEnhance.Brightness(p).enhance(1.15),
    "flatter": lambda p: ImageEnhance.Contrast(p).enhance(0.7),
    "grey": lambda p: p.convert("L"),
}


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_nothing_else_is(change):
    pictures = clouds(60)
    changed = [CHANGES[change](picture) for picture in pictures]
    groups = found(pictures + changed)
    assert groups == [[k, 60 + k] for k in range(60)]


@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_90, Image.Transpose.FLIP_LEFT_RIGHT])
def test_turned_and_mirrored_copies_are_other_pictures(turn):
    pictures = clouds(20)
    assert found(pictures + [p.transpose(turn) for p in pictures]) == []


def test_the_copies_are_grey_and_jpegs_tones():
    """The tones are those of Pillow's YCbCr, but for its rounding."""
    picture = clouds(1)[0]
    copy = small_copy(grey(picture)[None], tones(picture)[None])
    assert copy.shape == (1, 1152) and copy.dtype == np.uint8
    assert (copy[0, :1024].reshape(32, 32) == grey(picture)).all()
    small = Image.fromarray(tones(picture)).convert("YCbCr")
    expected = np.moveaxis(np.asarray(small), 2, 0)[1:].reshape(-1)
    assert np.abs(copy[0, 1024:].astype(int) - expected).max() <= 1


def test_the_same_picture_in_other_colours_is_another_one_but_not_if_tinted():
    light = np.asarray(clouds(1)[0].convert("L"))
    other = {}
    for name, colour in (
        ("red", (1, 0.3, 0.3)),
        ("rosy", (1, 0.9, 0.9)),
        ("pale", (1, 0.8, 0.8)),
        ("green", (0.3, 1, 0.3)),
    ):
        scaled = np.stack([light * factor for factor in colour], 2)
        other[name] = Image.fromarray(
            (scaled * light.mean() / (scaled @ [0.299, 0.587, 0.114]).mean()).clip(0, 255).astype(np.uint8)
        )
    assert found([other["red"], other["green"]]) == []
    assert found([other["rosy"], other["pale"], Image.fromarray(light)]) == [[0, 1, 2]]
    assert found([other["red"], Image.fromarray(light)]) == [[0, 1]]


def test_drawn_shapes_of_one_kind_and_place_are_no_copies():
    """They agree in ground and place, and not in details: of 1,500 one pair in a million may still be alike."""
    source = Shapes(1500)
    groups = found([Image.fromarray(source.image(i).permute(1, 2, 0).numpy()) for i in range(1500)])
    assert sum(map(len, groups)) <= 4
    for group in groups:
        assert len(set(source.labels[group])) == 1


def test_the_same_drawing_of_another_colour_is_another_one():
    def drawn(ground: tuple[int, int, int], object: tuple[int, int, int]) -> Image.Image:
        pixels = np.full((64, 64, 3), ground, np.uint8)
        pixels[20:50, 10:40] = object
        return Image.fromarray(pixels)

    one = drawn((60, 60, 160), (200, 90, 40))
    assert found([one, drawn((60, 60, 160), (40, 160, 90))]) == []
    assert found([one, drawn((80, 80, 180), (220, 110, 60))]) == [[0, 1]]


def related(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of which many differ in a few bits of others, with copies of one picture for all of them."""
    draw = np.random.default_rng(seed)
    hashes = draw.integers(0, 1 << 63, 40, np.uint64)[draw.integers(0, 40, count)]
    for k in range(count):
        for bit in draw.choice(64, int(draw.integers(0, 10)), replace=False):
            hashes[k] ^= np.uint64(1) << np.uint64(bit)
    return hashes, np.tile(draw.integers(0, 256, 1152, np.uint8), (count, 1))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at_once", [7, 1 << 20])
def test_the_candidates_are_all_pairs_within_the_distance(seed, at_once, monkeypatch):
    monkeypatch.setattr(perceptual, "_AT_ONCE", at_once)
    hashes = np.unique(related(120 if at_once == 7 else 600, seed)[0])
    pairs = {
        (min(p), max(p)) for a, b in perceptual._candidates(hashes) for p in zip(a.tolist(), b.tolist(), strict=True)
    }
    distance = np.bitwise_count(hashes[:, None] ^ hashes)
    a, b = np.nonzero(np.triu(distance <= BITS, 1))
    assert pairs == set(zip(a.tolist(), b.tolist(), strict=True)) and len(pairs) > 20


def test_groups_are_those_of_all_pairs():
    hashes, copies = related(300, 9)
    near = np.bitwise_count(hashes[:, None] ^ hashes) <= BITS
    reached = np.eye(300, dtype=bool)
    for _ in range(300):
        reached, before = reached @ near, reached
        if (reached == before).all():
            break
    expected = {tuple(np.flatnonzero(row).tolist()) for row in reached if row.sum() > 1}
    assert {tuple(group.tolist()) for group in near_duplicates(hashes, copies)} == expected


def test_the_same_hash_is_not_enough():
    hashes = np.zeros(4, np.uint64)
    one, other = (np.concatenate([grey(picture).reshape(-1), np.full(128, 128, np.uint8)]) for picture in clouds(2))
    assert np.corrcoef(one[:1024], other[:1024])[0, 1] < ALIKE
    copies = np.stack([one, one, other, other])
    copies[1, :1024] = one[:1024] // 2 + 40
    assert [group.tolist() for group in near_duplicates(hashes, copies)] == [[0, 1], [2, 3]]


def test_none_and_one():
    none = np.zeros((0, 32, 32), np.uint8)
    assert near_duplicates(perceptual_hash(none), small_copy(none, np.zeros((0, 8, 8, 3), np.uint8))) == []
    assert found(clouds(1)) == []


def test_many_of_one_kind_take_no_memory_of_all_pairs():
    """All in one bucket of a band: a million pairs, of which few are held at once."""
    draw = np.random.default_rng(0)
    hashes = np.unique(draw.integers(0, 1 << 48, 3_000, np.uint64) << np.uint64(16) & ~np.uint64(0x1111111111111111))
    sizes = [len(a) for a, _ in perceptual._crossed(np.arange(1, 3001), 2999 - np.arange(3000))]
    assert sum(sizes) == 3000 * 2999 // 2 and max(sizes) <= perceptual._AT_ONCE
    assert near_duplicates(hashes, draw.integers(0, 256, (len(hashes), 1152), np.uint8)) == []
