"""A backbone's features place by place, before they are averaged into one vector."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, cat, nn

from unlabel.errors import Fault
from unlabel.nn.backbones import is_vit
from unlabel.nn.lab import LabPair
from unlabel.nn.patch_grid import PatchGrid


def feature_map(backbone: nn.Module, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d r s"]:
    """The last feature map of a timm backbone: images [B, C, H, W] -> [B, D, rows, columns], D = `num_features`.

    Of a ViT its final patch tokens, in their places. Fault for a network that has no such map, or that goes on with
    layers of its own behind it, which would stay untrained.
    """
    features = _last(backbone, x)
    if features is not None and features.shape[1] == backbone.num_features:
        return features
    raise Fault(
        f"{type(backbone).__name__} has no feature map that it just averages, and pixels need one: choose a ResNet "
        "or a plain ViT, such as resnet18"
    )


def places(network: nn.Module, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d r s"]:
    """What a network kept of a run says of each place of images, to look at: [B, C, H, W] -> [B, D, rows, columns].

    As `feature_map`, but also of networks that go on with layers of their own behind their last maps, of two networks
    for lightness and colour (one's maps above the other's), and of the vectors of a grid of patches.

    Fault for a network without places.
    """
    if isinstance(network, PatchGrid):
        return network.see(network.cut(x)).permute(0, 3, 1, 2)
    if isinstance(network, LabPair):
        light, colour = network.split(x)
        return cat([places(network.lightness, light), places(network.colour, colour)], dim=1)
    features = _last(network, x, any_patches=True) if hasattr(network, "forward_features") else None
    if features is None:
        raise Fault(f"{type(network).__name__} has no map of places: choose a ResNet or a plain ViT, such as resnet18")
    return features


def patch_grid(network: nn.Module, x: Float[Tensor, "b c h w"]) -> tuple[int, int] | None:
    """Rows and columns of patches that a timm transformer cuts these images into; None where it is not known to."""
    size = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    if size is None or not hasattr(network, "num_prefix_tokens"):
        return None
    return x.shape[-2] // size[0], x.shape[-1] // size[1]


def _last(backbone: nn.Module, x: Tensor, *, any_patches: bool = False) -> Tensor | None:
    """What a timm backbone makes its vector of, as [B, D, rows, columns]; None where that has no places.

    any_patches  also of transformers of other kinds than the plain one
    """
    features = backbone.forward_features(x)  # type: ignore[operator]
    if not isinstance(features, Tensor):
        return None
    if features.ndim == 3 and (any_patches or is_vit(backbone)):
        grid = patch_grid(backbone, x)
        patches = features[:, getattr(backbone, "num_prefix_tokens", 0) :]
        return None if grid is None or grid[0] * grid[1] != patches.shape[1] else patches.mT.unflatten(2, grid)
    if features.ndim != 4:
        return None
    return features.permute(0, 3, 1, 2) if getattr(backbone, "output_fmt", "NCHW") == "NHWC" else features


def by_place(head: Callable[[Tensor], Tensor], features: Float[Tensor, "b d r s"]) -> Float[Tensor, "b n k"]:
    """What a head of rows, [N, D] -> [N, K], says of every place: [B, D, rows, columns] -> [B, rows · columns, K].

    Linear layers become 1 x 1 convolutions, and a batch norm counts places as it would rows.
    """
    rows = features.flatten(2).mT  # [B, N, D]
    return head(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])
