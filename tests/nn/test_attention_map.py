from typing import Any

import pytest
import timm
import torch
from torch import nn

from tests.nn.test_vit import small_vit
from unlabel.engine.attention import use_explicit_attention
from unlabel.errors import Fault
from unlabel.nn import backbones
from unlabel.nn.attention_map import last_attention, reads_class_token, to_most

SHAPES = {
    "class token": {},
    "no class token": {"class_token": False, "global_pool": "avg"},
    "registers": {"reg_tokens": 4},
    "mean": {"global_pool": "avg", "fc_norm": False},
    "normalised": {"qk_norm": True, "qkv_bias": True, "init_values": 0.1},
}


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_softmax_of_queries_and_keys(shape: str, explicit: bool) -> None:
    """Written out for each head by itself, from the tokens that enter the last block."""
    vit = small_vit(**SHAPES[shape])
    if explicit:
        use_explicit_attention(vit)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        found = last_attention(vit, x)
        tokens = vit._pos_embed(vit.patch_embed(x))
        tokens = vit.blocks[0](vit.norm_pre(tokens))
        block, d = vit.blocks[1], 16
        weight, bias = block.attn.qkv.weight, block.attn.qkv.bias
        entering = block.norm1(tokens)
        prefix = vit.num_prefix_tokens
        for head in range(2):
            rows = slice(head * d, (head + 1) * d)
            q, k = (
                entering @ weight[part * 32 : (part + 1) * 32][rows].T
                + (bias[part * 32 : (part + 1) * 32][rows] if bias is not None else 0)
                for part in range(2)
            )
            q, k = block.attn.q_norm(q), block.attn.k_norm(k)
            asks = q[:, :1] if shape in ("class token", "registers", "normalised") else q[:, prefix:]
            scores = torch.einsum("bqd,btd->bqt", asks, k) / d**0.5
            expected = (scores.exp() / scores.exp().sum(dim=2, keepdim=True)).mean(dim=1)[:, prefix:]
            torch.testing.assert_close(found[:, head].flatten(1), expected, rtol=1e-4, atol=1e-6)
    assert found.shape == (2, 2, 4, 4)
    assert (found.sum(dim=(2, 3)) <= 1 + 1e-5).all()


def test_a_head_that_looks_for_one_patch_finds_it() -> None:
    """Only one patch has a key, and the class token asks for just that."""
    vit = small_vit(depth=1, num_heads=1, pos_embed="none")
    attention = vit.blocks[0].attn
    with torch.no_grad():
        vit.blocks[0].norm1 = nn.Identity()
        vit.cls_token.zero_()[..., 0] = 10.0
        vit.patch_embed.proj.weight.zero_()[1, 0] = 1.0  # channel 1 of a token: how red its patch is
        vit.patch_embed.proj.bias.zero_()
        attention.qkv.weight.zero_()
        attention.qkv.weight[5, 0] = 1.0  # the query of the class token
        attention.qkv.weight[32 + 5, 1] = 1.0  # the key of what is red
        if attention.qkv.bias is not None:
            attention.qkv.bias.zero_()
        x = torch.zeros(1, 3, 32, 32)
        x[:, 0, 8:16, 24:32] = 1.0
        found = last_attention(vit, x)[0, 0]
    assert found[1, 3] > 0.99 and found.argmax() == 7


def test_hooks_are_gone_and_nothing_changed() -> None:
    vit = backbones.build(backbones.resolve("tiny_vit", 32)).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        before = vit(x)
        last_attention(vit, x)
        assert torch.equal(vit(x), before)
    attention = vit.blocks[-1].attn
    assert not attention.attn_drop._forward_pre_hooks and attention.fused_attn == vit.blocks[0].attn.fused_attn


def test_the_vector_says_whose_attention_it_is() -> None:
    assert reads_class_token(small_vit())
    assert not reads_class_token(small_vit(global_pool="avg", fc_norm=False))


def other(name: str, **options: Any) -> nn.Module:
    """A transformer of another kind of timm's, made small: 16 patches of 32 pixels."""
    shape = {"img_size": 32, "patch_size": 8, "depth": 2, "embed_dim": 48, "num_heads": 2, "num_classes": 0}
    torch.manual_seed(0)
    return timm.create_model(name, **(shape | options)).eval()


def test_beit_attends_with_its_relative_positions() -> None:
    beit = other("beit_base_patch16_224", global_pool="token")
    attention = beit.blocks[-1].attn
    nn.init.normal_(attention.relative_position_bias_table)
    seen: list[torch.Tensor] = []
    attention.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        found = last_attention(beit, x)
        q, k = (
            torch.nn.functional.linear(torch.cat(seen), weight).unflatten(2, (2, 24)).transpose(1, 2)
            for weight in attention.qkv.weight.chunk(3)[:2]
        )
        q = q + attention.q_bias.view(1, 2, 1, 24)
        table, place = attention.relative_position_bias_table, attention.relative_position_index
        scores = (q @ k.mT)[:, :, 0] / 24**0.5 + table[place[0]].T
        torch.testing.assert_close(found.flatten(2), scores.softmax(dim=-1)[:, :, 1:])


@pytest.mark.parametrize(
    "name", ["eva02_tiny_patch14_224", "deit_tiny_distilled_patch16_224", "vit_medium_patch16_rope_reg1_gap_256"]
)
def test_other_transformers_show_theirs(name: str) -> None:
    network = other(name)
    with torch.no_grad():
        x = torch.randn(2, 3, 32, 32)
        before = network(x)
        found = last_attention(network, x)
        assert torch.equal(network(x), before)
    assert found.shape == (2, 2, 4, 4) and (found > 0).all() and (found.sum(dim=(2, 3)) < 1).all()


def test_networks_without_such_attention_are_refused() -> None:
    swin = timm.create_model("swin_tiny_patch4_window7_224", img_size=56, depths=(1, 1), embed_dim=24, num_heads=(2, 2))
    for network in (backbones.build(backbones.resolve("tiny_resnet", 32)), swin, nn.Linear(3, 3)):
        with pytest.raises(Fault, match="choose a ViT"):
            last_attention(network, torch.randn(1, 3, 32, 32))


def test_maps_are_divided_by_their_largest_value() -> None:
    found = to_most(torch.tensor([[[1.0, 2.0]], [[3.0, 3.0]], [[0.0, 0.0]]]))
    assert found.tolist() == [[[0.5, 1.0]], [[1.0, 1.0]], [[0.0, 0.0]]]
