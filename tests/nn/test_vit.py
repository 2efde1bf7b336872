from typing import Any

import pytest
import timm
import torch
from timm.models import VisionTransformer
from torch import Tensor

from unlabel.nn.masking import ids_from_mask
from unlabel.nn.patches import patchify, sincos_table, unpatchify
from unlabel.nn.vit import fix_positions, tokens

TINY = {"embed_dim": 32, "depth": 2, "num_heads": 2, "num_classes": 0, "img_size": 32, "patch_size": 8}
SHAPES = {
    "class token": {},
    "no class token": {"class_token": False, "global_pool": "avg"},
    "registers": {"reg_tokens": 4},
    "registers only": {"reg_tokens": 4, "class_token": False, "global_pool": "avg"},
    "norm before": {"pre_norm": True},
    "class without position": {"no_embed_class": True},
    "registers without position": {"no_embed_class": True, "reg_tokens": 4},
    "layer scale": {"init_values": 0.1, "qk_norm": True},
    "mean": {"global_pool": "avg", "fc_norm": False},
    "no positions": {"pos_embed": "none"},
}
every_shape = pytest.mark.parametrize("shape", SHAPES)


def small_vit(**kwargs: Any) -> VisionTransformer:
    vit = VisionTransformer(**{**TINY, **kwargs}).eval()
    with torch.no_grad():
        for token in (vit.cls_token, vit.reg_token):
            if token is not None:
                token.normal_()
        if vit.pos_embed is not None:
            vit.pos_embed.normal_()  # large enough that a wrong position shows
    return vit


@every_shape
@pytest.mark.parametrize("dynamic", [False, True])
def test_without_a_mask_it_is_timm_bit_for_bit(shape: str, dynamic: bool) -> None:
    vit = small_vit(**SHAPES[shape], dynamic_img_size=dynamic)
    x = torch.randn(3, 3, 32, 32)
    assert torch.equal(tokens(vit, x), vit.forward_features(x))


@every_shape
@pytest.mark.parametrize("side", [(16, 16), (16, 32), (48, 40)])
def test_other_sizes_are_timm_bit_for_bit(shape: str, side: tuple[int, int]) -> None:
    vit = small_vit(**SHAPES[shape], dynamic_img_size=True)
    x = torch.randn(2, 3, *side)
    assert torch.equal(tokens(vit, x), vit.forward_features(x))


def test_a_grid_that_is_not_square() -> None:
    vit = small_vit(img_size=(16, 32))
    x = torch.randn(2, 3, 16, 32)
    assert torch.equal(tokens(vit, x), vit.forward_features(x))


def test_timms_own_tiny_vit_in_training_mode() -> None:
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=2, num_classes=0)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(tokens(vit, x), vit.forward_features(x))


@every_shape
def test_keeping_all_patches_drops_none(shape: str) -> None:
    vit = small_vit(**SHAPES[shape])
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(tokens(vit, x, ids_keep=torch.arange(16).expand(2, -1)), vit.forward_features(x))


@every_shape
def test_dropped_patches_cannot_be_seen(shape: str) -> None:
    vit = small_vit(**SHAPES[shape])
    mask = torch.rand(2, 16).argsort(dim=1) < 12
    ids_keep, _ = ids_from_mask(mask)
    assert tokens(vit, torch.randn(2, 3, 32, 32), ids_keep=ids_keep).shape[1] == vit.num_prefix_tokens + 4
    gradient = pixel_gradient(lambda x: tokens(vit, x, ids_keep=ids_keep))
    assert (gradient[mask] == 0).all()
    assert (gradient[~mask].abs().amax(dim=-1) > 0).all()


def test_positions_stay_with_their_patches() -> None:
    """Attention knows no order: kept patches in another order give the same tokens in that order."""
    vit = small_vit().double()
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    ids = torch.randperm(16)[None, :6]
    order = torch.randperm(6)
    straight, turned = tokens(vit, x, ids_keep=ids), tokens(vit, x, ids_keep=ids[:, order])
    torch.testing.assert_close(straight[:, 1:][:, order], turned[:, 1:])
    torch.testing.assert_close(straight[:, :1], turned[:, :1])


@every_shape
def test_replaced_patches_cannot_be_seen_but_their_places_can(shape: str) -> None:
    vit = small_vit(**SHAPES[shape])
    mask = torch.rand(2, 16).argsort(dim=1) < 12
    mask_token = torch.randn(1, 1, 32, requires_grad=True)
    gradient = pixel_gradient(lambda x: tokens(vit, x, mask=mask, mask_token=mask_token))
    assert (gradient[mask] == 0).all()
    assert (gradient[~mask].abs().amax(dim=-1) > 0).all()
    assert mask_token.grad is not None and mask_token.grad.abs().sum() > 0
    out = tokens(vit, torch.randn(2, 3, 32, 32), mask=mask, mask_token=mask_token)
    first, second = mask[0].nonzero().flatten()[:2] + vit.num_prefix_tokens
    assert torch.allclose(out[0, first], out[0, second], atol=1e-5) == (shape == "no positions")


def test_replacing_nothing_changes_nothing() -> None:
    vit = small_vit()
    x, none = torch.randn(2, 3, 32, 32), torch.zeros(2, 16, dtype=torch.bool)
    assert torch.equal(tokens(vit, x, mask=none, mask_token=torch.randn(1, 1, 32)), vit.forward_features(x))


def test_a_mask_without_its_token_is_refused() -> None:
    with pytest.raises(ValueError, match="mask_token"):
        tokens(small_vit(), torch.randn(1, 3, 32, 32), mask=torch.ones(1, 16, dtype=torch.bool))


def test_visible_tokens_agree_with_lightly() -> None:
    other = pytest.importorskip("lightly.models.modules.masked_vision_transformer_timm")
    vit = small_vit()
    hosted = other.MaskedVisionTransformerTIMM(vit=vit)
    x = torch.randn(2, 3, 32, 32)
    ids_keep, _ = ids_from_mask(torch.rand(2, 16).argsort(dim=1) < 12)
    with_class = torch.cat([torch.zeros(2, 1, dtype=torch.int64), ids_keep + 1], dim=1)
    torch.testing.assert_close(tokens(vit, x, ids_keep=ids_keep), hosted.encode(x, idx_keep=with_class))


@every_shape
def test_fixed_positions(shape: str) -> None:
    vit = small_vit(**SHAPES[shape])
    if shape == "no positions":
        with pytest.raises(ValueError, match="no table"):
            fix_positions(vit)
        return
    keys = {name: tensor.shape for name, tensor in vit.state_dict().items()}
    fix_positions(vit)
    placed = 0 if vit.no_embed_class else vit.num_prefix_tokens
    assert torch.equal(vit.pos_embed[0], sincos_table(32, (4, 4), placed))
    assert not vit.pos_embed.requires_grad
    assert keys == {name: tensor.shape for name, tensor in vit.state_dict().items()}


def pixel_gradient(function: Any) -> Tensor:
    """|d function / d pixels| patch by patch: [2, 16, 3 * 8 * 8]."""
    x = torch.randn(2, 3, 32, 32, requires_grad=True)
    out = function(x)
    (out * torch.randn_like(out)).sum().backward()
    gradient = patchify(x.grad, 8)
    assert torch.equal(unpatchify(gradient, 8, (4, 4)), x.grad)
    return gradient
