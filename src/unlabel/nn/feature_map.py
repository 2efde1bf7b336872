"""A backbone's features place by place, before they are averaged into one vector."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from unlabel.errors import Fault
from unlabel.nn.backbones import is_vit


def feature_map(backbone: nn.Module, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d r s"]:
    """The last feature map of a timm backbone: images [B, C, H, W] -> [B, D, rows, columns], D = `num_features`.

    Of a ViT its final patch tokens, in their places. Fault for a network that has no such map, or that goes on with
    layers of its own behind it, which would stay untrained.
    """
    features = backbone.forward_features(x)  # type: ignore[operator]
    if is_vit(backbone):
        height, width = backbone.patch_embed.patch_size
        grid = (x.shape[-2] // height, x.shape[-1] // width)
        return features[:, backbone.num_prefix_tokens :].mT.unflatten(2, grid)
    if isinstance(features, Tensor) and features.ndim == 4:
        if getattr(backbone, "output_fmt", "NCHW") == "NHWC":
            features = features.permute(0, 3, 1, 2)
        if features.shape[1] == backbone.num_features:
            return features
    raise Fault(
        f"{type(backbone).__name__} has no feature map that it just averages, and pixels need one: choose a ResNet "
        "or a plain ViT, such as resnet18"
    )


def by_place(head: Callable[[Tensor], Tensor], features: Float[Tensor, "b d r s"]) -> Float[Tensor, "b n k"]:
    """What a head of rows, [N, D] -> [N, K], says of every place: [B, D, rows, columns] -> [B, rows · columns, K].

    Linear layers become 1 x 1 convolutions, and a batch norm counts places as it would rows.
    """
    rows = features.flatten(2).mT  # [B, N, D]
    return head(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])
