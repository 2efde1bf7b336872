"""Semantic segmentation by pyramid pooling: what a head that sees a place and its surroundings makes of feature maps.

Zhao, Shi, Qi, Wang and Jia, Pyramid Scene Parsing Network, CVPR 2017, arXiv 1612.01105, section 3.2.

    x            the last feature map [D, r, s] of a network
    p_k          x averaged over k x k parts, k = 1, 2, 3, 6; 1 x 1 convolution to W channels, batch norm, ReLU; resized
                 (bilinear) to r x s
    logits       x and all p_k side by side, 3 x 3 convolution to W, batch norm, ReLU, dropout 0.1, 1 x 1 to C classes;
                 resized (bilinear) to the mask

The network is frozen or trained too (fine-tuned), its control being the same from random weights. Departures: W is D /
4 as in the paper but at least 64; no auxiliary loss; images are mirrored where the network is trained, and otherwise
seen as they are, for then their maps are made once. Scores are those of `segmentation`, over all pixels of all test
images.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unlabel.data.scenes import IGNORED
from unlabel.evaluation.segmentation import BATCH, Features, Scenes, asked, constant

POOLS = (1, 2, 3, 6)
EPOCHS, RATE, LAST, DECAY = 20, 0.01, 1e-4, 5e-4  # of SGD with momentum 0.9, its rate falling by (1 - progress)^0.9
LEAST = 64  # channels of the head
_HELD = 1 << 30  # bytes of feature maps that are kept


class PyramidHead(nn.Module):
    """Feature maps [B, D, r, s] -> logits [B, C, r, s]; `width` W of each branch."""

    def __init__(self, features: int, classes: int, width: int | None = None) -> None:
        super().__init__()
        width = width or max(LEAST, features // 4)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(k), *_block(features, width, 1)) for k in POOLS
        )
        self.bottleneck = nn.Sequential(*_block(features + len(POOLS) * width, width, 3), nn.Dropout2d(0.1))
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, x: Float[Tensor, "b d r s"]) -> Float[Tensor, "b c r s"]:
        """The logits of every place."""
        size = x.shape[2:]
        around = [F.interpolate(branch(x), size=size, mode="bilinear", align_corners=False) for branch in self.branches]
        return self.classifier(self.bottleneck(torch.cat([x, *around], dim=1)))


def _block(before: int, after: int, side: int) -> tuple[nn.Module, ...]:
    """A convolution, its batch norm and ReLU."""
    return nn.Conv2d(before, after, side, padding=side // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)


def pspnet_segmentation(
    networks: Mapping[str, tuple[nn.Module | None, Features]],
    train: Scenes,
    test: Scenes,
    *,
    classes: int,
    epochs: int = EPOCHS,
    fine_tune: bool = False,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable[[str, float], None] = lambda what, share: None,
) -> dict[str, dict[str, Any]]:
    """The scores of a head on each network's features, by its name; and as "constant" those of the commonest class.

    networks   by name, what is trained where `fine_tune` is asked for (None: nothing), in evaluation mode on `device`,
               and what makes maps [B, D, r, s] of images with it; frozen ones stay as they are, to the last bit
    train      at least two images: batch norm of one place needs several

    Every head begins with the same weights and sees the same order of images. Raises ValueError for fewer images.
    """
    if len(train.images) < 2:
        raise ValueError(f"pyramid pooling is trained on two images at least, not {len(train.images)}")
    found = {}
    for number, (name, (network, features)) in enumerate(networks.items()):

        def tell(share: float, name: str = name, number: int = number) -> None:
            progress(name, (number + share) / len(networks))

        trained = network if fine_tune else None
        head = _fitted(features, trained, train, classes, epochs, seed, device, tell)
        found[name] = asked(_logits(features, head, test, device), test, classes)
    return found | {"constant": constant(train, test, classes)}


def tunable(network: nn.Module, features: Callable[[nn.Module, Tensor], Tensor]) -> tuple[nn.Module, Features]:
    """A copy of a network to be trained, and its features."""
    own = copy.deepcopy(network).requires_grad_(True)
    return own, lambda x: features(own, x)


def _fitted(
    features: Features,
    network: nn.Module | None,
    train: Scenes,
    classes: int,
    epochs: int,
    seed: int,
    device: torch.device | str,
    progress: Callable[[float], None],
) -> PyramidHead:
    """The head, trained; and `network` behind `features` with it, unless that is None."""
    frozen = network is None
    maps = _Maps(features, train.images, device, kept=frozen)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        head = PyramidHead(maps.channels, classes).to(device).train()
        parameters = [*head.parameters(), *(network.parameters() if network is not None else ())]
        optimiser = torch.optim.SGD(parameters, lr=RATE, momentum=0.9, weight_decay=DECAY)
        order = torch.Generator().manual_seed(seed)
        count = max(1, len(train.images) // BATCH)  # no batch is smaller than the others: the last may be one image
        done, whole = 0, epochs * count
        if network is not None:
            network.train()
        for _ in range(epochs):
            for some in torch.randperm(len(train.images), generator=order).tensor_split(count):
                for group in optimiser.param_groups:
                    group["lr"] = (RATE - LAST) * (1 - done / whole) ** 0.9 + LAST
                label = train.masks[some].to(device)
                mirrored = not frozen and bool(torch.rand((), generator=order) < 0.5)
                done += 1
                progress(done / whole)
                if not (label != IGNORED).any():
                    continue  # the mean over no pixel is not a number
                logits = F.interpolate(head(maps(some, mirrored)), size=label.shape[1:], mode="bilinear")
                optimiser.zero_grad()
                F.cross_entropy(logits, label.flip(2) if mirrored else label, ignore_index=IGNORED).backward()
                optimiser.step()
        if network is not None:
            network.eval()
    return head.eval()


class _Maps:
    """Feature maps of images by their places; those of a frozen network are made once where there is room for them."""

    def __init__(self, features: Features, images: Tensor, device: torch.device | str, *, kept: bool) -> None:
        self.features, self.images, self.device, self.frozen = features, images, device, kept
        with torch.inference_mode():
            first = features(images[:1].to(device))
        self.channels: int = first.shape[1]
        self.held: Tensor | None = None
        if kept and 4 * first.numel() * len(images) <= _HELD:
            with torch.inference_mode():
                made = [features(part.to(device)).float().cpu() for part in images.split(BATCH)]
            self.held = torch.cat(made).clone()

    def __call__(self, some: Tensor, mirrored: bool) -> Tensor:
        if self.held is not None:
            return self.held[some].to(self.device)
        images = self.images[some].to(self.device)
        with torch.no_grad() if self.frozen else nullcontext():
            return self.features(images.flip(3) if mirrored else images).float()


def _logits(features: Features, head: PyramidHead, test: Scenes, device: torch.device | str) -> Iterator[Tensor]:
    with torch.no_grad():
        for images, masks in zip(test.images.split(BATCH), test.masks.split(BATCH), strict=True):
            small = head(features(images.to(device)).float())
            yield F.interpolate(small, size=masks.shape[1:], mode="bilinear", align_corners=False)
