"""Dropping masked tokens, and putting them back in their places."""

from jaxtyping import Bool, Float, Int64
from torch import Tensor, cat


def ids_from_mask(mask: Bool[Tensor, "b n"]) -> tuple[Int64[Tensor, "b v"], Int64[Tensor, "b n"]]:
    """Where the visible tokens are, and the way back.

    mask  [B, N] True = masked; the same number in every row (ValueError otherwise)

    Returns ids_keep [B, v], the visible positions in ascending order, and ids_restore [B, N]: position i of the
    image is row ids_restore[i] of "visible tokens, then masked ones". He et al., MAE, arXiv 2111.06377, section 3.
    """
    masked = mask.sum(dim=1)
    if (masked != masked[0]).any():
        raise ValueError("tokens can be dropped only where every image has the same number of them masked")
    shuffle = mask.int().argsort(dim=1, stable=True)
    return shuffle[:, : mask.shape[1] - int(masked[0])], shuffle.argsort(dim=1)


def take(tokens: Float[Tensor, "b n d"], ids: Int64[Tensor, "b v"]) -> Float[Tensor, "b v d"]:
    """The tokens at positions `ids` of each image."""
    return tokens.gather(1, ids[..., None].expand(-1, -1, tokens.shape[-1]))


def fill(
    visible: Float[Tensor, "b v d"], mask_token: Float[Tensor, "1 1 d"], ids_restore: Int64[Tensor, "b n"]
) -> Float[Tensor, "b n d"]:
    """All N tokens in their places: the visible ones, and `mask_token` wherever one was dropped."""
    b, v, _ = visible.shape
    missing = mask_token.to(visible.dtype).expand(b, ids_restore.shape[1] - v, -1)
    return take(cat([visible, missing], dim=1), ids_restore)
