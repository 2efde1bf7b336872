import pytest
import timm
import torch

from unlabel.nn.drop_path import add_drop_path


def vit() -> torch.nn.Module:
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=8, patch_size=4, embed_dim=8, depth=3, num_heads=2, num_classes=0
    )


def test_rates_rise_with_depth_and_weights_stay() -> None:
    model = vit()
    names = set(model.state_dict())
    add_drop_path(model, 0.2)
    assert [block.drop_path1.drop_prob for block in model.blocks] == pytest.approx([0, 0.1, 0.2])
    assert [block.drop_path2.drop_prob for block in model.blocks] == pytest.approx([0, 0.1, 0.2])
    assert set(model.state_dict()) == names


def test_only_training_is_random() -> None:
    model, x = vit(), torch.randn(16, 3, 8, 8)
    plain = model.eval()(x)
    add_drop_path(model, 0.5)
    assert torch.equal(model.eval()(x), plain)
    assert not torch.equal(model.train()(x), plain)
