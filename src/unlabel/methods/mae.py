"""Masked Autoencoders Are Scalable Vision Learners (MAE).

He, Chen, Xie, Li, Dollár, Girshick. CVPR 2022, arXiv 2111.06377.

Hide three quarters of a picture; the encoder sees only the rest, and a small decoder paints what is missing.

Predecessors
    BEiT predicts the tokens of a tokeniser that must be trained first, and its encoder carries mask tokens through all
    layers. MAE predicts pixels and keeps mask tokens out of the encoder, which in the paper makes training three times
    as fast or more. It hides 75 % where BERT hides 15 % of a text, since patches tell more of their neighbours than
    words do.

Algorithm
    y        = patches of x, each normalised to mean 0 and variance 1     # [B, N, 3p²]
    m        ~ uniform, r N of N patches masked                           # [B, N]
    t        = patch embedding of x + positions                           # [B, N, D]
    h        = f([cls, t where m = 0])                                    # [B, 1 + (1 - r) N, D]
    ŷ        = g(h, with a mask token wherever m = 1, + positions)        # [B, N, 3p²]
    L        = mean of (ŷ - y)² over the values of masked patches         (section 3)

Flow
    image ─ view ─ patches ─┬─ the visible quarter ─ f ─┐
                            │          mask tokens ─────┴─ g ─ painted patches ──┐
                            └─ the masked patches, normalised ───────────────────┴─ squared error

Symbols
    f    backbone      a plain ViT, kept; evaluation sees the mean of its patch tokens, of the whole picture
    g    decoder       thrown away: decoder_width, decoder_depth, decoder_heads
    r    mask_ratio
    m    batch.masks   True = masked
    y    targets       of each patch only its pixels where norm_pixels is False

Departures
    The number of masked patches is r N rounded; the authors' code rounds that of visible ones down.
    Evaluation takes the mean of the patch tokens everywhere: the class token has no target of its own.
"""

from typing import ClassVar, final

import torch
from timm.layers import PatchEmbed
from timm.models import VisionTransformer
from torch import Tensor, nn
from torchvision.utils import make_grid

from unlabel.errors import Fault
from unlabel.losses.masked import masked_mse
from unlabel.methods.base import Method
from unlabel.nn.backbones import is_vit
from unlabel.nn.decoder import MaskDecoder
from unlabel.nn.masking import ids_from_mask
from unlabel.nn.patches import denormalise, normalise, patchify, unpatchify
from unlabel.nn.vit import fix_positions, tokens
from unlabel.optim.plan import Plan
from unlabel.views import Batch, RandomMask, Recipe, as_rgb, named

SHOWN = 8  # pictures in a grid


@final
class MAE(Method):
    """MAE: reconstruct the masked three quarters of a picture."""

    title = "MAE"
    family = "masked"
    paper = "2111.06377"
    year = 2021
    view_range = (1, 1)
    pool = "mean"
    host = "vit"
    limits: ClassVar = {
        "mask_ratio": (0.01, 0.99),
        "decoder_width": (4, 65536),
        "decoder_depth": (1, 64),
        "decoder_heads": (1, 256),
    }
    plan = Plan(
        optimiser="adamw", lr=1.5e-4, betas=(0.9, 0.95), weight_decay=0.05, warmup=0.05, batch_size=4096, epochs=800
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        mask_ratio: float = 0.75,
        decoder_width: int = 512,
        decoder_depth: int = 8,
        decoder_heads: int = 16,
        norm_pixels: bool = True,
    ) -> None:
        super().__init__()
        vit = _host(backbone)
        if decoder_width % 4 or decoder_width % decoder_heads:
            raise Fault(
                f"`decoder_width` {decoder_width} must be a multiple of 4 and of `decoder_heads` {decoder_heads}"
            )
        self.mask_ratio = mask_ratio
        self.norm_pixels = norm_pixels
        self.patch: int = vit.patch_embed.patch_size[0]
        self.backbone = vit
        self.decoder = MaskDecoder(
            vit.embed_dim,
            decoder_width,
            decoder_depth,
            decoder_heads,
            out_dim=vit.patch_embed.proj.in_channels * self.patch**2,
            grid=vit.patch_embed.grid_size,
            prefix=vit.num_prefix_tokens,
        )
        _initialise(self.backbone, self.decoder)

    def views(self, size: int) -> Recipe:
        """One lightly augmented view, and which of its patches are masked."""
        mask = RandomMask(ratio=self.mask_ratio, grid=self.backbone.patch_embed.grid_size)
        return Recipe(views=named("mae", size).views, mask=mask)

    def targets(self, x: Tensor) -> Tensor:
        """What the decoder should say: [B, 3, S, S] -> [B, N, 3p²], at least float32."""
        y = patchify(x.to(torch.promote_types(x.dtype, torch.float32)), self.patch)
        return normalise(y) if self.norm_pixels else y

    def reconstruct(self, x: Tensor, mask: Tensor) -> Tensor:
        """What the decoder says of every patch, seeing those with mask [B, N] = False: [B, N, 3p²]."""
        ids_keep, ids_restore = ids_from_mask(mask)
        return self.decoder(tokens(self.backbone, x, ids_keep=ids_keep), ids_restore)

    def loss(self, batch: Batch) -> Tensor:
        """Mean squared error on the masked patches; (3p² - 1)/3p² for a decoder that says nothing."""
        x, mask = _seen(batch)
        return masked_mse(self.reconstruct(x, mask), self.targets(x), mask)

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """(3p² - 1)/3p², for the variance of a patch is the unbiased one; of raw pixels it depends on the images."""
        values = self.decoder.predict.out_features
        return {"the decoder says every patch's mean": (values - 1) / values} if self.norm_pixels else {}

    @torch.no_grad()
    def picture(self, batch: Batch) -> dict[str, Tensor]:
        """Three rows: what the encoder saw, what the decoder made of it, the original.

        Visible patches are pasted over the decoder's output, which is not trained there. A reconstruction of
        normalised pixels is shown with the mean and contrast of the true patch.
        """
        x, mask = _seen(batch.rows(slice(SHOWN)))
        y = patchify(x.float(), self.patch)
        painted = self.reconstruct(x, mask).float()
        if self.norm_pixels:
            painted = denormalise(painted, like=y)
        view = named("mae", x.shape[-1]).views[0].for_channels(x.shape[1])
        mean, std = (x.new_tensor(values).view(-1, 1, 1) for values in (view.mean, view.std))
        hidden, grid = mask[..., None].expand_as(y), self.backbone.patch_embed.grid_size
        original, painted = (unpatchify(t, self.patch, grid) * std + mean for t in (y, torch.where(hidden, painted, y)))
        seen = original.masked_fill(unpatchify(hidden.float(), self.patch, grid) > 0, 0.5)  # grey
        shown = as_rgb(torch.cat([seen, painted, original]))
        rows = make_grid(shown, nrow=len(x), padding=2, pad_value=1.0)
        return {"reconstructions": (rows.clamp(0, 1) * 255).round().to(torch.uint8).cpu()}


def _host(backbone: nn.Module) -> VisionTransformer:
    """The backbone, if patches can be dropped from it and positions be told it."""
    if not is_vit(backbone) or type(backbone.patch_embed) is not PatchEmbed or backbone.pos_embed is None:
        raise Fault(
            f"MAE hides patches, so its backbone must be a plain ViT, not {type(backbone).__name__}: "
            "choose tiny_vit, small_vit, vit_small_patch16_224 or another `vit_..._patch...` of timm"
        )
    if backbone.embed_dim % 4:
        raise Fault(f"MAE's positions need a ViT of a width that 4 divides, not {backbone.embed_dim}")
    return backbone


def _seen(batch: Batch) -> tuple[Tensor, Tensor]:
    """The one view of a batch and its mask."""
    if batch.masks is None:
        raise ValueError("MAE needs batch.masks: make the batch with the recipe of `views`")
    return batch.views[0], batch.masks


def _initialise(vit: VisionTransformer, decoder: MaskDecoder) -> None:
    """The paper's start (appendix A.1): Xavier-uniform layers, fixed sine-cosine positions, small tokens."""
    for layer in (*vit.modules(), *decoder.modules()):
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    patches = vit.patch_embed.proj
    nn.init.xavier_uniform_(patches.weight.view(len(patches.weight), -1))  # as the matrix that it is
    if patches.bias is not None:
        nn.init.zeros_(patches.bias)
    for token in (vit.cls_token, vit.reg_token):
        if token is not None:
            nn.init.normal_(token, std=0.02)
    fix_positions(vit)
