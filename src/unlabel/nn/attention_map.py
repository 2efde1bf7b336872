"""Where a vision transformer looks: the attention of its last block, place by place."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unlabel.errors import Fault
from unlabel.nn.feature_map import patch_grid


def reads_class_token(network: nn.Module) -> bool:
    """Whether the class token is what the vector of this transformer of timm's is made of."""
    return getattr(network, "cls_token", None) is not None and getattr(network, "global_pool", "") == "token"


def last_attention(backbone: nn.Module, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b heads r s"]:
    """How much each head of the last block attends to each patch: images [B, C, H, W] -> [B, heads, rows, columns].

    softmax(q k^T / sqrt(d)) over all tokens, of which patches are shown: they sum to 1 less what class token and
    registers get. The query q is the class token's where it makes the vector; elsewhere, this is the mean over the
    queries of all patches. Whatever the layer adds (positions, normalisation, biases) is in it: its own softmax is
    what is read, of plain ViTs, DeiT, BEiT and EVA.

    Fault for a network whose last block does not attend from every patch to every other.
    Caron et al., DINO, ICCV 2021, arXiv 2104.14294, figure 1.
    """
    grid, attention = patch_grid(backbone, x), _attention_of_last_block(backbone)
    if grid is None or attention is None:
        raise _no_attention(backbone)
    rows, columns = grid
    prefix: Any = backbone.num_prefix_tokens
    first = reads_class_token(backbone)
    found: list[Tensor] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        weights = inputs[0]  # [1, heads, T, T]
        if weights.shape[-2:] == (prefix + rows * columns,) * 2:
            asks = weights[:, :, 0] if first else weights[:, :, prefix:].mean(dim=2)
            found.append(asks[:, :, prefix:].float())

    handle = attention.attn_drop.register_forward_pre_hook(keep)
    fused = vars(attention)["fused_attn"]  # timm calls it final
    try:
        vars(attention)["fused_attn"] = False  # the fused kernel never shows its softmax
        for image in x.split(1):  # a matrix of all tokens by all tokens is large
            backbone.forward_features(image)  # type: ignore[operator]
    finally:
        vars(attention)["fused_attn"] = fused
        handle.remove()
    if len(found) != len(x):
        raise _no_attention(backbone)
    return torch.cat(found).unflatten(2, (rows, columns))


def _attention_of_last_block(backbone: nn.Module) -> Any:
    """The layer of a timm transformer's last block that attends, if its softmax goes through a dropout of its own."""
    blocks = getattr(backbone, "blocks", None)
    attention = getattr(blocks[-1], "attn", None) if isinstance(blocks, nn.Sequential | nn.ModuleList) else None
    known = isinstance(attention, nn.Module) and hasattr(attention, "attn_drop") and "fused_attn" in vars(attention)
    return attention if known else None


def _no_attention(backbone: nn.Module) -> Fault:
    return Fault(
        f"{type(backbone).__name__} has no block that attends from every patch to every other: choose a ViT, such as "
        "tiny_vit"
    )


def to_most(weights: Float[Tensor, "... r s"]) -> Float[Tensor, "... r s"]:
    """Maps of weights >= 0, each divided by its largest: one that is the same everywhere becomes 1."""
    most = weights.amax(dim=(-2, -1), keepdim=True)
    return weights / torch.where(most > 0, most, 1)
