import pytest
import timm
import torch
from torch import nn

from unlabel.errors import Fault
from unlabel.nn import backbones
from unlabel.nn.feature_map import by_place, feature_map, places
from unlabel.nn.heads import mlp
from unlabel.nn.lab import LabPair
from unlabel.nn.patch_grid import PatchGrid


@pytest.mark.parametrize(("name", "size", "side"), [
    ("tiny_resnet", 32, 2), ("small_resnet", 32, 4), ("small_resnet", 64, 4), ("tiny_vit", 32, 8),
])  # fmt: skip
def test_the_mean_over_places_is_what_the_backbone_says(name: str, size: int, side: int) -> None:
    backbone = backbones.build(backbones.resolve(name, size, pool="mean")).eval()
    x = torch.randn(2, 3, size, size)
    found = feature_map(backbone, x)
    assert found.shape == (2, backbone.num_features, side, side)
    torch.testing.assert_close(found.mean(dim=(2, 3)), backbone(x), rtol=1e-4, atol=1e-5)


class Deaf(nn.Module):
    """Attention to nothing but oneself."""

    def forward(self, x: torch.Tensor, **_: object) -> torch.Tensor:
        return x


def test_a_vits_places_are_its_patches_row_by_row() -> None:
    vit = backbones.build(backbones.resolve("tiny_vit", 32)).eval()
    for part in vit.blocks:  # without attention a token depends on its own patch only
        part.attn = Deaf()
    x = torch.randn(1, 3, 32, 32)
    changed = x.clone()
    changed[:, :, 8:12, 20:24] += 1  # the patch in row 2, column 5
    moved = (feature_map(vit, x) - feature_map(vit, changed)).abs().sum(dim=1)[0]
    assert moved.nonzero().tolist() == [[2, 5]]


def test_channels_that_come_last_are_put_first() -> None:
    swin = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, img_size=32, window_size=4, embed_dim=12,
                             depths=(1, 1), num_heads=(2, 2), patch_size=2).eval()  # fmt: skip
    x = torch.randn(1, 3, 32, 32)
    found = feature_map(swin, x)
    assert found.shape == (1, 24, 8, 8)
    torch.testing.assert_close(found.mean(dim=(2, 3)), swin(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "mixer_s32_224"])
def test_networks_without_such_a_map_are_refused(name: str) -> None:
    backbone = timm.create_model(name, num_classes=0)
    size = 224 if name.startswith("mixer") else 64
    with torch.no_grad():
        x = torch.randn(1, 3, size, size)
        backbone.num_features = backbone.eval()(x).shape[1]
        with pytest.raises(Fault, match="no feature map"):
            feature_map(backbone, x)


def test_a_head_by_place_is_a_convolution() -> None:
    head = mlp(3, 5, 4, bias=True, last_norm=None, last_bias=True)
    first, last = nn.Conv2d(3, 5, 1), nn.Conv2d(5, 4, 1)
    for conv, linear in ((first, head[0]), (last, head[3])):
        conv.weight.data.copy_(linear.weight[:, :, None, None])
        conv.bias.data.copy_(linear.bias)
    convolutions = nn.Sequential(first, nn.BatchNorm2d(5), nn.ReLU(), last)
    x = torch.randn(2, 3, 4, 6)
    torch.testing.assert_close(by_place(head, x), convolutions(x).flatten(2).mT)
    torch.testing.assert_close(head[1].running_var, convolutions[1].running_var)


def test_places_of_what_runs_keep() -> None:
    """Two networks side by side, a grid of patches, and one that goes on behind its maps."""
    x = torch.randn(2, 3, 32, 32)
    plain = backbones.build(backbones.resolve("tiny_resnet", 32)).eval()
    with torch.no_grad():
        torch.testing.assert_close(places(plain, x), feature_map(plain, x))
        pair = LabPair(plain).eval()
        both = places(pair, x)
        torch.testing.assert_close(both.mean(dim=(2, 3)), pair(x))
        grid = PatchGrid(plain, 3, 0.5).eval()
        found = places(grid, x)
        assert found.shape == (2, 128, 3, 3)
        torch.testing.assert_close(found.mean(dim=(2, 3)), grid(x))
        mobile = backbones.build(backbones.resolve("mobilenetv3_small_100", 32)).eval()
        assert places(mobile, x).ndim == 4
    with pytest.raises(Fault, match="no map of places"):
        places(nn.Linear(3, 3), x)
