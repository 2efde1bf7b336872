"""The residual generator of image translation, readable half-way, and the heads that read it.

The network is one `Sequential`, because losses name its layers by number:

    0 pad | 1 conv7 2 norm 3 relu | 4 conv3 5 norm 6 relu 7 blur-down | 8 conv3 9 norm 10 relu 11 blur-down |
    12 .. residual blocks | 2 x (blur-up, conv3, norm, relu) | pad, conv7, tanh

Sources: Johnson, Alahi, Fei-Fei (ECCV 2016) for the layout; Zhu et al. (CycleGAN, ICCV 2017) for instance norm
and reflection; Zhang (ICML 2019) for the anti-aliased resampling; Park et al. (CUT, ECCV 2020) for the taps.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.errors import Fault

TAPS = (0, 4, 8, 12, 16)
"""Where the encoder is read: padded pixels, both down-convolutions, residual blocks 1 and 5."""

LEAST = 8
"""The least side of images, in pixels: the blocks in the middle, at a quarter of it, reflect a border of one pixel."""


class BlurDown(nn.Module):
    """Halve the sides without aliasing: blur with [1, 2, 1] x [1, 2, 1] / 16 over reflected borders, keep every
    second pixel. [B, C, H, W] -> [B, C, ceil(H/2), ceil(W/2)].
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(line, line)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Blur and decimate."""
        channels = x.shape[1]
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(x, self.kernel.to(x.dtype).expand(channels, 1, 3, 3), stride=2, groups=channels)


class BlurUp(nn.Module):
    """Double the sides: zeros between the pixels, then [1, 3, 3, 1] x [1, 3, 3, 1] / 16 over repeated borders.

    That filter weighs the two nearest pixels 3 : 1 on each axis, which is bilinear interpolation.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, 2H, 2W]."""
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), 3 x 3 over reflected borders. [B, C, H, W] -> the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *(nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width), nn.ReLU(inplace=True)),
            *(nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The block's input plus its branch."""
        return x + self.branch(x)


class Generator(nn.Module):
    """Images in, images out: G of CycleGAN and CUT.

    width   channels after the first layer; 4 x width in the residual blocks
    blocks  residual blocks, at least 5 (the taps read blocks 1 and 5)

    Instance norm has no affine weights and no running statistics: an image's result depends on nothing else
    in the batch, and no statistics of one domain leak into the other.
    """

    def __init__(self, *, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        if blocks < 5:
            raise Fault(f"the generator needs at least 5 residual blocks, not {blocks}: block 5's features are used")
        self.widths = (3, 2 * width, 4 * width, 4 * width, 4 * width)  # channels at the taps
        self.layers = nn.Sequential(
            *(nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), *_norm_relu(width)),
            *(nn.Conv2d(width, 2 * width, 3, padding=1), *_norm_relu(2 * width), BlurDown()),
            *(nn.Conv2d(2 * width, 4 * width, 3, padding=1), *_norm_relu(4 * width), BlurDown()),
            *(ResidualBlock(4 * width) for _ in range(blocks)),
            *(BlurUp(), nn.Conv2d(4 * width, 2 * width, 3, padding=1), *_norm_relu(2 * width)),
            *(BlurUp(), nn.Conv2d(2 * width, width, 3, padding=1), *_norm_relu(width)),
            *(nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()),
        )
        adversarial_init(self)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] in [-1, 1], sides multiples of 4 -> the translated images, same shape and range."""
        return self.trace(x)[0]

    def trace(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The translated images, and the encoder's features met on the way (as `encode`)."""
        if x.shape[-2] % 4 or x.shape[-1] % 4:
            raise Fault(f"the generator needs sides that are multiples of 4, not {x.shape[-2]} x {x.shape[-1]}")
        features = self.encode(x)
        out = features[-1]
        for layer in list(self.layers)[TAPS[-1] + 1 :]:
            out = layer(out)
        return out, features

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features at the taps, one [B, C_l, H_l, W_l] per tap: layers 0 to 16 and no further."""
        features = []
        for index, layer in enumerate(list(self.layers)[: TAPS[-1] + 1]):
            x = layer(x)
            if index in TAPS:
                features.append(x)
        return features


class PatchHeads(nn.Module):
    """H: for each tap an MLP, C_l -> dim -> dim, whose outputs are scaled to unit length.

    widths  channels C_l of the taps (`Generator.widths`)
    """

    def __init__(self, widths: Sequence[int], *, dim: int = 256) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, dim), nn.ReLU(inplace=True), nn.Linear(dim, dim)) for width in widths
        )
        adversarial_init(self)

    def forward(self, features: Sequence[Tensor], positions: Sequence[Tensor]) -> list[Tensor]:
        """Vectors of the chosen places.

        features   per tap [B, C_l, H_l, W_l]
        positions  per tap [S_l] int64, places in row-major order, the same for every image
        Returns per tap [B, S_l, dim], v / (|v| + 1e-7).
        """
        vectors = []
        for head, feature, position in zip(self.heads, features, positions, strict=True):
            v = head(feature.flatten(2)[:, :, position].transpose(1, 2))  # [B, S, dim]
            v = v.to(torch.promote_types(v.dtype, torch.float32))  # 1e-7 is nothing in half precision
            vectors.append(v / (v.norm(dim=2, keepdim=True) + 1e-7))
        return vectors


def adversarial_init(module: nn.Module) -> None:
    """Xavier-normal weights with gain 0.02 and zero biases: small outputs, so that neither player starts ahead."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(layer.weight, gain=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _norm_relu(width: int) -> tuple[nn.Module, nn.Module]:
    return nn.InstanceNorm2d(width), nn.ReLU(inplace=True)
