"""Where the salient object of each picture is: masks from files, and making such files.

A folder of masks mirrors the data: the mask of DIR/cats/1.jpg is MASKS/cats/1.png, that of picture 12 of FILE.npz is
MASKS/12.png, or MASKS/test/12.png in its test split. A mask is a grey picture, brighter than half on the object (or 1
there and 0 elsewhere). A picture whose mask is missing or cannot be read is one of which nothing is known.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from unlabel.data.ahead import cores
from unlabel.data.decode import decode_file
from unlabel.data.folder import check_folder, walk
from unlabel.data.source import Look, Source, Unreadable, digest
from unlabel.errors import Fault, writing
from unlabel.views.saliency import fitted

_BRIGHT = 128  # values above this are object
_SIDE = (96, 192)  # the longer side of what is looked at, at least and at most
_RIM = 1 / 16  # of the sides: what touches the rim is background
_MIDST = 0.35  # half axes of the ellipse in which an object is looked for first, in sides
_ROUNDS = 5


class WithMasks(Source):
    """Another source whose objects are known from a folder of masks.

    folder: of masks, as described at the head of this file.
    base:   what the source's paths begin with that the folder's do not.

    The attribute `known` [n] tells which pictures have a mask there.

    Raises Fault where there is no such folder.
    """

    def __init__(self, source: Source, folder: str, base: str) -> None:
        super().__init__(source.name, source.labels, source.classes, source.factors, source.channels)
        self.captioned = source.captioned
        self.source, self.folder = source, check_folder(folder)
        self.skipped = source.skipped
        there = set(walk(self.folder)[0])
        self.names = [mask_name(source.path(i), base) for i in range(len(source))]
        self.known = np.array([name in there for name in self.names])

    def __len__(self) -> int:
        return len(self.source)

    def image(self, i: int) -> Tensor:
        """Picture i."""
        return self.source.image(i)

    def look(self, i: int) -> Look:
        """Picture i."""
        return self.source.look(i)

    def captions(self, i: int) -> tuple[str, ...]:
        """The texts of picture i."""
        return self.source.captions(i)

    def kept(self) -> float:
        """As the source."""
        return self.source.kept()

    def path(self, i: int) -> str:
        """The name of picture i."""
        return self.source.path(i)

    @property
    def masked(self) -> bool:
        """Whether any picture has a mask."""
        return bool(self.known.any())

    def mask(self, i: int) -> Tensor | None:
        """The mask of picture i, read from its file."""
        if not self.known[i]:
            return None
        file = os.path.join(self.folder, self.names[i])
        try:
            grey = decode_file(file, file).pixels[:1]
        except Unreadable:
            return None
        bright = grey > (_BRIGHT if int(grey.max()) > 1 else 0)
        return bright.to(torch.uint8) * 255

    def fingerprint(self) -> str:
        """Covers the source, and which pictures have masks."""
        return digest([self.source.fingerprint(), self.known.tobytes()])


def mask_name(path: str, base: str) -> str:
    """The name, in a folder of masks, of the mask of the picture called `path` in data that is called `base`."""
    base = os.path.expanduser(base).rstrip("/")
    inside = path[len(base) :] if path.startswith(f"{base}/") else path
    return str(PurePosixPath(inside.lstrip("/")).with_suffix(".png"))


def check_masks(sources: Sequence[Source], out: str | Path, base: str) -> None:
    """Fault where masks in `out` would become pictures of the data, replace some, be of two each, or lie elsewhere."""
    folder = os.path.realpath(os.path.expanduser(base))
    if os.path.isdir(folder) and Path(os.path.realpath(out)).is_relative_to(folder):
        raise Fault(f"masks in {out} would be taken for pictures of {base}: choose a folder that is not in it")
    pictures: dict[str, str] = {}  # names of masks -> names of their pictures
    for source in sources:
        for path in map(source.path, range(len(source))):
            name = mask_name(path, base)
            if ".." in PurePosixPath(name).parts:
                raise Fault(f"the mask of {path} would not lie in {out}: give it a name without `..`")
            if name in pictures:
                raise Fault(f"{pictures[name]} and {path} would have the same mask, {name}: rename one of them")
            pictures[name] = path
    there = {file: name for name in pictures if (file := _file(os.path.join(out, name))) is not None}
    for path in pictures.values():
        if (file := _file(path)) in there:
            raise Fault(f"the mask {Path(out, there[file])} would replace the picture {path}: choose another folder")


def _file(path: str) -> tuple[int, int] | None:
    """What tells the file of this name from others, whatever links lead to it; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def write_masks(
    source: Source, out: str | Path, base: str, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[int, list[Unreadable]]:
    """Look for the object of every picture and write the masks; returns how many there are, and what was left out."""
    _opencv()

    def write(i: int) -> Unreadable | None:
        try:
            mask = salient_object(source.image(i))
        except Unreadable as unreadable:
            return unreadable
        file = Path(out, mask_name(source.path(i), base))
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask[0].numpy()).save(file)
        return None

    skipped = []
    with ThreadPoolExecutor(cores()) as pool:
        for done, trouble in enumerate(pool.map(write, range(len(source))), start=1):
            skipped += [trouble] if trouble is not None else []
            progress(done, len(source))
    return len(source) - len(skipped), skipped


def salient_object(image: Tensor) -> Tensor:
    """The mask [1, H, W] of what stands out in a picture uint8 [3, H, W], by GrabCut: without learning, and repeatable.

    Two mixtures of colours, of the object and of the background, and a cut between them along edges. It begins with an
    ellipse in the midst as what may be object and the rim as what is not. Where the cut leaves next to nothing, or all
    but the rim, the ellipse itself is the answer.
    Rother, Kolmogorov, Blake, SIGGRAPH 2004.
    """
    cv2 = _opencv()
    if image.shape[0] != 3:
        raise Fault(f"objects are looked for in RGB pictures, and these have {image.shape[0]} channels")
    whole = np.ascontiguousarray(image.permute(1, 2, 0).numpy()[:, :, ::-1])  # OpenCV's channels are BGR
    height, width = whole.shape[:2]
    scale = np.clip(max(height, width), *_SIDE) / max(height, width)
    rows, columns = (max(8, round(side * scale)) for side in (height, width))
    pixels = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    y, x = ((np.arange(side) + 0.5) / side - 0.5 for side in (rows, columns))
    midst = (y[:, None] / _MIDST) ** 2 + (x / _MIDST) ** 2 <= 1
    rim = np.maximum(np.abs(y)[:, None], np.abs(x)) > 0.5 - _RIM
    mask = np.where(rim, cv2.GC_BGD, np.where(midst, cv2.GC_PR_FGD, cv2.GC_PR_BGD)).astype(np.uint8)
    cv2.setRNGSeed(0)  # of this thread
    models = np.zeros((1, 65)), np.zeros((1, 65))
    found = cv2.grabCut(pixels, mask, (0, 0, 0, 0), *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)[0]
    shown = (found == cv2.GC_FGD) | (found == cv2.GC_PR_FGD)
    if not 0.01 < shown.mean() < 0.95 * (1 - rim.mean()):
        shown = midst
    return fitted(torch.from_numpy(shown[None].astype(np.uint8) * 255), (height, width))


def _opencv():  # type: ignore[no-untyped-def]
    try:
        import cv2
    except ImportError:
        raise Fault("looking for salient objects needs OpenCV: pip install 'unlabel[saliency]'") from None
    return cv2
