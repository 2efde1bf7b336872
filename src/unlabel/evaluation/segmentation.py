"""Semantic segmentation with frozen features: what a linear layer reads of every place, beside its controls.

    features [D, r, s] of a frozen network, standardised over all places of the training images
    logits   1 x 1 convolution to C classes, resized (bilinear) to the mask; trained by cross-entropy of known pixels

Scores are those of mmsegmentation: counts of pixels over the whole data set, never means over images,

    aAcc = sum_c I_c / sum_c G_c        mIoU = mean_c I_c / (P_c + G_c - I_c)        mAcc = mean_c I_c / G_c

with I_c pixels of class c that were predicted so, P_c predicted as c, G_c labelled c. A class that is neither labelled
nor predicted has no IoU, one that is not labelled no accuracy; means leave them out. Ignored pixels count nowhere.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from unlabel.data.scenes import IGNORED

EPOCHS, BATCH, RATE = 15, 8, 1e-3  # of Adam

Features = Callable[[Tensor], Tensor]
"""Images [B, C, H, W] -> [B, D, r, s]."""


@dataclass(frozen=True)
class Pixels:
    """Counts of pixels by class, int64 [C] each: rightly predicted, predicted, labelled. They add up over images."""

    right: Tensor
    predicted: Tensor
    labelled: Tensor

    @classmethod
    def of(cls, prediction: Int[Tensor, "..."], label: Int[Tensor, "..."], classes: int) -> "Pixels":
        """Of some pixels; `prediction` is a class. A label that is neither a class nor `IGNORED` counts as no class's.

        Its prediction still counts, as in mmsegmentation: whoever reads masks checks their labels before.
        """
        known = label != IGNORED
        p, g = prediction[known], label[known]
        g_in = g[(g >= 0) & (g < classes)]
        return cls(*(torch.bincount(part, minlength=classes) for part in (p[p == g], p, g_in)))

    def __add__(self, other: "Pixels") -> "Pixels":
        return Pixels(self.right + other.right, self.predicted + other.predicted, self.labelled + other.labelled)

    def scores(self) -> dict[str, Any]:
        """{"aAcc", "mIoU", "mAcc" in %, "IoU": [C]} in % to 2 decimals; None where there is none."""
        right, labelled = self.right.double(), self.labelled.double()
        iou, accuracy = 100 * right / (self.predicted + labelled - right), 100 * right / labelled
        means = {"aAcc": 100 * right.sum() / labelled.sum(), "mIoU": iou.nanmean(), "mAcc": accuracy.nanmean()}
        return {
            **{name: _rounded(value) for name, value in means.items()},
            "IoU": [_rounded(value) for value in iou],
        }


def _rounded(value: Tensor) -> float | None:
    """To 2 decimals; None for what is not a number."""
    return None if value.isnan() else round(float(value), 2)


@dataclass(frozen=True)
class Scenes:
    """Images [n, C, H, W], normalised, and their masks [n, H, W] int64 of classes and `IGNORED`."""

    images: Tensor
    masks: Tensor


def linear_segmentation(
    networks: Mapping[str, Features],
    train: Scenes,
    test: Scenes,
    *,
    classes: int,
    epochs: int = EPOCHS,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable[[str, float], None] = lambda what, share: None,
) -> dict[str, dict[str, Any]]:
    """The scores of each network's features, by its name; and as "constant" those of the commonest class everywhere.

    networks  in evaluation mode on `device`; nothing of them changes
    """
    found = {}
    for number, (name, features) in enumerate(networks.items()):
        progress(name, number / len(networks))
        known, later = (_maps(features, scenes.images, device) for scenes in (train, test))
        mean, std = known.mean(dim=(0, 2, 3), keepdim=True), known.std(dim=(0, 2, 3), keepdim=True)
        scale = torch.where(std > 1e-6 * std.max(), 1 / std.clamp(min=torch.finfo(std.dtype).tiny), 0.0)
        weight, bias = _fit(known.sub_(mean).mul_(scale), train.masks, classes, epochs, seed, device)
        later.sub_(mean).mul_(scale)
        size = test.masks.shape[1:]
        logits = (_logits(part.to(device), weight, bias, size) for part in later.split(BATCH))
        found[name] = asked(logits, test, classes)
    return found | {"constant": constant(train, test, classes)}


def constant(train: Scenes, test: Scenes, classes: int) -> dict[str, Any]:
    """The scores of saying the commonest class of the training images everywhere."""
    labels = train.masks[train.masks != IGNORED]
    commonest = F.one_hot(torch.bincount(labels, minlength=classes).argmax(), classes).float()  # [C]
    everywhere = commonest.view(1, -1, 1, 1).expand(-1, -1, *test.masks.shape[1:])
    return asked((everywhere.expand(len(part), -1, -1, -1) for part in test.masks.split(BATCH)), test, classes)


def _maps(features: Features, images: Tensor, device: torch.device | str) -> Float[Tensor, "n d r s"]:
    with torch.inference_mode():
        parts = [features(part.to(device)).float().cpu() for part in images.split(4 * BATCH)]
    return torch.cat(parts)


def _fit(
    maps: Tensor, masks: Tensor, classes: int, epochs: int, seed: int, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Weight [C, D, 1, 1] and bias [C] of the 1 x 1 convolution."""
    weight = torch.zeros(classes, maps.shape[1], 1, 1, device=device, requires_grad=True)
    bias = torch.zeros(classes, device=device, requires_grad=True)
    optimiser = torch.optim.Adam([weight, bias], lr=RATE)
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for some in torch.randperm(len(maps), generator=order).split(BATCH):
            label = masks[some].to(device)
            if not (label != IGNORED).any():
                continue  # the mean over no pixel is not a number
            logits = _logits(maps[some].to(device), weight, bias, masks.shape[1:])
            optimiser.zero_grad()
            F.cross_entropy(logits, label, ignore_index=IGNORED).backward()
            optimiser.step()
    return weight.detach(), bias.detach()


def _logits(maps: Tensor, weight: Tensor, bias: Tensor, size: Sequence[int]) -> Float[Tensor, "b c h w"]:
    return F.interpolate(F.conv2d(maps, weight, bias), size=tuple(size), mode="bilinear", align_corners=False)


def asked(logits: Iterable[Tensor], test: Scenes, classes: int) -> dict[str, Any]:
    """The scores of logits [b, C, H, W] of the test images, batch by batch."""
    total = Pixels(*(torch.zeros(classes, dtype=torch.int64) for _ in range(3)))
    for part, label in zip(logits, test.masks.split(BATCH), strict=True):
        total += Pixels.of(part.argmax(dim=1).cpu(), label, classes)
    return total.scores()
