"""Masks of objects: from shapes, from files, and made by GrabCut."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from unlabel.data.arrays import Arrays, Encoded, open_array
from unlabel.data.captions import Captioned
from unlabel.data.folder import Folder
from unlabel.data.saliency import WithMasks, check_masks, mask_name, salient_object, write_masks
from unlabel.data.shapes import Shapes
from unlabel.data.source import Cached, Subset
from unlabel.errors import Fault


@pytest.fixture
def photographs(tmp_path):
    """Two classes of grey pictures, and masks of all but one."""
    for k, name in enumerate(("cats/1.jpg", "cats/2.png", "dogs/1.jpeg")):
        for root, suffix in (("data", None), ("masks", ".png")):
            file = (tmp_path / root / name).with_suffix(suffix) if suffix else tmp_path / root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full((6, 8), 10 * k, np.uint8)
            if suffix:
                pixels[:, : k + 1] = 255
            if not (suffix and name.startswith("dogs")):
                Image.fromarray(pixels).save(file)
    return tmp_path


def test_masks_mirror_the_data(photographs) -> None:
    data = str(photographs / "data")
    source = WithMasks(Folder(data), str(photographs / "masks"), data)
    assert source.known.tolist() == [True, True, False] and source.masked
    assert source.mask(2) is None
    for k in (0, 1):
        assert source.mask(k).shape == (1, 6, 8) and source.mask(k).dtype == torch.uint8
        assert (source.mask(k)[0, 0] > 0).tolist() == [True] * (k + 1) + [False] * (7 - k)
    assert source.labels.tolist() == [0, 0, 1] and source.path(0) == f"{data}/cats/1.jpg"
    assert torch.equal(source.image(0), Folder(data).image(0)) and source.look(1).size == (6, 8)


def test_masks_may_be_ones_or_grey(photographs) -> None:
    data = str(photographs / "data")
    grey = np.array([[0, 100, 128, 129, 255, 1]], np.uint8)
    Image.fromarray(grey).save(photographs / "masks/cats/1.png")
    Image.fromarray(np.array([[0, 1, 1, 0]], np.uint8)).save(photographs / "masks/cats/2.png")
    source = WithMasks(Folder(data), str(photographs / "masks"), data)
    assert (source.mask(0)[0, 0] > 0).tolist() == [False, False, False, True, True, False]
    assert source.mask(1)[0, 0].tolist() == [0, 255, 255, 0]


def test_a_damaged_mask_is_as_good_as_none(photographs) -> None:
    (photographs / "masks/cats/1.png").write_bytes(b"broken")
    data = str(photographs / "data")
    assert WithMasks(Folder(data), str(photographs / "masks"), data).mask(0) is None


def test_a_folder_without_masks_knows_nothing(photographs) -> None:
    data = str(photographs / "data")
    (photographs / "empty").mkdir()
    assert not WithMasks(Folder(data), str(photographs / "empty"), data).masked
    with pytest.raises(Fault, match="there is no folder"):
        WithMasks(Folder(data), str(photographs / "nowhere"), data)


def test_the_fingerprint_tells_which_masks_there_are(photographs) -> None:
    data = str(photographs / "data")
    before = WithMasks(Folder(data), str(photographs / "masks"), data).fingerprint()
    (photographs / "masks/cats/1.png").unlink()
    assert WithMasks(Folder(data), str(photographs / "masks"), data).fingerprint() != before


@pytest.mark.parametrize(
    ("path", "base", "name"),
    [
        ("photos/a/b.c.jpg", "photos", "a/b.c.png"),
        ("photos/a.jpg", "photos/", "a.png"),
        ("x.npz/12", "x.npz", "12.png"),
        ("shapes/train/disc-000001", "shapes:100", "shapes/train/disc-000001.png"),
        ("/abs/photos/1.JPG", "/abs/photos", "1.png"),
    ],
)
def test_names_of_masks(path: str, base: str, name: str) -> None:
    assert mask_name(path, base) == name


def test_no_mask_is_written_over_a_picture_or_another_mask(photographs) -> None:
    data = str(photographs / "data")
    (photographs / "link").symlink_to(data)
    for out in ("data", "data/masks", "link", "link/cats"):
        with pytest.raises(Fault, match="would be taken for pictures"):
            check_masks([Folder(data)], photographs / out, f"{data}/")
    (photographs / "made").mkdir()
    check_masks([Folder(data)], photographs / "made", data)
    (photographs / "made/cats").symlink_to(f"{data}/cats")
    with pytest.raises(Fault, match=r"made/cats/2\.png would replace the picture .*data/cats/2\.png"):
        check_masks([Folder(data)], photographs / "made", data)
    Image.new("L", (8, 6)).save(f"{data}/cats/1.png")
    with pytest.raises(Fault, match=r"cats/1\.jpg and .*cats/1\.png would have the same mask, cats/1\.png: rename"):
        check_masks([Folder(data)], photographs / "new", data)


def test_no_mask_is_written_elsewhere(tmp_path) -> None:
    blob = np.zeros(2, np.uint8)
    out = Encoded(["../../x.jpg"], np.array([[0, 2]]), blob, name="x.npz")
    with pytest.raises(Fault, match=r"the mask of x\.npz/\.\./\.\./x\.jpg would not lie in"):
        check_masks([out], tmp_path, "x.npz")


def test_pictures_of_both_splits_of_an_array_have_masks_of_their_own(tmp_path) -> None:
    file = str(tmp_path / "x.npz")
    np.savez(file, x_train=np.zeros((2, 4, 4), np.uint8), x_test=np.ones((2, 4, 4), np.uint8))
    splits = [open_array(file, split) for split in ("train", "test")]
    check_masks(splits, tmp_path / "masks", file)
    assert [mask_name(source.path(1), file) for source in splits] == ["1.png", "test/1.png"]


def test_sources_that_wrap_others_have_their_masks() -> None:
    shapes = Shapes(10)
    cached, part = Cached(shapes, 1 << 20), Subset(shapes, [7, 2])
    assert cached.masked and part.masked and not Arrays(np.zeros((2, 4, 4), np.uint8)).masked
    assert torch.equal(cached.mask(3), shapes.mask(3)) and cached.mask(3) is cached.mask(3)
    assert torch.equal(part.mask(0), shapes.mask(7)) and torch.equal(part.mask(1), shapes.mask(2))
    assert Arrays(np.zeros((2, 4, 4), np.uint8)).mask(0) is None


def test_masks_and_texts_are_passed_on_by_each_other(photographs) -> None:
    data = str(photographs / "data")
    told = Captioned(Folder(data), [("a cat",), (), ("a dog", "ein Hund")])
    source = WithMasks(told, str(photographs / "masks"), data)
    assert source.captioned and source.captions(0) == ("a cat",) and source.captions(2) == ("a dog", "ein Hund")
    assert source.mask(0) is not None and not Captioned(Folder(data), told.texts).masked
    shapes = Captioned(cached := Cached(Shapes(10), 1 << 20), [("a shape",)] * 10)
    assert shapes.masked and shapes.mask(3) is cached.mask(3)
    shapes.image(3)
    assert shapes.kept() == WithMasks(shapes, str(photographs / "masks"), "").kept() == 1


def test_a_cache_keeps_no_more_masks_than_fit() -> None:
    cached = Cached(Shapes(10), max_bytes=2 * 32 * 32)
    assert cached.mask(0) is cached.mask(0) and cached.mask(1) is cached.mask(1)
    assert cached.mask(2) is not cached.mask(2) and cached.bytes == 2 * 32 * 32


def test_masks_are_not_counted_as_kept_pictures() -> None:
    cached = Cached(Shapes(10), max_bytes=5 * 3 * 32 * 32)
    cached.mask(0)
    assert cached.kept() == 0
    cached.image(0)
    assert cached.kept() == 0.5


def test_shapes_know_where_they_are() -> None:
    """The area is that of the formula: a disc of radius 0.82 of its scale; and the mask's middle is the shape's."""
    shapes = Shapes(400, size=64)
    discs = [i for i in range(400) if shapes.labels[i] == 0]
    for i in discs[:10]:
        mask = shapes.mask(i)
        assert mask.shape == (1, 64, 64) and set(mask.unique().tolist()) == {0, 255}
        scale, x, y = (shapes.factors[name][i] for name in ("scale", "x", "y"))
        rows, columns = (mask[0] > 0).nonzero().double().mean(dim=0).tolist()
        assert float((mask > 0).sum()) / 64**2 == pytest.approx(np.pi * (0.82 * scale) ** 2, rel=0.05)
        assert rows == pytest.approx((0.5 + y) * 64 - 0.5, abs=0.5) and columns == pytest.approx(
            (0.5 + x) * 64 - 0.5, abs=0.5
        )


# GrabCut

cv2 = pytest.importorskip("cv2")


def scene(height: int = 60, width: int = 90) -> tuple[Tensor, Tensor]:
    """A red disc left of the middle, on a noisy green ground, and its mask."""
    draw = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    there = (y - 0.5 * height) ** 2 + (x - 0.42 * width) ** 2 < (0.3 * min(height, width)) ** 2
    colour = np.where(there[:, :, None], (200, 40, 30), (40, 150, 60)) + draw.normal(0, 12, (height, width, 3))
    return torch.from_numpy(colour.clip(0, 255).astype(np.uint8)).permute(2, 0, 1), torch.from_numpy(there)


@pytest.mark.parametrize("size", [(60, 90), (32, 32), (500, 400)])
def test_what_stands_out_is_found(size) -> None:
    image, there = scene(*size)
    mask = salient_object(image)
    assert mask.shape == (1, *size) and set(mask.unique().tolist()) <= {0, 255}
    shown = mask[0] > 0
    assert float((shown & there).sum() / (shown | there).sum()) > 0.9


def test_the_same_picture_has_the_same_mask() -> None:
    image, _ = scene()
    cv2.setRNGSeed(7)
    first = salient_object(image)
    salient_object(scene(40, 40)[0])
    assert torch.equal(salient_object(image), first)


def test_a_flat_picture_has_its_midst() -> None:
    mask = salient_object(torch.full((3, 40, 60), 128, dtype=torch.uint8))
    assert mask[0, 20, 30] == 255 and mask[0, 0].max() == 0 and 0.2 < (mask > 0).float().mean() < 0.6


def test_masks_are_written_where_they_are_looked_for(photographs) -> None:
    data, out = str(photographs / "data"), photographs / "made"
    image, there = scene()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(photographs / "data/cats/2.png")
    (photographs / "data/cats/3.png").write_bytes(b"broken")
    told = []
    written, skipped = write_masks(Folder(data), out, data, lambda done, total: told.append((done, total)))
    assert written == 3 and [trouble.path for trouble in skipped] == [f"{data}/cats/3.png"]
    assert told[-1] == (4, 4)
    source = WithMasks(Folder(data), str(out), data)
    assert source.known.tolist() == [True, True, False, True]
    shown = source.mask(1)[0] > 0
    assert float((shown & there).sum() / (shown | there).sum()) > 0.9


def test_a_mask_that_cannot_be_written_is_a_fault(photographs) -> None:
    (photographs / "made").mkdir()
    (photographs / "made/cats").touch()
    data = str(photographs / "data")
    with pytest.raises(Fault, match=r"made/cats/.*\.png cannot be written: File exists"):
        write_masks(Folder(data), photographs / "made", data)


def test_grey_channels_are_refused() -> None:
    with pytest.raises(Fault, match="RGB"):
        salient_object(torch.zeros(2, 9, 9, dtype=torch.uint8))
