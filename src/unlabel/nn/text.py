"""A compact text transformer, as CLIP has it: ids of tokens in, one vector for each text out.

Radford et al., Learning Transferable Visual Models From Natural Language Supervision, arXiv 2103.00020, section 2.4.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

PAD, START, END = 0, 1, 2
"""Ids of what is no text: filling behind its end, its start, its end."""


class TextTransformer(nn.Module):
    """[B, L] ids -> [B, outputs]: pre-norm blocks that look back only, read where the text ends.

    vocabulary  number of ids
    context     the most tokens of a text, L at most
    outputs     width of the projection, which has no bias

    A position attends to itself and to those before it, so whatever stands behind the first END changes nothing:
    filling needs no mask. A row without END is read at its first token.
    """

    def __init__(self, *, vocabulary: int, context: int, width: int, depth: int, heads: int, outputs: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.empty(context, width))
        # The authors' start: what a block adds to the residual stream is the smaller the more blocks there are.
        added = (2 * width * depth) ** -0.5
        self.blocks = nn.ModuleList(Block(width, heads, added) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, outputs, bias=False)
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.01)
        nn.init.normal_(self.projection.weight, std=width**-0.5)

    def states(self, tokens: Int64[Tensor, "b l"]) -> Float[Tensor, "b l d"]:
        """What the last block says at every position, before norm and projection."""
        x = self.tokens(tokens) + self.positions[: tokens.shape[1]]  # [B, L, D]
        for block in self.blocks:
            x = block(x)
        return x

    def forward(self, tokens: Int64[Tensor, "b l"]) -> Float[Tensor, "b e"]:
        """The projected state at the end of each text."""
        ends = (tokens == END).int().argmax(dim=1)  # [B], the first of them
        x = self.states(tokens)[torch.arange(len(tokens), device=tokens.device), ends]  # [B, D]
        return self.projection(self.norm(x))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); no position sees a later one.

    added  standard deviation of the first weights of both layers whose output is added to x
    """

    def __init__(self, width: int, heads: int, added: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        starts = ((self.qkv, width**-0.5), (self.out, added), (self.wide, (2 * width) ** -0.5), (self.narrow, added))
        for layer, std in starts:
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
        """One layer of the transformer."""
        qkv = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1))  # [B, L, 3, heads, D/heads]
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # [B, heads, L, D/heads] each
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.narrow(quick_gelu(self.wide(self.norm2(x))))


def quick_gelu(x: Tensor) -> Tensor:
    """x sigmoid(1.702 x), the authors' GELU."""
    return x * torch.sigmoid(1.702 * x)
