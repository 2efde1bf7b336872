"""What a representation must beat: the same network with random weights, and the pixels themselves."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.data.source import Source
from unlabel.evaluation.features import extract
from unlabel.views import View

SETTLED_ON = 1_024  # images whose statistics batch norm takes
PIXEL_SIDE = 32


def random_weights(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """The network as it was before any training, in evaluation mode; torch's global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make().eval()


def settle(
    backbone: nn.Module,
    source: Source,
    view: View,
    *,
    indices: np.ndarray,
    device: torch.device | str = "cpu",
    threads: int | None = None,
    see: Callable[[Tensor], object] | None = None,
) -> None:
    """Give every batch norm the statistics of these images, averaged over batches; weights stay as they are.

    see  shows a batch [b, C, H, W] to whatever part of `backbone` is meant, where that is not the whole

    Statistics come with training, not with knowledge: an untrained network that still has mean 0 and variance 1
    everywhere is a weaker control than it could be (a CIFAR ResNet-18: 29 % of kNN instead of 31 %).
    """

    def show(look: Callable[[Tensor], None]) -> None:
        def vectors(x: Tensor) -> Tensor:
            look(x)
            return x.new_zeros(len(x), 1)

        extract(vectors, source, view, indices=indices, device=device, threads=threads)

    settle_by(backbone, show, see)


def batch_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Those whose statistics can be settled without other processes."""
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def settle_by(
    backbone: nn.Module,
    show: Callable[[Callable[[Tensor], None]], object],
    see: Callable[[Tensor], object] | None = None,
) -> None:
    """The same with images from anywhere: `show` is given what is to look at batches of them, [b, C, H, W] each."""
    see, norms = see or backbone, batch_norms(backbone)
    if not norms:
        return
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over batches
        norm.train()

    def look(x: Tensor) -> None:
        if len(x) > 1:  # one image at one position has no variance
            see(x)

    with torch.inference_mode():
        show(look)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
        norm.eval()


def pixels(x: Tensor) -> Tensor:
    """The image itself as a feature: [B, C, S, S] -> [B, C s s] with s = min(S, 32), each image's mean taken away.

    Larger images are averaged down. Without its mean an image is compared by its pattern, not by its brightness.
    """
    small = F.adaptive_avg_pool2d(x, PIXEL_SIDE) if x.shape[-1] > PIXEL_SIDE else x
    flat = small.flatten(1)
    return flat - flat.mean(dim=1, keepdim=True)
