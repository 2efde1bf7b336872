"""The patch discriminator: it judges overlapping patches, not whole images.

Isola, Zhu, Zhou, Efros (pix2pix, CVPR 2017); with the blurred down-sampling of Park et al. (CUT, ECCV 2020).
"""

from itertools import pairwise

from torch import Tensor, nn

from unlabel.errors import Fault
from unlabel.nn.generator import BlurDown, adversarial_init


class PatchDiscriminator(nn.Module):
    """A map of logits, one per patch; with three layers each sees 84 x 84 pixels.

    (The "70 x 70 PatchGAN" of the literature halves by strided convolution; the blurs here see a little further.)

    width   channels after the first layer; they double with each layer up to 8 x width
    layers  how often the image is halved; more layers judge larger patches

    Each layer is conv4 at stride 1, instance norm (not in the first layer), LeakyReLU(0.2) and a blurred halving;
    then two conv4 without halving make the logits. No sigmoid: the loss is least squares.
    """

    def __init__(self, *, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        if layers < 1:
            raise Fault(f"the discriminator needs at least one layer, not {layers}")
        self.halvings = layers
        widths = [width * min(2**n, 8) for n in range(layers + 1)]  # 64, 128, 256 | 512
        modules: list[nn.Module] = [nn.Conv2d(3, width, 4, padding=1), nn.LeakyReLU(0.2, inplace=True), BlurDown()]
        for before, after in pairwise(widths[:-1]):
            modules += [*_conv_norm_relu(before, after), BlurDown()]
        modules += [*_conv_norm_relu(widths[-2], widths[-1]), nn.Conv2d(widths[-1], 1, 4, padding=1)]
        self.layers = nn.Sequential(*modules)
        adversarial_init(self)

    def logit_side(self, size: int) -> int:
        """Side of the map of logits for square images of `size` pixels; below 1 the images are too small."""
        for _ in range(self.halvings):
            size = size // 2  # conv4 leaves size - 1, the halving rounds up
        return size - 2

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, 1, H', W']: high where a patch looks real."""
        return self.layers(x)


def _conv_norm_relu(before: int, after: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, after, 4, padding=1), nn.InstanceNorm2d(after), nn.LeakyReLU(0.2, inplace=True)
