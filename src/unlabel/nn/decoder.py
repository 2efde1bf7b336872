"""A narrow transformer that fills in what the encoder did not see."""

import torch
from jaxtyping import Float, Int64
from timm.layers import LayerNorm
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from unlabel.nn.masking import fill
from unlabel.nn.patches import sincos_table


class MaskDecoder(nn.Module):
    """Visible tokens in, a prediction for every patch out.

    dim_in         width of the encoder's tokens
    dim            width of the decoder, a multiple of 4 and of `heads`
    depth, heads   of its blocks
    out_dim        width of a prediction
    grid, prefix   (rows, columns) of patches, and the number of tokens in front of them

    He et al., MAE, arXiv 2111.06377, section 3; positions are fixed, the mask token is learned.
    """

    positions: Tensor

    def __init__(
        self, dim_in: int, dim: int, depth: int, heads: int, out_dim: int, grid: tuple[int, int], prefix: int
    ) -> None:
        super().__init__()
        self.prefix = prefix
        self.embed = nn.Linear(dim_in, dim)
        self.mask_token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.register_buffer("positions", sincos_table(dim, grid, prefix), persistent=False)  # [P + N, dim]
        self.blocks = nn.ModuleList([Block(dim, heads, qkv_bias=True, norm_layer=LayerNorm) for _ in range(depth)])
        self.norm = LayerNorm(dim)
        self.predict = nn.Linear(dim, out_dim)

    def forward(self, tokens: Float[Tensor, "b t d"], ids_restore: Int64[Tensor, "b n"]) -> Float[Tensor, "b n o"]:
        """tokens [B, P + v, dim_in], ids_restore [B, N] as `ids_from_mask` gives them -> [B, N, out_dim]."""
        t = self.embed(tokens)
        prefix, visible = t[:, : self.prefix], t[:, self.prefix :]
        t = torch.cat([prefix, fill(visible, self.mask_token, ids_restore)], dim=1)  # [B, P + N, dim]
        t = t + self.positions
        for block in self.blocks:
            t = block(t)
        return self.predict(self.norm(t[:, self.prefix :]))
