"""Pictures in arrays: a numpy array in memory, a `.npy`, or a `.npz` with or without splits, labels and class names.

What an `.npz` may hold (names in capitals or not):

- pictures under `images`, `image`, `imgs`, `x`, `data` or `arr_0`: uint8 [N, H, W] or [N, H, W, C], where C is 1 for
  grey, 3 for RGB, and any other number for multispectral images;
- labels under `labels`, `label`, `y`, `targets`, `target` or `arr_1`: [N] integers (negative = unknown) or strings;
- either of them with `train` before or after (`x_train`, `train_images`), and then `test`, `val`, `valid` or
  `validation` likewise for the test split;
- class names under `classes` or `class_names`: strings;
- or a collection of files: `names` (with "/" as in folders), `offsets` and `blob`, the bytes of file k being
  `blob[offsets[k]:offsets[k + 1]]`. Splits and classes then follow from the names, as they do in folders.

Reading never runs code: arrays of Python objects (pickles) are refused.
"""

import io
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unlabel.data.decode import decode
from unlabel.data.folder import TEST_NAMES, classes_of, is_picture, split_names
from unlabel.data.source import Source, digest
from unlabel.errors import Fault

_IMAGES = ("images", "image", "imgs", "x", "data", "arr_0")
_LABELS = ("labels", "label", "y", "targets", "target", "arr_1")
_CLASSES = ("classes", "class_names")
_BLOB = ("names", "offsets", "blob")


class Arrays(Source):
    """The pictures of one array.

    images: uint8 [N, H, W] or [N, H, W, C]. Grey pictures become RGB of equal channels; any other C stays as it is.
    labels: [N] int64, -1 where unknown; None = all unknown.
    within: the part of what is called `name`, such as a split, that pictures are named by; "" = they are all of it.

    Raises Fault for another shape or type of array.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        classes: list[str] | None = None,
        *,
        name: str = "array",
        within: str = "",
    ) -> None:
        if images.dtype != np.uint8:
            raise Fault(f"{name}: pictures must be uint8 (0 to 255), not {images.dtype}: convert the array")
        front = images.ndim == 4 and images.shape[3] not in (1, 3) and _channels_first(*images.shape[1:])
        if images.ndim not in (3, 4) or front:
            order = "; move the channels to the end" if front else ""
            raise Fault(f"{name}: pictures must be an array [N, H, W] or [N, H, W, C], not {list(images.shape)}{order}")
        if 0 in images.shape:
            raise Fault(f"{name}: there is no picture in an array of shape {list(images.shape)}")
        if labels is None:
            labels = np.full(len(images), -1, np.int64)
        if len(labels) != len(images):
            raise Fault(f"{name}: there are {len(images)} pictures and {len(labels)} labels; each needs one")
        channels = images.shape[3] if images.ndim == 4 else 1
        super().__init__(name, labels.astype(np.int64), classes, channels=3 if channels == 1 else channels)
        self.images = images
        self.base = f"{name}/{within}" if within else name

    def __len__(self) -> int:
        return len(self.images)

    def image(self, i: int) -> Tensor:
        """Picture i as uint8 [C, H, W]."""
        image = self.images[i]
        whole = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], self.channels))
        return torch.from_numpy(np.array(np.moveaxis(whole, 2, 0), order="C"))

    def path(self, i: int) -> str:
        """The name of the array, of the part of it where there is one, and the number of the picture."""
        return f"{self.base}/{i}"

    def fingerprint(self) -> str:
        """Covers all pixels and labels."""
        thousands = (self.images[k : k + 1000].tobytes() for k in range(0, len(self.images), 1000))
        return digest([str(self.images.shape), *thousands, self.labels.tobytes()])


def _channels_first(a: int, b: int, c: int) -> bool:
    """Whether [a, b, c] looks like channels, height, width: RGB or grey in front, or few of equal sides."""
    return a in (1, 3) or a < b == c


class Encoded(Source):
    """Picture files kept in one array of bytes.

    names:   relative names with "/", as in a folder.
    extents: [n, 2] where each file begins and ends in `blob`.
    blob:    uint8 [bytes].
    classes: the numbering of classes to use; see `Folder`.
    """

    def __init__(
        self, names: list[str], extents: np.ndarray, blob: np.ndarray, *, name: str, classes: list[str] | None = None
    ) -> None:
        labels, found = classes_of(names, classes)
        super().__init__(name, labels, found)
        self.names, self.extents, self.blob = names, extents, blob

    def __len__(self) -> int:
        return len(self.names)

    def image(self, i: int) -> Tensor:
        """Picture i, decoded; see `Source.image`."""
        start, end = self.extents[i]
        with self.noting(i):
            return decode(io.BytesIO(self.blob[start:end].tobytes()), self.path(i)).pixels

    def path(self, i: int) -> str:
        """The name of the container and of the file in it."""
        return f"{self.name}/{self.names[i]}"

    def fingerprint(self) -> str:
        """Covers the names and sizes of all files."""
        sizes = np.diff(self.extents, axis=1)
        return digest([*self.names, sizes.tobytes()])


def open_array(file: str, split: str = "train") -> Source:
    """A split of a `.npy` or `.npz` file. Raises Fault for what is not as described at the head of this file."""
    arrays = _read(file)
    if all(key in arrays for key in _BLOB):
        return _encoded(file, arrays, split)
    found = _keys(arrays, split)
    if found is None and split == "test":
        raise Fault(f"{file} has no test split: it would be under `x_test` or `test_images`")
    if found is None:
        held = ", ".join(f"`{key}`" for key in arrays) or "nothing"
        raise Fault(f"{file} holds {held}: name the array of pictures `images` and that of labels `labels`")
    pictures, labels = found
    ids, classes = (None, None) if labels is None else _numbered(file, arrays, labels)
    # Train and test split lie in one file, and pictures of the same number must not have the same name.
    return Arrays(_get(file, arrays, pictures), ids, classes, name=file, within="test" if split == "test" else "")


def array_has_test(file: str) -> bool:
    """Whether a `.npy` or `.npz` file has a test split."""
    arrays = _read(file)
    if all(key in arrays for key in _BLOB):
        return _divided(_names(file, arrays)) is not None
    return _keys(arrays, "test") is not None


def _read(file: str) -> Any:
    """A mapping of names to arrays, read when asked for."""
    try:
        loaded = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise Fault(f"there is no file {file}") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise Fault(f"{file} is not a numpy file that can be read safely: {error}") from None
    return {"images": loaded} if isinstance(loaded, np.ndarray) else loaded


def _get(file: str, arrays: Any, key: str) -> np.ndarray:
    try:
        return arrays[key]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise Fault(f"{file}: `{key}` cannot be read: {error}") from None


def _keys(arrays: Iterable[str], split: str) -> tuple[str, str | None] | None:
    """The names of the pictures and labels of a split."""
    by_name = {key.lower(): key for key in arrays}

    def key(kinds: tuple[str, ...], word: str) -> str | None:
        forms = (form for kind in kinds for form in ((f"{kind}_{word}", f"{word}_{kind}") if word else (kind,)))
        return next((by_name[form] for form in forms if form in by_name), None)

    for word in TEST_NAMES if split == "test" else ("train", ""):
        pictures = key(_IMAGES, word)
        if pictures is not None:
            return pictures, key(_LABELS, word)
    if split == "train" and len(by_name) == 1:
        return next(iter(by_name.values())), None
    return None


def _numbered(file: str, arrays: Any, wanted: str) -> tuple[np.ndarray, list[str] | None]:
    """Labels as class numbers [N], and the names of the classes, the same in both splits."""
    pairs = (_keys(arrays, split) for split in ("train", "test"))
    raw = {pair[1]: _get(file, arrays, pair[1]) for pair in pairs if pair is not None and pair[1] is not None}
    for key, labels in raw.items():
        if labels.ndim == 2 and labels.shape[1] == 1:
            raw[key] = labels = labels[:, 0]
        if labels.ndim != 1 or labels.dtype.kind not in "biuUS":
            raise Fault(
                f"{file}: `{key}` must be one integer or string for each picture, "
                f"not {labels.dtype} {list(labels.shape)}; labels are only for evaluation: they may be left out"
            )
    labels = raw[wanted]
    if len({values.dtype.kind in "US" for values in raw.values()}) > 1:
        raise Fault(f"{file}: the labels of one split are strings and those of the other numbers; make them alike")
    if labels.dtype.kind in "US":
        names = np.unique(np.concatenate(list(raw.values())))
        shown = [name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name) for name in names]
        return np.searchsorted(names, labels), shown
    largest = max(int(values.max(initial=-1)) for values in raw.values())
    given = next((_get(file, arrays, key) for key in _CLASSES if key in arrays), None)
    if given is not None and given.dtype.kind == "U" and given.ndim == 1 and len(given) > largest:
        return np.maximum(labels.astype(np.int64), -1), [str(name) for name in given]
    every = np.unique(np.concatenate([values.astype(np.int64) for values in raw.values()]))
    every = every[every >= 0]
    numbers = np.where(labels.astype(np.int64) < 0, -1, np.searchsorted(every, labels.astype(np.int64)))
    return numbers, [str(value) for value in every] or None


def _names(file: str, arrays: Any) -> list[str]:
    names = _get(file, arrays, "names")
    if names.dtype.kind != "U" or names.ndim != 1:
        raise Fault(f"{file}: `names` must be a list of strings, not {names.dtype} {list(names.shape)}")
    return [str(name) for name in names]


def _divided(names: list[str]) -> list[str] | None:
    """The folders of the splits, training first, if all pictures lie in them."""
    return split_names({name.partition("/")[0] for name in names if is_picture(name)})


def _encoded(file: str, arrays: Any, split: str) -> Encoded:
    names, blob, offsets = _names(file, arrays), _get(file, arrays, "blob"), _get(file, arrays, "offsets")
    if blob.dtype != np.uint8 or blob.ndim != 1 or offsets.shape != (len(names) + 1,) or offsets.dtype.kind not in "iu":
        raise Fault(f"{file}: `blob` must be bytes and `offsets` one integer more than there are `names`")
    offsets = offsets.astype(np.int64)
    if offsets[0] < 0 or offsets[-1] > len(blob) or (np.diff(offsets) < 0).any():
        raise Fault(f"{file}: `offsets` must rise and stay within `blob`, which is {len(blob)} bytes long")
    extents = np.stack((offsets[:-1], offsets[1:]), axis=1)
    pictures = [k for k, name in enumerate(names) if is_picture(name)]

    def under(folder: str) -> tuple[list[str], np.ndarray]:
        chosen = [k for k in pictures if names[k].startswith(f"{folder}/")] if folder else pictures
        return [names[k][len(folder) + 1 if folder else 0 :] for k in chosen], extents[chosen]

    divided = _divided(names)
    if divided is None:
        if split == "test":
            raise Fault(f"{file} has no test split: its names would begin with `train/` and `test/`")
        chosen, where = under("")
        if not chosen:
            raise Fault(f"{file}: none of the {len(names)} `names` is that of a picture, such as `train/cat/1.jpg`")
        return Encoded(chosen, where, blob, name=file)
    chosen, where = under(divided[0])
    _, classes = classes_of(chosen)
    folder = divided[0] if split == "train" else divided[1]
    chosen, where = under(folder)
    return Encoded(chosen, where, blob, name=f"{file}/{folder}", classes=classes)
