"""Stochastic depth, put into a vision transformer that was built without it."""

from timm.layers import DropPath
from timm.models import VisionTransformer


def add_drop_path(vit: VisionTransformer, rate: float) -> None:
    """Skip each residual branch of block i of n, per image in training, with probability rate · i / (n − 1).

    In place; adds no parameters, so weights still fit a plain model.
    Huang et al., Deep Networks with Stochastic Depth, arXiv 1603.09382, with the linear rule of section 3.
    """
    last = max(len(vit.blocks) - 1, 1)
    for i, block in enumerate(vit.blocks):
        block.drop_path1 = DropPath(rate * i / last)
        block.drop_path2 = DropPath(rate * i / last)
