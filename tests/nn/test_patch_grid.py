"""Patches are cut where they should be, and no patch knows of another."""

import pytest
import timm
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from unlabel.errors import Fault
from unlabel.nn import backbones
from unlabel.nn.patch_grid import PatchGrid, check_patches, layer_norms


class Corner(nn.Module):
    """Says the first and the last pixel of what it sees."""

    num_features = 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[:, 0, 0, 0], x[:, 0, -1, -1]], dim=1)


@pytest.mark.parametrize(
    ("size", "grid", "overlap", "patch", "stride"),
    [(256, 7, 0.5, 64, 32), (260, 6, 0.55, 80, 36), (30, 5, 0.5, 10, 5), (32, 7, 0.5, 8, 4), (32, 4, 0.0, 8, 8)],
)
def test_layouts_of_the_papers(size: int, grid: int, overlap: float, patch: int, stride: int) -> None:
    assert PatchGrid(Corner(), grid, overlap).layout(size) == (patch, stride)


def test_patches_are_parts_of_the_image_in_its_middle() -> None:
    network = PatchGrid(Corner(), 5, 0.5)
    x = torch.arange(32 * 32.0).view(1, 1, 32, 32).expand(2, 3, -1, -1)
    patches = network.cut(x)
    assert patches.shape == (2, 5, 5, 3, 10, 10)
    for i in range(5):
        for j in range(5):
            assert torch.equal(patches[:, i, j], x[:, :, 1 + 5 * i : 11 + 5 * i, 1 + 5 * j : 11 + 5 * j])
    seen = network.see(patches)
    assert seen.shape == (2, 5, 5, 2)
    assert seen[0, 2, 3].tolist() == [x[0, 0, 11, 16].item(), x[0, 0, 20, 25].item()]
    torch.testing.assert_close(network(x), seen.mean(dim=(1, 2)))


@pytest.mark.parametrize("name", ["tiny_resnet", "tiny_vit", "efficientnet_lite0"])
def test_no_patch_knows_of_another_even_in_training(name: str) -> None:
    network = PatchGrid(backbones.build(backbones.resolve(name, 32)), 7, 0.5).train()
    drops = [part for part in network.modules() if isinstance(part, nn.Dropout)]
    assert not any(part.p for part in drops)
    x = torch.randn(2, 3, 32, 32)
    patches = network.cut(x)
    together = network.see(patches)
    changed = patches.clone()
    changed[0, 3:] += 1
    again = network.see(changed)
    torch.testing.assert_close(again[0, :3], together[0, :3])
    torch.testing.assert_close(again[1], together[1])
    assert not torch.allclose(again[0, 3:], together[0, 3:])


def test_layer_norms_take_over_gains_offsets_and_activations() -> None:
    network = nn.Sequential(
        nn.BatchNorm2d(4, eps=1e-3), nn.Sequential(BatchNormAct2d(4)), nn.BatchNorm2d(4, affine=False)
    )
    with torch.no_grad():
        network[0].weight.uniform_(1, 2)
        network[0].bias.uniform_(-1, 1)
    gain, offset = network[0].weight, network[0].bias
    converted = layer_norms(network)
    assert converted is network and not [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert network[0].weight is gain and network[0].bias is offset and network[2].weight is None
    x = torch.randn(3, 4, 5, 5)
    mean, variance = x.mean(dim=(1, 2, 3), keepdim=True), x.var(dim=(1, 2, 3), keepdim=True, correction=0)
    expected = (x - mean) / (variance + 1e-3).sqrt() * gain.view(1, 4, 1, 1) + offset.view(1, 4, 1, 1)
    torch.testing.assert_close(network[0](x), expected, rtol=1e-4, atol=1e-5)
    assert (network[1](x) >= 0).all()


def test_no_batch_norm_is_left_in_selective_kernel_networks() -> None:
    network = layer_norms(timm.create_model("skresnet18", num_classes=0))
    assert not [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert network(torch.randn(1, 3, 32, 32)).shape == (1, 512)


def test_a_spec_with_a_grid_builds_it_and_says_so_in_plain_timm() -> None:
    from dataclasses import replace

    spec = replace(backbones.resolve("tiny_resnet", 32), grid=7, overlap=0.5)
    network = backbones.build(spec).eval()
    assert isinstance(network, PatchGrid) and network.num_features == 128
    scope: dict[str, object] = {}
    source = backbones.timm_snippet(spec)
    assert "unlabel" not in source
    exec(source, scope)
    model = scope["model"]
    model.load_state_dict(network.state_dict())
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(x), network(x))


def test_what_cannot_be_cut_or_seen_is_a_fault() -> None:
    network = PatchGrid(backbones.build(backbones.resolve("tiny_resnet", 32)), 16, 0.5)
    with pytest.raises(Fault, match="leave 3 px for each"):
        check_patches(network, 32)
    fixed = PatchGrid(backbones.build(backbones.resolve("swin_tiny_patch4_window7_224", 64)), 7, 0.5)
    with pytest.raises(Fault, match="cannot look at patches of 16 px"):
        check_patches(fixed, 64)
    sound = PatchGrid(backbones.build(backbones.resolve("tiny_resnet", 32)), 7, 0.5).train()
    check_patches(sound, 32)
    assert sound.training
