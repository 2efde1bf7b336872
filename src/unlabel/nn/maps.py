"""The last feature maps of a convolutional backbone, and what they say of where things are."""

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from timm.models import VisionTransformer
from torch import Tensor, nn

from unlabel.errors import Fault


@runtime_checkable
class Convolutional(Protocol):
    """A network that makes its vector of maps, in two steps: as all of timm's do."""

    def forward_features(self, x: Tensor) -> Tensor:
        """Images [B, C, S, S] -> maps [B, D, h, w]."""
        ...

    def forward_head(self, x: Tensor) -> Tensor:
        """Maps [B, D, h, w] -> vectors [B, E]."""
        ...


def convolutional(backbone: nn.Module) -> Convolutional:
    """The backbone, as one that makes maps. Fault for a network that makes none: a vision transformer, say."""
    if not isinstance(backbone, Convolutional) or isinstance(backbone, VisionTransformer):
        raise Fault(
            f"the last maps of convolutions are looked at here, and {type(backbone).__name__} has none: choose a "
            "network of convolutions, such as tiny_resnet, small_resnet or resnet18"
        )
    return backbone


def last_maps(backbone: nn.Module, x: Float[Tensor, "b c s s"]) -> Float[Tensor, "b d h w"]:
    """The maps that a network makes its vector of: `forward_head(last_maps(backbone, x))` is backbone(x).

    Fault for a network that has none.
    """
    maps = convolutional(backbone).forward_features(x)
    if maps.ndim != 4 or maps.shape[2] != maps.shape[3]:
        raise Fault(
            f"maps [B, D, h, w] are looked at here, and those of {type(backbone).__name__} are {list(maps.shape)}: "
            "choose a network of convolutions, such as small_resnet or resnet18"
        )
    return maps


def grad_cam(
    maps: Float[Tensor, "b d h w"], score: Float[Tensor, "b"], *, rectified: bool = True, create_graph: bool = True
) -> Float[Tensor, "b h w"]:
    """Grad-CAM: G = ReLU( sum_c alpha_c A_c ), alpha_c the mean over all places of d score / d A_c.

    maps          [B, D, h, w] = A, of which the scores were made
    score         [B], each of its own image's maps alone
    rectified     without it, the sum itself
    create_graph  whether alpha is differentiable too: a loss of G then also changes how maps are weighed

    Selvaraju et al., ICCV 2017, arXiv 1610.02391, eq. 1 and 2.
    """
    # The graph is kept either way: other losses are made of the same maps.
    (slope,) = torch.autograd.grad(score.sum(), maps, retain_graph=True, create_graph=create_graph)
    heat = (slope.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1)
    return F.relu(heat) if rectified else heat


def normalised(heat: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """Each map from 0 at its least value to 1 at its largest; one that is the same everywhere becomes 0."""
    low = heat.amin(dim=(1, 2), keepdim=True)
    range_ = heat.amax(dim=(1, 2), keepdim=True) - low
    return (heat - low) / torch.where(range_ > 0, range_, 1)


def similarity_map(
    network: nn.Module, x: Float[Tensor, "b c s s"], key: Float[Tensor, "b e"]
) -> Float[Tensor, "b h w"]:
    """What makes images like their keys: Grad-CAM of the cosine between the vector of x and `key`, from 0 to 1.

    It takes no classes. Such a map is 0 where a place speaks against the key; one that is 0 everywhere says nothing.
    Fault for a network without maps. Chen et al., Adapting Grad-CAM for Embedding Networks, WACV 2020, 2001.06538.
    """
    with torch.no_grad():
        maps = last_maps(network, x)
    with torch.enable_grad():
        maps = maps.detach().requires_grad_()
        vectors = F.normalize(convolutional(network).forward_head(maps), dim=1)
        score = (vectors * F.normalize(key, dim=1)).sum(dim=1)
        return normalised(grad_cam(maps, score, create_graph=False)).detach()


def region_of_interest(
    maps: Float[Tensor, "b d h w"], size: int, *, threshold: float = 0.1
) -> tuple[Float[Tensor, "b 4"], Float[Tensor, "b"]]:
    """Where maps are high: the smallest box around all pixels above `threshold` of the heat, and the heat's range.

    The heat is the sum over channels, from 0 to 1 in each image, resized to `size` pixels. Boxes are (top, left,
    bottom, right) in fractions. A heat of range 0 says nothing: its box is the whole image.

    Peng, Wang, Zhu, You, ContrastiveCrop, CVPR 2022, arXiv 2202.03278, eq. 2 and 3.
    """
    heat = maps.sum(dim=1)
    range_ = heat.amax(dim=(1, 2)) - heat.amin(dim=(1, 2))
    large = F.interpolate(normalised(heat)[:, None], size=(size, size), mode="bilinear")[:, 0]
    edges = []
    for along in (large.amax(dim=2), large.amax(dim=1)):  # [B, S] over rows, over columns
        above = (along > threshold).to(torch.int8)
        none = above.amax(dim=1) == 0
        first = torch.where(none, 0, above.argmax(dim=1))
        last = torch.where(none, size, size - above.flip(1).argmax(dim=1))
        edges.append((first / size, last / size))
    (top, bottom), (left, right) = edges
    return torch.stack((top, left, bottom, right), dim=1).to(heat.dtype), range_
