"""A network that sees an image only through a grid of overlapping patches, each by itself.

van den Oord, Li, Vinyals, CPC, arXiv 1807.03748, section 3.2: 256 x 256 pixels as 7 x 7 patches of 64 x 64, which share
half with their neighbours. `layer_norms` and `PatchGrid` need nothing but torch and timm: exports hold their source.
"""

import math

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from unlabel.errors import Fault

LEAST = 4  # pixels of a patch


def layer_norms(module: nn.Module) -> nn.Module:
    """Put a layer norm over channels and places in the place of every batch norm, in place; gains and offsets stay.

    A batch norm tells each patch something of all others, among them the one that is to be predicted.
    """
    for name, child in module.named_children():
        if not isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            layer_norms(child)
            continue
        norm = nn.GroupNorm(1, child.num_features, child.eps, affine=child.affine)
        if child.affine:
            norm.weight, norm.bias = child.weight, child.bias
        setattr(module, name, nn.Sequential(norm, child.drop, child.act) if isinstance(child, BatchNormAct2d) else norm)
    return module


class PatchGrid(nn.Module):
    """Cuts an image into `grid` x `grid` patches and averages what a network sees in each.

    network  images [N, C, p, p] -> vectors [N, D], with `num_features` D; its batch norms become layer norms
    grid     G, patches a side, at least 2
    overlap  the share of a patch that the next one has too, in [0, 1)

    The patches are the largest that fit, in the middle of the image: p + (G - 1) s <= S, stride s = (1 - overlap) p.
    """

    def __init__(self, network: nn.Module, grid: int, overlap: float) -> None:
        super().__init__()
        self.network = layer_norms(network)
        self.num_features = network.num_features
        self.grid, self.overlap = grid, overlap

    def layout(self, size: int) -> tuple[int, int]:
        """Side and stride of the patches of an image of `size` pixels."""
        patch = int(size / (1 + (self.grid - 1) * (1 - self.overlap)) + 1e-6)
        return patch, (size - patch) // (self.grid - 1)

    def cut(self, x: Tensor) -> Tensor:
        """Images [B, C, S, S] -> patches [B, G, G, C, p, p]."""
        patch, stride = self.layout(x.shape[-1])
        reach = patch + (self.grid - 1) * stride
        first = (x.shape[-1] - reach) // 2
        x = x[..., first : first + reach, first : first + reach]
        return x.unfold(2, patch, stride).unfold(3, patch, stride).permute(0, 2, 3, 1, 4, 5)

    def see(self, patches: Tensor) -> Tensor:
        """Patches [B, G, G, C, p, p] -> a vector for each [B, G, G, D]."""
        return self.network(patches.flatten(0, 2)).unflatten(0, (-1, self.grid, self.grid))

    def forward(self, x: Tensor) -> Tensor:
        """Images [B, C, S, S] -> the mean of their patches' vectors [B, D]."""
        return self.see(self.cut(x)).mean(dim=(1, 2))


def rows_shared(overlap: float) -> int:
    """How many of the rows below a patch share pixels with it; overlap as in `PatchGrid`."""
    return math.ceil(1 / (1 - overlap) - 1e-9) - 1  # 0.9 is a little more than nine tenths


def check_patches(network: PatchGrid, size: int) -> None:
    """Fault where images of `size` pixels cannot be cut up, or the network sees nothing in patches so small."""
    patch, stride = network.layout(size)
    if patch < LEAST or stride < 1:
        raise Fault(
            f"images of {size} px in {network.grid} x {network.grid} patches leave {patch} px for each, and {LEAST} "
            "are needed: lower `grid` or raise `size`"
        )
    first = next(part for part in network.modules() if isinstance(part, nn.Conv2d))
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(first.weight.new_zeros(1, first.in_channels, size, size))
    except Exception as problem:  # networks refuse in many ways
        raise Fault(
            f"the backbone cannot look at patches of {patch} px, one of {network.grid} x {network.grid} of an image of "
            f"{size} px: lower `grid` or choose another backbone"
        ) from problem
    finally:
        network.train(training)
