"""Where a vision transformer looks: the attention of its last block, place by place."""

import torch
from jaxtyping import Float
from timm.layers import Attention
from timm.models import VisionTransformer
from torch import Tensor, nn

from unlabel.errors import Fault
from unlabel.nn.backbones import is_vit


def reads_class_token(vit: VisionTransformer) -> bool:
    """Whether the class token is what the network's vector is made of."""
    return vit.cls_token is not None and vit.global_pool == "token"


def last_attention(backbone: nn.Module, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b heads r s"]:
    """How much each head of the last block attends to each patch: images [B, C, H, W] -> [B, heads, rows, columns].

    softmax(q k^T / sqrt(d)) over all tokens, of which patches are shown: they sum to 1 less what class token and
    registers get. The query q is the class token's where it makes the vector; elsewhere, the mean of the patches'
    queries. Queries and keys are those that the block's own layer makes, whichever form of attention goes on with them.

    Fault for a network without such attention. Caron et al., DINO, ICCV 2021, arXiv 2104.14294, figure 1.
    """
    attention = backbone.blocks[-1].attn if is_vit(backbone) and hasattr(backbone.blocks[-1], "attn") else None
    if not is_vit(backbone) or not isinstance(attention, Attention):
        raise Fault(
            f"{type(backbone).__name__} has no attention of the plain kind: choose a plain ViT, such as tiny_vit"
        )
    made: list[Tensor] = []
    handle = attention.qkv.register_forward_hook(lambda layer, inputs, output: made.append(output))
    try:
        backbone.forward_features(x)
    finally:
        handle.remove()
    qkv = made[-1].unflatten(2, (3, attention.num_heads, attention.head_dim)).permute(2, 0, 3, 1, 4)
    q, k = attention.q_norm(qkv[0]), attention.k_norm(qkv[1])  # [B, heads, T, d]
    prefix = backbone.num_prefix_tokens
    asks = q[:, :, :1] if reads_class_token(backbone) else q[:, :, prefix:].mean(dim=2, keepdim=True)
    weights = (asks.float() @ k.float().mT * attention.scale).softmax(dim=-1)[:, :, 0, prefix:]
    height, width = backbone.patch_embed.patch_size
    return weights.unflatten(2, (x.shape[-2] // height, x.shape[-1] // width))


def to_most(weights: Float[Tensor, "... r s"]) -> Float[Tensor, "... r s"]:
    """Maps of weights >= 0, each divided by its largest: one that is the same everywhere becomes 1."""
    most = weights.amax(dim=(-2, -1), keepdim=True)
    return weights / torch.where(most > 0, most, 1)
