"""Arrays and .npz files as people save them, and sentences for those that hold something else."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unlabel.data.arrays import Arrays, array_has_test, open_array
from unlabel.data.source import Unreadable
from unlabel.errors import Fault

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 4, 5, 3), np.uint8)
GREY = RNG.integers(0, 256, (6, 4, 5), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def saved(tmp_path, **arrays) -> str:
    np.savez(tmp_path / "data.npz", **arrays)
    return str(tmp_path / "data.npz")


def test_colour_and_grey_pictures():
    for images, rgb in (
        (COLOUR, COLOUR),
        (GREY, np.stack([GREY] * 3, -1)),
        (GREY[..., None], np.stack([GREY] * 3, -1)),
    ):
        source = Arrays(images)
        assert len(source) == 6 and source.classes is None and set(source.labels) == {-1}
        for i in range(6):
            image = source.image(i)
            assert image.is_contiguous()
            np.testing.assert_array_equal(image.permute(1, 2, 0), rgb[i])
    assert Arrays(COLOUR).path(2) == "array/2"


def test_multispectral_pictures_keep_their_channels():
    images = np.random.default_rng(0).integers(0, 256, (3, 11, 11, 200), np.uint8)
    source = Arrays(images)
    assert source.channels == 200 and source.image(1).shape == (200, 11, 11)
    np.testing.assert_array_equal(source.image(1).permute(1, 2, 0), images[1])


def test_a_picture_is_a_copy():
    images = COLOUR.copy()
    Arrays(images).image(0).zero_()
    np.testing.assert_array_equal(images, COLOUR)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (COLOUR.astype(np.float32), "uint8 .*not float32"),
        (COLOUR.transpose(0, 3, 1, 2), r"\[N, H, W, C\], not \[6, 3, 4, 5\]; move the channels"),
        (GREY[0], r"not \[4, 5\]"),
        (COLOUR[:0], "no picture"),
        (np.zeros((2, 5, 16, 16), np.uint8), "move the channels"),
        (np.zeros((2, 4, 4, 4, 4), np.uint8), "not"),
    ],
)
def test_other_arrays_are_faults(images, words):
    with pytest.raises(Fault, match=words):
        Arrays(images)


@pytest.mark.parametrize(
    ("pictures", "labels"),
    [("images", "labels"), ("x", "y"), ("X_train", "y_train"), ("train_images", "train_labels"), ("data", "targets")],
)
def test_names_of_arrays(tmp_path, pictures, labels):
    source = open_array(saved(tmp_path, **{pictures: COLOUR, labels: LABELS, "other": np.zeros(2)}))
    np.testing.assert_array_equal(source.image(4).permute(1, 2, 0), COLOUR[4])
    assert source.labels.tolist() == LABELS.tolist() and source.classes == ["0", "1", "2"]


def test_positional_arrays_and_a_single_array_of_any_name(tmp_path):
    np.savez(tmp_path / "data.npz", GREY, LABELS)
    assert open_array(str(tmp_path / "data.npz")).labels.tolist() == LABELS.tolist()
    assert len(open_array(saved(tmp_path, whatever=GREY))) == 6


def test_npy(tmp_path):
    np.save(tmp_path / "data.npy", COLOUR)
    source = open_array(str(tmp_path / "data.npy"))
    np.testing.assert_array_equal(source.image(5).permute(1, 2, 0), COLOUR[5])
    assert not array_has_test(str(tmp_path / "data.npy"))


def test_splits_number_their_classes_alike(tmp_path):
    file = saved(
        tmp_path, x_train=COLOUR, y_train=np.array([[10], [30], [10], [30], [-1], [10]]),
        x_test=GREY[:2], y_test=np.array([20, 30]),
    )  # fmt: skip
    train, test = open_array(file), open_array(file, "test")
    assert train.classes == test.classes == ["10", "20", "30"]
    assert train.labels.tolist() == [0, 2, 0, 2, -1, 0] and test.labels.tolist() == [1, 2]
    assert array_has_test(file) and len(test) == 2


def test_test_comes_before_validation(tmp_path):
    file = saved(tmp_path, train_images=GREY, val_images=GREY[:2], test_images=GREY[:3])
    assert len(open_array(file, "test")) == 3
    file = saved(tmp_path, train_images=GREY, val_images=GREY[:2])
    assert len(open_array(file, "test")) == 2


def test_string_labels_and_names_of_classes(tmp_path):
    source = open_array(saved(tmp_path, images=GREY, labels=np.array(["dog", "cat", "dog", "ape", "cat", "dog"])))
    assert source.classes == ["ape", "cat", "dog"] and source.labels.tolist() == [2, 1, 2, 0, 1, 2]
    source = open_array(saved(tmp_path, images=GREY, labels=LABELS, classes=np.array(["a", "b", "c", "d"])))
    assert source.classes == ["a", "b", "c", "d"] and source.labels.tolist() == LABELS.tolist()


def test_fingerprint_covers_pixels_and_labels():
    changed = COLOUR.copy()
    changed[5, 0, 0, 0] ^= 1
    prints = {Arrays(COLOUR).fingerprint(), Arrays(changed).fingerprint(), Arrays(COLOUR, LABELS).fingerprint()}
    assert len(prints) == 3 and Arrays(COLOUR.copy()).fingerprint() in prints


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a file was unpickled",))


def test_loading_runs_no_code(tmp_path):
    file = saved(tmp_path, images=np.array([Bomb()], dtype=object))
    with pytest.raises(Fault, match="`images` cannot be read"):
        open_array(file)
    file = saved(tmp_path, images=GREY, labels=np.array([Bomb()] * 6, dtype=object))
    with pytest.raises(Fault, match="`labels` cannot be read"):
        open_array(file)
    np.save(tmp_path / "bomb.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(Fault, match="safely"):
        open_array(str(tmp_path / "bomb.npy"))


def test_faults_say_what_to_do(tmp_path):
    damaged = tmp_path / "damaged.npz"
    whole = saved(tmp_path, images=COLOUR)
    damaged.write_bytes(Path(whole).read_bytes()[:300])
    text = tmp_path / "text.npz"
    text.write_text("hello")
    for file, split, words in (
        (str(tmp_path / "nothing.npz"), "train", "there is no file"),
        (str(damaged), "train", "not a numpy file"),
        (str(text), "train", "not a numpy file"),
        (whole, "test", "no test split: it would be under `x_test`"),
    ):
        with pytest.raises(Fault, match=words):
            open_array(file, split)
    for arrays, words in (
        ({"a": GREY, "b": LABELS}, "holds `a`, `b`: name the array of pictures `images`"),
        ({}, "holds nothing"),
        ({"images": GREY, "labels": LABELS[:3]}, "6 pictures and 3 labels"),
        ({"images": GREY, "labels": np.zeros((6, 14), int)}, r"one integer or string .* not int64 \[6, 14\]"),
        ({"images": GREY, "labels": LABELS / 2}, "not float64"),
        ({"x_train": GREY, "y_train": LABELS, "x_test": GREY, "y_test": np.array(["a"] * 6)}, "make them alike"),
    ):
        with pytest.raises(Fault, match=words):
            open_array(saved(tmp_path, **arrays))


def packed(**files: bytes) -> dict[str, np.ndarray]:
    return {
        "names": np.array(list(files)),
        "offsets": np.cumsum([0, *map(len, files.values())]),
        "blob": np.frombuffer(b"".join(files.values()), np.uint8),
    }


def png(value: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (3, 2), value).save(stream, "PNG")
    return stream.getvalue()


def test_a_collection_of_files(tmp_path):
    names = {"train/dog/a.png": png(1), "train/cat/b.png": png(2), "test/dog/a.png": png(3), "notes.txt": b"hello"}
    file = saved(tmp_path, **packed(**names, **{"train/cat/broken.jpg": b"oops"}))
    train, test = open_array(file), open_array(file, "test")
    assert train.classes == test.classes == ["cat", "dog"]
    assert train.labels.tolist() == [1, 0, 0] and test.labels.tolist() == [1]
    assert train.image(1)[0, 0, 0] == 2 and test.image(0)[0, 0, 0] == 3
    assert train.path(0) == f"{file}/train/dog/a.png" != test.path(0)
    with pytest.raises(Unreadable, match="not a picture"):
        train.image(2)
    assert list(train.skipped) == [2] and array_has_test(file)
    assert train.fingerprint() != test.fingerprint()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"offsets": np.array([0, 10, 5])}, "rise"),
        ({"offsets": np.array([0, 10, 10_000])}, "within"),
        ({"offsets": np.array([0, 10])}, "one integer more"),
        ({"blob": np.zeros(4)}, "bytes"),
        ({"names": np.array([1, 2])}, "strings"),
        ({"names": np.array(["a.txt", "b.txt"])}, "none of the 2"),
    ],
)
def test_collections_that_do_not_fit_together(tmp_path, change, words):
    with pytest.raises(Fault, match=words):
        open_array(saved(tmp_path, **{**packed(**{"a.png": png(1), "b.png": png(2)}), **change}))
