"""A network's attention and where it should be."""

import torch
from jaxtyping import Float
from torch import Tensor


def attention_loss(
    heat: Float[Tensor, "b h w"], target: Float[Tensor, "b h w"], *, together: bool = False
) -> Float[Tensor, ""]:
    """The mean over images of 1 - cos(G_b, M_b), each map a vector of h w numbers.

    heat      [B, h, w] = G >= 0, the attention
    target    [B, h, w] = M >= 0, how much of each place is object
    together  the maps of all images as one vector, of one cosine, as the authors' code has it: images with more
              attention then weigh more

    In [0, 1]; 0 where and only where all G are proportional to M, or with `together` by one factor. An image without
    attention, or without an object, costs 1 and has a gradient that is finite. At least float32.
    Selvaraju, Desai, Johnson, Naik, CAST, CVPR 2021, arXiv 2012.04630, section 3.2.
    """
    precision = torch.promote_types(heat.dtype, torch.float32)
    rows = 1 if together else len(heat)
    g, m = (x.to(precision).reshape(rows, -1) for x in (heat, target))
    squares = g.square().sum(dim=1) * m.square().sum(dim=1)
    return (1 - (g * m).sum(dim=1) / torch.where(squares > 0, squares, 1).sqrt()).mean()
