"""Heads: small networks on top of a backbone, used in training and thrown away."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["batch", "gain", "plain"]
"""Batch norm with gain and offset ("batch"), with gain only ("gain"), with neither ("plain")."""


def mlp(
    inputs: int,
    hidden: int,
    outputs: int,
    *,
    layers: int = 2,
    norm: Norm | None = "batch",
    bias: bool = False,
    activation: type[nn.Module] = nn.ReLU,
    last_norm: Norm | None = "gain",
    last_bias: bool = False,
) -> nn.Sequential:
    """[B, inputs] -> [B, outputs] through `layers` linear layers; between two of them norm, then activation.

    layers              1 is a single linear map; 0 is nothing: [B, inputs] -> [B, inputs]
    norm, bias          of all layers but the last
    last_norm, last_bias of the last, which has no activation

    Every projector and predictor is one of these. The defaults are SimCLR's projector as its authors' code
    has it (no bias before a batch norm, the last batch norm without offset); other methods say what differs.
    """
    if layers == 0:
        return nn.Sequential()
    widths = [inputs, *[hidden] * (layers - 1), outputs]
    parts: list[nn.Module] = []
    for i in range(layers - 1):
        parts.append(nn.Linear(widths[i], widths[i + 1], bias=bias))
        if norm is not None:
            parts.append(_batch_norm(widths[i + 1], norm))
        parts.append(activation())
    parts.append(nn.Linear(widths[-2], widths[-1], bias=last_bias))
    if last_norm is not None:
        parts.append(_batch_norm(outputs, last_norm))
    return nn.Sequential(*parts)


def first_layers(head: nn.Sequential, count: int) -> nn.Sequential:
    """The first `count` linear layers of an `mlp`, each with the norm and activation behind it; the same modules.

    count  0 is nothing, the identity; -1 is all of them

    Fine-tuning from the middle of a head: Chen et al., SimCLR v2, arXiv 2006.10029, section 3. ValueError where the
    head has fewer layers.
    """
    starts = [i for i, part in enumerate(head) if isinstance(part, nn.Linear)]
    if not -1 <= count <= len(starts):
        raise ValueError(f"the head has {len(starts)} layers, not {count}")
    return head[: [*starts, len(head)][count]]


class PrototypeHead(nn.Module):
    """An MLP to a bottleneck, then the cosine with each of K prototypes.

    Linear(D, width) GELU Linear(width, width) GELU Linear(width, bottleneck) where `layers` is 3, l2-normalised, then
    the dot product with K unit vectors. DINO writes these as a weight-normalised linear layer whose gain is fixed to
    1; here the rows of `prototypes` are free and normalised where they are used, which is the same function
    and the same gradient.

    batch_norm  whether there is batch norm between the MLP's layers
    gains       whether each cosine is multiplied by a number that is learnt and starts at 1, instead of by 1

    Caron et al., DINO, arXiv 2104.14294, appendix C.
    """

    def __init__(
        self,
        inputs: int,
        *,
        width: int = 2048,
        bottleneck: int = 256,
        prototypes: int = 65536,
        layers: int = 3,
        batch_norm: bool = False,
        gains: bool = False,
    ) -> None:
        super().__init__()
        self.mlp = mlp(
            inputs,
            width,
            bottleneck,
            layers=layers,
            norm="batch" if batch_norm else None,
            bias=True,
            activation=nn.GELU,
            last_norm=None,
            last_bias=True,
        )
        for module in self.mlp:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        # The starting length of a row sets how fast its direction turns: 1/√3 here, as a plain linear
        # layer's.
        self.prototypes = nn.Parameter(torch.empty(prototypes, bottleneck).uniform_(-1, 1) / bottleneck**0.5)
        # A matrix of one column, as weight normalisation has it, and so decayed like one.
        self.gains = nn.Parameter(torch.ones(prototypes, 1)) if gains else None

    def last_layer(self) -> list[nn.Parameter]:
        """What turns the bottleneck into scores: the prototypes, and their gains where these are learnt."""
        return [self.prototypes] if self.gains is None else [self.prototypes, self.gains]

    def forward(self, h: Tensor) -> Tensor:
        """[B, D] -> cosines [B, K], times the gains where there are any."""
        z = self.mlp(h)  # [B, bottleneck]
        # At least float32: a bfloat16 cosine is off by up to 0.004, a tenth at temperature 0.04.
        with torch.autocast(z.device.type, enabled=False):
            z = F.normalize(z.to(torch.promote_types(z.dtype, torch.float32)), dim=-1)
            c = F.normalize(self.prototypes, dim=-1)
            return F.linear(z, c if self.gains is None else self.gains * c)


def _batch_norm(width: int, norm: Norm) -> nn.BatchNorm1d:
    layer = nn.BatchNorm1d(width, affine=norm != "plain")
    if norm == "gain":
        layer.register_parameter("bias", None)
    return layer
