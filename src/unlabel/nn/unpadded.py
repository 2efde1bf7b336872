"""A residual encoder whose local features see a part of the image each: no padding, and no batch norm inside.

Zeros at the border and statistics of the batch would tell a feature what lies outside of its window.
Bachman, Hjelm, Buchwalter, AMDIM, NeurIPS 2019, arXiv 1906.00910, section 4, and the authors' code.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.errors import Fault

SIZES = (32, 64, 128)
"""Sides of the images that come out at 7, 5 and 1 places."""


class Block(nn.Module):
    """conv2(relu(conv1(x))) + pool(x): conv1 and the average pool k x k with stride s, conv2 1 x 1, without padding.

    outputs >= inputs; the shortcut's further channels are 0. conv2 starts at 0, so that a block starts as its shortcut.
    """

    def __init__(self, inputs: int, outputs: int, k: int = 1, s: int = 1) -> None:
        super().__init__()
        self.grown = outputs - inputs
        self.conv1 = nn.Conv2d(inputs, outputs, k, s, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.pool = nn.AvgPool2d(k, s) if k > 1 else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, (H - k) // s + 1, (W - k) // s + 1]."""
        shortcut = F.pad(self.pool(x), (0, 0, 0, 0, 0, self.grown))
        return self.conv2(F.relu(self.conv1(x))) + shortcut


class UnpaddedEncoder(nn.Module):
    """Images [B, 3, S, S], S one of `SIZES`, -> vectors [B, d]; `scales` gives the local features too.

    width  channels of the first layer; the map of 7 x 7 places has 4 times as many, from 64 pixels on 8 times
    dim    d, at least as many as that
    depth  blocks of each stage, the first of which shrinks the map

    The one batch norm stands behind the vector.
    """

    def __init__(self, size: int, *, width: int = 128, dim: int = 1024, depth: int = 3) -> None:
        super().__init__()
        if size not in SIZES:
            raise Fault(f"this encoder is for images of 32, 64 or 128 pixels, not {size}: give the option size=64, say")
        self.local_width = width * (4 if size == 32 else 8)
        if dim < self.local_width:
            raise Fault(
                f"an encoder_width of {width} makes {self.local_width} channels at {size} pixels, and embedding_dim "
                f"must be as many at least, not {dim}"
            )
        self.num_features = dim
        wide = self.local_width
        first: list[nn.Module] = [nn.Conv2d(3, width, 3), nn.ReLU()]
        if size == 32:  # 32 -> 30 -> 14 -> 7
            shrink = [Block(width, width), *_stage(width, 2 * width, 4, 2, depth)]
        else:  # 64 -> 62 -> 30 -> 14 -> 7
            shrink = [*_stage(width, 2 * width, 4, 2, depth), *_stage(2 * width, 4 * width, 4, 2, depth)]
        if size == 128:  # -> 64; the border is reflected, which adds nothing that is not there
            first = [nn.Conv2d(3, width, 5, 2, padding=2, padding_mode="reflect"), nn.ReLU()]
            first += [nn.Conv2d(width, width, 3), nn.ReLU()]
        self.to_seven = nn.Sequential(*first, *shrink, *_stage(wide // 2, wide, 2, 2, depth))
        self.to_five = nn.Sequential(*_stage(wide, wide, 3, 1, depth))
        self.to_one = nn.Sequential(*_stage(wide, wide, 3, 1, depth), Block(wide, dim, 3), nn.BatchNorm2d(dim))

    def forward(self, x: Tensor) -> Tensor:
        """The vector of each image, [B, d]."""
        return self.scales(x)[0]

    def scales(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The vector [B, d] and the maps that it is made of, [B, C, 5, 5] and [B, C, 7, 7], C = `local_width`."""
        seven = self.to_seven(x)
        five = self.to_five(seven)
        return self.to_one(five).flatten(1), five, seven


class LocalHead(nn.Module):
    """norm(conv2(relu(conv1(h))) + shortcut(h)), all 1 x 1: local features [B, C, n, n] -> [B, n², d].

    It starts near the identity where d >= C: conv2 at 0, the shortcut at ones on its diagonal and little noise around.
    """

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, dim, 1, bias=False)
        self.conv2 = nn.Conv2d(dim, dim, 1, bias=False)
        self.shortcut = nn.Conv2d(inputs, dim, 1)
        self.norm = nn.BatchNorm2d(dim)
        nn.init.zeros_(self.conv2.weight)
        if dim >= inputs:
            nn.init.uniform_(self.shortcut.weight, -0.01, 0.01)
            self.shortcut.weight.data.flatten(1).fill_diagonal_(1.0)

    def forward(self, h: Tensor) -> Tensor:
        """What the head says of every place."""
        return self.norm(self.conv2(F.relu(self.conv1(h))) + self.shortcut(h)).flatten(2).mT


def _stage(inputs: int, outputs: int, k: int, s: int, depth: int) -> list[nn.Module]:
    """One block that shrinks, then blocks that look at one place at a time."""
    return [Block(inputs, outputs, k, s), *(Block(outputs, outputs) for _ in range(depth - 1))]
