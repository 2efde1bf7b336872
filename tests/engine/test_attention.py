"""Attention written out computes what the fused kernel does, and the choice between them is made once."""

import copy
import json

import pytest
import torch

from unlabel.engine import attention
from unlabel.engine.attention import explicit_is_faster, use_explicit_attention
from unlabel.nn import backbones


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "unlabel" / "attention.json"


def test_both_forms_give_the_same_features_and_gradients():
    fused = backbones.build(backbones.resolve("tiny_vit", 32)).double()
    explicit = copy.deepcopy(fused)
    use_explicit_attention(explicit)
    assert all(block.attn.fused_attn for block in fused.blocks)
    assert not any(block.attn.fused_attn for block in explicit.blocks)
    x = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    a, b = fused(x), explicit(x)
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    a.square().sum().backward(), b.square().sum().backward()
    for p, q in zip(fused.parameters(), explicit.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-8, atol=1e-10)


def test_what_was_measured_is_kept(own_cache, monkeypatch):
    answers = iter([True, False])
    monkeypatch.setattr(attention, "_measure", lambda *_: next(answers))
    assert explicit_is_faster(192, 3, 65, bf16=False) is True
    assert explicit_is_faster(192, 3, 65, bf16=False) is True
    assert explicit_is_faster(192, 3, 65, bf16=True) is False
    assert sorted(json.loads(own_cache.read_text()).values()) == [False, True]


@pytest.mark.parametrize("content", ["{", "[1, 2]", '{"a": "b"}', ""])
def test_a_damaged_cache_is_measured_again(own_cache, monkeypatch, content):
    own_cache.parent.mkdir()
    own_cache.write_text(content)
    monkeypatch.setattr(attention, "_measure", lambda *_: True)
    assert explicit_is_faster(192, 3, 65, bf16=False)


def test_without_a_place_for_the_cache_it_works(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(attention, "_measure", lambda *_: True)
    assert explicit_is_faster(192, 3, 65, bf16=False)


def test_measuring_leaves_the_generator_alone():
    before = torch.get_rng_state()
    assert explicit_is_faster(48, 3, 17, bf16=False) in (True, False)
    assert torch.equal(before, torch.get_rng_state())


def test_the_shape_of_a_vit_is_read_without_building_it():
    assert backbones.attention_shape(backbones.resolve("tiny_vit", 32)) == (192, 3, 65)
    assert backbones.attention_shape(backbones.resolve("vit_small_patch16_224", 224)) == (384, 6, 197)
    assert backbones.attention_shape(backbones.resolve("tiny_resnet", 32)) is None
