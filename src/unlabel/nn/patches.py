"""Images as rows of patches, and where each patch is."""

import torch
from jaxtyping import Float
from torch import Tensor


def patchify(x: Float[Tensor, "b c h w"], p: int) -> Float[Tensor, "b n d"]:
    """Cut images into patches of p x p pixels.

    x [B, C, H, W] -> [B, N, p·p·C] with N = H/p · W/p; patches row by row, inside a patch (row, column, channel).
    ValueError where p divides not both sides. He et al., MAE, arXiv 2111.06377.
    """
    b, c, height, width = x.shape
    if height % p or width % p:
        raise ValueError(f"{height} x {width} pixels cannot be cut into patches of {p} x {p}")
    x = x.reshape(b, c, height // p, p, width // p, p)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(b, (height // p) * (width // p), p * p * c)


def unpatchify(t: Float[Tensor, "b n d"], p: int, grid: tuple[int, int]) -> Float[Tensor, "b c h w"]:
    """Put patches together again, the inverse of `patchify`: [B, N, p·p·C] -> [B, C, rows·p, columns·p].

    grid  (rows, columns) of patches
    """
    rows, columns = grid
    t = t.reshape(len(t), rows, columns, p, p, -1)
    return t.permute(0, 5, 1, 3, 2, 4).reshape(len(t), t.shape[-1], rows * p, columns * p)


def normalise(t: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
    """Each patch with mean 0 and variance 1 over all its values: (t − mean) / sqrt(var + 1e-6), var unbiased.

    The target of MAE, arXiv 2111.06377, section 4.1: "normalised pixels" are local contrast.
    """
    return (t - t.mean(dim=-1, keepdim=True)) / (t.var(dim=-1, keepdim=True) + 1e-6).sqrt()


def denormalise(t: Float[Tensor, "b n d"], like: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
    """The inverse: patches t with the mean and variance of the patches `like`, to look at them."""
    return t * (like.var(dim=-1, keepdim=True) + 1e-6).sqrt() + like.mean(dim=-1, keepdim=True)


def sincos_table(dim: int, grid: tuple[int, int], prefix: int = 0) -> Float[Tensor, "n d"]:
    """Fixed positions of a grid: row (y, x) is [sin xω, cos xω, sin yω, cos yω], ω_k = 10000^(−k / (dim/4)).

    dim     width, a multiple of 4 (ValueError otherwise)
    grid    (rows, columns)
    prefix  rows of zeros in front, one per token that is nowhere (the class token)

    Returns [prefix + N, dim] float32. Vaswani et al., arXiv 1706.03762, section 3.5, once per axis, as in MAE.
    """
    if dim % 4:
        raise ValueError(f"sine-cosine positions need a width that 4 divides, not {dim}")
    omega = 10000.0 ** (-torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in grid), indexing="ij")
    x_angle, y_angle = x.reshape(-1, 1) * omega, y.reshape(-1, 1) * omega  # [N, dim/4]
    table = torch.cat([x_angle.sin(), x_angle.cos(), y_angle.sin(), y_angle.cos()], dim=1)
    return torch.cat([table.new_zeros(prefix, dim), table]).float()
