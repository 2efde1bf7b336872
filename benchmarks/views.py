"""How many images a second two SimCLR views are made of: unlabel beside lightly, torchvision, albumentations, kornia.

    python benchmarks/views.py [--rounds 5] [--pictures 192] [--jpegs DIR]

From memory at 32 px, from JPEG files and from packs at 224 px; on one core, and on two.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import compete, installed, record
from photographs import jpegs, small
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from unlabel.data.arrays import Arrays
from unlabel.data.folder import Folder
from unlabel.data.loader import ViewLoader
from unlabel.data.pack import Pack, write_pack
from unlabel.data.source import Cached, Source
from unlabel.views import IMAGENET_MEAN, IMAGENET_STD, Recipe, View, named, prepare_renderer

Entry = Callable[[], int]


def strengths(size: int) -> View:
    """SimCLR's view, whose numbers all contestants are given."""
    return replace(named("simclr", size).views[0], interpolation="bilinear")  # as the peers have it


def lightly_views(size: int) -> Callable[[Image.Image], list[torch.Tensor]]:
    from lightly.transforms import SimCLRTransform

    return SimCLRTransform(input_size=size, cj_strength=1.0, min_scale=0.08)


def torchvision_views(size: int) -> Callable[[Image.Image], torch.Tensor]:
    view = strengths(size)
    assert view.jitter is not None
    return v2.Compose([
        v2.RandomResizedCrop(size, scale=view.scale, antialias=True),
        v2.RandomHorizontalFlip(view.flip),
        v2.RandomApply([v2.ColorJitter(*view.jitter)], view.jitter_p),
        v2.RandomGrayscale(view.grey),
        v2.RandomApply([v2.GaussianBlur(view.blur_kernel, view.blur_sigma)], view.blur),
        v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
    ])  # fmt: skip


def albumentations_views(size: int) -> Callable[[np.ndarray], np.ndarray]:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations as A
    import cv2

    cv2.setNumThreads(1)
    view = strengths(size)
    assert view.jitter is not None
    b, c, s, h = view.jitter
    transform = A.Compose([
        A.RandomResizedCrop((size, size), scale=view.scale, interpolation=cv2.INTER_LINEAR),
        A.HorizontalFlip(p=view.flip),
        A.ColorJitter((1 - b, 1 + b), (1 - c, 1 + c), (1 - s, 1 + s), (-h, h), p=view.jitter_p),
        A.ToGray(p=view.grey),
        A.GaussianBlur((view.blur_kernel, view.blur_kernel), view.blur_sigma, p=view.blur),
        A.Normalize(IMAGENET_MEAN, IMAGENET_STD),
    ])  # fmt: skip
    return lambda image: transform(image=image)["image"]


def kornia_views(size: int) -> torch.nn.Module:
    import kornia.augmentation as K

    view = strengths(size)
    assert view.jitter is not None
    return torch.nn.Sequential(
        K.RandomResizedCrop((size, size), scale=view.scale),
        K.RandomHorizontalFlip(p=view.flip),
        K.ColorJitter(*view.jitter, p=view.jitter_p),
        K.RandomGrayscale(p=view.grey),
        K.RandomGaussianBlur((view.blur_kernel,) * 2, view.blur_sigma, p=view.blur),
        K.Normalize(torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)),
    )


def ours(source: Source, size: int, batch: int, batches: int, threads: int, last: bool = False) -> Entry:
    """The loader as training uses it: order, records, decoding, views; last: channels last, as CNNs train."""
    loader = ViewLoader(
        [source], Recipe(views=(strengths(size),) * 2), batch, seed=0, stop=batches, threads=threads, ahead=2 * threads,
        channels_last=last,
    )  # fmt: skip
    return lambda: sum(len(batch.index) for batch in loader)


def in_batches(images: list, batch: int) -> Iterator[list]:
    for start in range(0, len(images), batch):
        yield images[start : start + batch]


class Views(torch.utils.data.Dataset):
    """A peer's transform behind torch's DataLoader."""

    def __init__(self, load: Callable[[int], Image.Image], count: int, transform: Callable) -> None:
        self.load, self.count, self.transform = load, count, transform

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> list[torch.Tensor]:
        views = self.transform(self.load(i))
        return views if isinstance(views, list) else [views, self.transform(self.load(i))]


def through(loader: DataLoader) -> int:
    return sum(len(views[0]) for views in loader)


def from_memory(rounds: int) -> None:
    images = small(2048)
    pictures = [Image.fromarray(image) for image in images]
    stacked = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    source = Cached(Arrays(images), 1 << 30)
    few = 256  # for the slower ones
    entries: dict[str, Entry] = {}
    if installed("lightly"):
        transform = lightly_views(32)
        entries["lightly"] = lambda: len([torch.stack(transform(picture)) for picture in pictures[:few]])
    plain = torchvision_views(32)
    entries["torchvision v2"] = lambda: len([(plain(picture), plain(picture)) for picture in pictures[:few]])
    if installed("albumentations"):
        faster = albumentations_views(32)
        entries["albumentations"] = lambda: len([(faster(image), faster(image)) for image in images[:1024]])
    if installed("kornia"):
        batched = kornia_views(32)
        twice = lambda part: len(batched(part.float() / 255)) and len(batched(part.float() / 255))  # noqa: E731
        entries["kornia"] = lambda: sum(map(twice, stacked[:1024].split(256)))
    entries["unlabel"] = ours(source, 32, 256, 32, threads=0)
    entries["unlabel, channels last"] = ours(source, 32, 256, 32, threads=0, last=True)
    baseline = next(iter(entries))
    torch.set_num_threads(1)
    note = "Two views of each image, in the memory of one process; ratios to the first row."
    record("views-32-1", "Two SimCLR views at 32 px from memory, one core",
           compete(entries, baseline=baseline, rounds=rounds), unit="images/s", note=note)  # fmt: skip
    both: dict[str, Entry] = {}
    if installed("lightly"):
        loader = DataLoader(Views(pictures.__getitem__, 1024, lightly_views(32)), 256, num_workers=2)
        both["lightly, 2 worker processes"] = lambda: through(loader)
    if installed("kornia"):
        pool = ThreadPoolExecutor(2)
        both["kornia, 2 threads"] = lambda: sum(pool.map(twice, stacked.split(256)))
    both["unlabel, 2 threads"] = ours(source, 32, 256, 64, threads=2)
    record("views-32-2", "Two SimCLR views at 32 px from memory, two cores",
           compete(both, baseline=next(iter(both)), rounds=rounds), unit="images/s", note=note)  # fmt: skip


def from_files(folder: Path, rounds: int) -> None:
    files = sorted(str(path) for path in folder.iterdir())
    count, few = len(files), min(64, len(files))
    torch.set_num_threads(1)
    entries: dict[str, Entry] = {}
    if installed("lightly"):
        transform = lightly_views(224)
        entries["lightly"] = lambda: len([torch.stack(transform(Image.open(f).convert("RGB"))) for f in files[:few]])
    plain = torchvision_views(224)

    def by_torchvision() -> int:
        for file in files[:few]:
            picture = Image.open(file).convert("RGB")
            plain(picture), plain(picture)
        return few

    entries["torchvision v2"] = by_torchvision
    if installed("albumentations"):
        import cv2

        faster = albumentations_views(224)

        def by_albumentations() -> int:
            for file in files:
                image = cv2.cvtColor(cv2.imread(file), cv2.COLOR_BGR2RGB)
                faster(image), faster(image)
            return count

        entries["albumentations"] = by_albumentations
    entries["unlabel, files"] = ours(Folder(folder), 224, 32, count // 32, threads=0)
    entries["unlabel, files, channels last"] = ours(Folder(folder), 224, 32, count // 32, threads=0, last=True)
    with tempfile.TemporaryDirectory() as place:
        for quality in (90, None):
            name = "raw" if quality is None else f"q{quality}"
            write_pack(Folder(folder), Path(place) / f"{name}.pack", size=256, quality=quality)
            entries[f"unlabel, {name} pack"] = ours(Pack(Path(place) / f"{name}.pack"), 224, 32, count // 32, threads=0)
        note = f"Two views of each of {count} JPEGs of about 500 x 375; packs of 256 px. Ratios to the first row."
        record("views-224-1", "Two SimCLR views at 224 px from JPEG files and packs, one core",
               compete(entries, baseline=next(iter(entries)), rounds=rounds), unit="images/s", note=note)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=192, help="of 224 px")
    parser.add_argument("--jpegs", type=Path, help="a folder of JPEGs; default: parts of two photographs")
    arguments = parser.parse_args()
    prepare_renderer()
    from_memory(arguments.rounds)
    with tempfile.TemporaryDirectory() as place:
        from_files(arguments.jpegs or jpegs(Path(place), arguments.pictures), arguments.rounds)


if __name__ == "__main__":
    main()
