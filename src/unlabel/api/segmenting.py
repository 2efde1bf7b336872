"""Semantic segmentation with what a run has learned, beside its controls."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich.console import Console
from torch import Tensor, nn

from unlabel.data.scenes import IGNORED, open_scenes
from unlabel.engine.folder import RunFolder, write_json
from unlabel.engine.keep import backbone_facts, load_backbone, spec_of
from unlabel.engine.progress import stages
from unlabel.errors import Fault
from unlabel.evaluation.controls import random_weights, settle_by
from unlabel.evaluation.segmentation import BATCH, EPOCHS, RATE, Features, Scenes, linear_segmentation
from unlabel.nn import backbones
from unlabel.nn.feature_map import feature_map

TESTS = ("test", "val")


def segment(
    run: str | Path,
    *,
    data: str | Path,
    size: tuple[int, int] | None = None,
    ignore: Sequence[int] = (IGNORED,),
    epochs: int = EPOCHS,
    console: Console | None = None,
) -> dict[str, Any]:
    """How well a linear layer tells the class of every pixel from a run's frozen feature maps.

    data    folder with `train` and `test` (or `val`), each with `images` and `masks`: files of the same names, masks
            of one channel whose values are classes
    size    (height, width) at which images are shown and masks are compared; default: that of the first mask
    ignore  values of masks that are no class
    epochs  passes of the linear layer over the training images

    Returns, and writes to segmentation.json in the run folder, {"protocol", "classes", and the scores of "run",
    "random" (the same network with random weights), "colours" (the pixels themselves) and "constant" (the commonest
    class everywhere): {"aAcc", "mIoU", "mAcc", "IoU"} in %}.
    Fault: a run without a network of timm's or of other than RGB images, data that is not as described.
    """
    folder = RunFolder(run)
    facts, network = backbone_facts(folder), load_backbone(run)
    if "timm" not in facts or len(facts["mean"]) != 3:
        raise Fault(f"{run} keeps no network of timm's for RGB images, and segmentation needs its feature maps")
    root = Path(data)
    asked = next((root / name for name in TESTS if (root / name).is_dir()), root / TESTS[0])
    size = size or _size(root / "train")
    spec, mean, std = spec_of(facts), torch.tensor(facts["mean"]), torch.tensor(facts["std"])
    train, test = (_scenes(place, size, ignore, mean, std) for place in (root / "train", asked))
    classes = _largest(train.masks) + 1
    if classes < 2:
        raise Fault(
            f"no pixel of {root / 'train' / 'masks'} has a class above 0: segmentation needs two classes at least"
        )
    if _largest(test.masks) >= classes:
        raise Fault(f"{asked / 'masks'} has classes that {root / 'train' / 'masks'} lacks: name them by `ignore`")
    control = random_weights(partial(backbones.build, spec))
    for part in (network, control):
        _fit_to(part, size)
    settle_by(control, partial(_show, train.images))
    networks: dict[str, Features] = {
        "run": partial(feature_map, network),
        "random": partial(feature_map, control),
        "colours": _colours,
    }
    with stages(console or Console(stderr=True), "segmenting") as progress:
        found = linear_segmentation(networks, train, test, classes=classes, epochs=epochs, progress=progress)
    protocol = {
        "version": 1, "data": root.name, "train": len(train.images), "test": len(test.images), "size": list(size),
        "layer": "last feature map, frozen, standardised by the training images", "ignored": sorted(ignore),
        "head": f"1 x 1 convolution, logits resized to the mask; Adam, rate {RATE:g}, batch {BATCH}, {epochs} epochs",
        "scores": "over all pixels of all test images",
    }  # fmt: skip
    result = {"protocol": protocol, "classes": classes, **found}
    write_json(folder.path / "segmentation.json", result)
    return result


def _largest(masks: Tensor) -> int:
    known = masks[masks != IGNORED]
    return int(known.max()) if len(known) else -1


def _size(root: Path) -> tuple[int, int]:
    """(height, width) of the first mask."""
    try:
        first = min(path for path in (root / "masks").iterdir() if path.is_file())
        with Image.open(first) as mask:
            return mask.height, mask.width
    except (OSError, ValueError):
        raise Fault(f"there are no masks in {root / 'masks'}: segmentation needs `images` and `masks` there") from None


def _scenes(root: Path, size: tuple[int, int], ignore: Sequence[int], mean: Tensor, std: Tensor) -> Scenes:
    images, masks = open_scenes(root, size, ignored=ignore)
    return Scenes(images.float().div_(255).sub_(mean.view(3, 1, 1)).div_(std.view(3, 1, 1)), masks)


def _show(images: Tensor, look: Callable[[Tensor], None]) -> None:
    for some in images.split(4 * BATCH):
        look(some)


def _fit_to(network: nn.Module, size: tuple[int, int]) -> None:
    """Let a ViT take images of this size; its table of positions is resampled."""
    if backbones.is_vit(network):
        height, width = network.patch_embed.patch_size
        if size[0] % height or size[1] % width:
            raise Fault(
                f"images of {size[0]} x {size[1]} are no whole number of {height} x {width} patches: "
                f"choose another --size, such as {size[0] // height * height}x{size[1] // width * width}"
            )
        network.set_input_size(img_size=size)


def _colours(x: Tensor) -> Tensor:
    return x
