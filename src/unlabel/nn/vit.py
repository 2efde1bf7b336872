"""A plain timm vision transformer, opened up between its patches and its blocks."""

import torch
from jaxtyping import Bool, Float, Int64
from timm.layers import resample_abs_pos_embed
from timm.models import VisionTransformer
from torch import Tensor

from unlabel.nn.masking import take
from unlabel.nn.patches import sincos_table


def tokens(
    vit: VisionTransformer,
    x: Float[Tensor, "b c h w"],
    *,
    ids_keep: Int64[Tensor, "b v"] | None = None,
    mask: Bool[Tensor, "b n"] | None = None,
    mask_token: Float[Tensor, "1 1 d"] | None = None,
) -> Float[Tensor, "b t d"]:
    """Final-norm tokens of images, some of whose patches are dropped or replaced.

    x           [B, 3, H, W]
    ids_keep    [B, v] patches that enter the blocks; the others are dropped, after positions are added (MAE)
    mask        [B, N] patches whose content becomes `mask_token` [1, 1, D], before positions are added (SimMIM, iBOT)

    Returns [B, P + v, D] (v = N unless `ids_keep` is given): P prefix tokens (class, registers), then patches.
    With neither it is `vit.forward_features(x)`, bit for bit.
    """
    t = vit.patch_embed(x)  # [B, N, D], or [B, rows, columns, D] where the size may vary
    grid = t.shape[1:3] if t.ndim == 4 else vit.patch_embed.grid_size
    t = t.reshape(len(t), -1, t.shape[-1])
    if mask is not None:
        if mask_token is None:
            raise ValueError("a mask needs the mask_token that takes the masked patches' place")
        t = torch.where(mask[..., None], mask_token.to(t.dtype), t)
    prefix = [token.expand(len(t), -1, -1) for token in (vit.cls_token, vit.reg_token) if token is not None]
    if vit.pos_embed is not None:
        placed = 0 if vit.no_embed_class else vit.num_prefix_tokens  # prefix tokens that have a position
        pos = resample_abs_pos_embed(
            vit.pos_embed, new_size=list(grid), old_size=list(vit.patch_embed.grid_size), num_prefix_tokens=placed
        )
        t = t + pos[:, placed:]
        if placed:
            prefix = [torch.cat(prefix, dim=1) + pos[:, :placed]]
    if ids_keep is not None:
        t = take(t, ids_keep)
    t = torch.cat([*prefix, t], dim=1)  # [B, P + v, D]
    t = vit.norm_pre(vit.patch_drop(vit.pos_drop(t)))
    for block in vit.blocks:
        t = block(t)
    return vit.norm(t)


def fix_positions(vit: VisionTransformer) -> None:
    """Replace the learned positions by sine-cosine ones (`sincos_table`) that are not trained, in place.

    The table keeps its name and shape, so weights still fit a plain model. ValueError for a ViT without a table.
    """
    if vit.pos_embed is None:
        raise ValueError("this vision transformer has no table of positions")
    placed = 0 if vit.no_embed_class else vit.num_prefix_tokens
    with torch.no_grad():
        vit.pos_embed.copy_(sincos_table(vit.embed_dim, vit.patch_embed.grid_size, placed))
    vit.pos_embed.requires_grad_(False)
