"""Semantic segmentation with what a run has learned, by a linear layer or a PSPNet, beside its controls."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor, nn

from unlabel.data.scenes import IGNORED, mask_files, open_scenes, opened_mask
from unlabel.engine.folder import RunFolder, write_json
from unlabel.engine.keep import backbone_facts, load_backbone, load_method, spec_of
from unlabel.engine.progress import stages
from unlabel.engine.subject import whose
from unlabel.errors import Fault, nearest
from unlabel.evaluation.controls import random_weights, settle_by
from unlabel.evaluation.kinds import Declared
from unlabel.evaluation.pspnet import DECAY, LAST, POOLS, pspnet_segmentation, tunable
from unlabel.evaluation.pspnet import EPOCHS as PSPNET_EPOCHS
from unlabel.evaluation.pspnet import RATE as PSPNET_RATE
from unlabel.evaluation.segmentation import BATCH, EPOCHS, RATE, Features, Scenes, linear_segmentation
from unlabel.nn import backbones
from unlabel.nn.feature_map import feature_map
from unlabel.reporting import write_report
from unlabel.reporting.segmented import file_of

TESTS = ("test", "val")
HEADS = ("linear", "pspnet")
_HEAD_WORDS = {
    "linear": "1 x 1 convolution, logits resized to the mask",
    "pspnet": f"pyramid pooling {', '.join(map(str, POOLS))} of max(64, D / 4) channels, logits resized to the mask",
}
_OPTIMISER_WORDS = {
    "linear": f"Adam, rate {RATE:g}, batch {BATCH}",
    "pspnet": f"SGD, momentum 0.9, rate {PSPNET_RATE:g} falling to {LAST:g} by (1 - progress)^0.9, decay {DECAY:g}, "
    f"batch {BATCH}",
}


def segment(
    run: str | Path,
    *,
    data: str | Path,
    size: tuple[int, int] | None = None,
    ignore: Sequence[int] = (IGNORED,),
    epochs: int | None = None,
    head: str = "linear",
    fine_tune: bool = False,
    stride: int | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """How well the class of every pixel is told from a run's feature maps, by a linear layer or a PSPNet.

    data       folder with `train` and `test` (or `val`), each with `images` and `masks`: files of the same names, masks
               of one channel whose values are classes
    size       (height, width) at which images are shown and masks are compared; default: that of the first mask
    ignore     values of masks that are no class
    epochs     passes over the training images; default: 15 for a linear layer, 20 for PSPNet
    head       "linear", or "pspnet": pyramid pooling (see `unlabel.evaluation.pspnet`)
    fine_tune  train the network behind PSPNet too, which is frozen otherwise; its control is trained as long
    stride     pixels between two places of the map, 8 or 16, which a ResNet can be made to have if its own map is
               coarser; default: 8 for PSPNet, 16 for a linear layer

    Returns, and writes to the run folder (segmentation.json, -pspnet.json or -pspnet-tuned.json), {"protocol",
    "classes", and the scores of "run", "random" (the same network with random weights), "colours" (the pixels
    themselves; not of fine-tuning) and "constant" (the commonest class everywhere): {"aAcc", "mIoU", "mAcc", "IoU"} in
    %}.
    Fault: a run without a network of timm's or of other than RGB images, data or options that are not as described.
    """
    if head not in HEADS:
        raise Fault(f"there is no head `{head}`{nearest(head, HEADS)} (known: {', '.join(HEADS)})")
    if fine_tune and head != "pspnet":
        raise Fault("the network is fine-tuned with the head pspnet only; a linear layer reads what is there")
    if stride not in (None, 8, 16):
        raise Fault(f"the stride of feature maps is 8 or 16 pixels, not {stride}")
    pspnet = head == "pspnet"
    epochs, stride = epochs or (PSPNET_EPOCHS if pspnet else EPOCHS), stride or (8 if pspnet else 16)
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
    if (dense := backbones.denser(spec, network, stride)) != spec:
        spec, weights = dense, network.state_dict()
        network = backbones.build(spec).eval()
        network.load_state_dict(weights)
    control = random_weights(partial(backbones.build, spec))
    for part in (network, control):
        _fit_to(part, size)
    settle_by(control, partial(_show, train.images))
    places = _places(network, train)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    both = {"run": network.to(device), "random": control.to(device)}
    with stages(console or Console(stderr=True), "segmenting") as progress:
        if pspnet:
            heads = _trained(both, train, places, fine_tune, run)
            found = pspnet_segmentation(
                heads,
                train,
                test,
                classes=classes,
                epochs=epochs,
                fine_tune=fine_tune,
                device=device,
                progress=progress,
            )
        else:
            networks: dict[str, Features] = {name: partial(feature_map, part) for name, part in both.items()}
            networks["colours"] = _colours
            found = linear_segmentation(
                networks, train, test, classes=classes, epochs=epochs, device=device, progress=progress
            )
    kept = f"those that the {folder.read()['run']['method']} run keeps"
    with suppress(Fault):  # a folder without its checkpoint holds enough for this but not for saying whose they are
        kept = whose(load_method(run)[1])
    protocol = Declared(
        f"{head} segmentation",
        {
            "data": root.name,
            "weights": kept + (", fine-tuned with the head" if fine_tune else ", frozen"),
            "layer": f"last feature map, {places[0]} x {places[1]} places"
            + ("" if pspnet else ", standardised by the training images"),
            "view": f"whole images at {size[0]} x {size[1]} px"
            + (", half of the batches mirrored in training" if fine_tune else ""),
            "train": len(train.images),
            "test": len(test.images),
            "size": list(size),
            "stride": round(size[0] / places[0]),
            "ignored": sorted(ignore),
            "head": _HEAD_WORDS[head],
            "optimiser": _OPTIMISER_WORDS[head],
            "epochs": epochs,
            "seed": 0,
            "scores": "over all pixels of all test images",
        },
    ).as_dict()
    result = {"protocol": protocol, "classes": classes, **found}
    write_json(folder.path / f"{file_of(head, fine_tune)}.json", result)
    if folder.report.exists():
        write_report(folder.path)
    return result


def _places(network: nn.Module, scenes: Scenes) -> tuple[int, int]:
    """Rows and columns of a network's last feature map of these images."""
    with torch.inference_mode():
        rows, columns = feature_map(network, scenes.images[:1]).shape[2:]
    return int(rows), int(columns)


def _trained(
    networks: dict[str, nn.Module], train: Scenes, places: tuple[int, int], fine_tune: bool, run: str | Path
) -> dict[str, tuple[nn.Module | None, Features]]:
    """What PSPNet heads are trained on, by name."""
    if len(train.images) < 2:
        raise Fault("pyramid pooling is trained on two images at least: give more, or use the head linear")
    if min(places) < max(POOLS):
        raise Fault(
            f"the feature maps of {run} have {places[0]} x {places[1]} places and pyramid pooling needs {max(POOLS)} x "
            f"{max(POOLS)}: show larger images by --size"
        )
    if fine_tune:
        return {name: tunable(part, feature_map) for name, part in networks.items()}
    found: dict[str, tuple[nn.Module | None, Features]] = {
        name: (None, partial(feature_map, part)) for name, part in networks.items()
    }
    return found | {"colours": (None, partial(F.adaptive_avg_pool2d, output_size=places))}


def _largest(masks: Tensor) -> int:
    known = masks[masks != IGNORED]
    return int(known.max()) if len(known) else -1


def _size(root: Path) -> tuple[int, int]:
    """(height, width) of the first mask."""
    masks = root / "masks"
    if not masks.is_dir() or not (files := mask_files(masks)):
        raise Fault(f"there are no masks in {masks}: segmentation needs `images` and `masks` there")
    with opened_mask(files[0]) as mask:
        return mask.height, mask.width


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
