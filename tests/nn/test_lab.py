"""Lightness and colour: the colour space, and two networks made of one."""

import ast
import inspect

import pytest
import torch
from torch import Tensor, nn

from unlabel.nn import lab
from unlabel.nn.backbones import build, resolve
from unlabel.nn.lab import LabPair, lab_from_rgb
from unlabel.views import IMAGENET_MEAN, IMAGENET_STD


def pixel(*rgb: float) -> Tensor:
    return torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1)


def normalised(rgb: Tensor) -> Tensor:
    mean, std = (rgb.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (rgb - mean) / std


def test_it_is_kornias_lab() -> None:
    colour = pytest.importorskip("kornia.color")
    rgb = torch.rand(4, 3, 16, 16, dtype=torch.float64)
    rgb[0] = torch.linspace(0, 0.05, 3 * 256, dtype=torch.float64).view(
        3, 16, 16
    )  # where both curves are straight lines
    rgb[1, :, 0, 0], rgb[1, :, 0, 1] = 0.0, 1.0
    torch.testing.assert_close(lab_from_rgb(rgb), colour.rgb_to_lab(rgb), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((1.0, 1.0, 1.0), (100.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (53.24, 80.09, 67.20)),
        ((0.0, 1.0, 0.0), (87.73, -86.18, 83.18)),
        ((0.0, 0.0, 1.0), (32.30, 79.19, -107.86)),
    ],
)
def test_known_colours(rgb: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert lab_from_rgb(pixel(*rgb)).flatten().tolist() == pytest.approx(expected, abs=0.02)


def test_greys_have_no_colour() -> None:
    grey = torch.linspace(0, 1, 50, dtype=torch.float64).view(-1, 1, 1, 1).expand(-1, 3, 1, 1)
    found = lab_from_rgb(grey).flatten(1)
    assert found[:, 1:].abs().max() < 0.02 and (found[:, 0].diff() > 0).all()


def test_images_are_denormalised_first_and_lab_ends_in_minus_one_to_one() -> None:
    assert (lab.IMAGE_MEAN, lab.IMAGE_STD) == (IMAGENET_MEAN, IMAGENET_STD)
    pair = LabPair(build(resolve("tiny_resnet", 32)))
    rgb = torch.rand(2, 3, 32, 32)
    rgb[0] = torch.randint(0, 2, (3, 32, 32))  # the corners of the cube
    light, colour = pair.split(normalised(rgb))
    whole = lab_from_rgb(rgb)
    assert light.shape == (2, 1, 32, 32) and colour.shape == (2, 2, 32, 32)
    torch.testing.assert_close(light, (whole[:, :1] - 50) / 50, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(colour[:, 0], (whole[:, 1] - 6.025) / 92.208, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(colour[:, 1], (whole[:, 2] + 6.6895) / 101.1675, rtol=1e-4, atol=1e-4)
    assert max(light.abs().max(), colour.abs().max()) < 1.001


def test_half_precision_around_it_changes_nothing() -> None:
    pair, x = LabPair(build(resolve("tiny_resnet", 32))), torch.randn(2, 3, 32, 32)
    want = pair.split(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = pair.split(x)
    assert all(torch.equal(a, b) for a, b in zip(found, want, strict=True))


def same_lightness() -> tuple[Tensor, Tensor]:
    """Two images that differ in colour alone: each pixel red, or green of the same luminance."""

    def encoded(linear: Tensor) -> Tensor:
        return torch.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)

    y = 0.2 * torch.rand(2, 32, 32, dtype=torch.float64)  # all that red alone can reach
    nothing = torch.zeros_like(y)
    red = torch.stack((encoded(y / 0.212671), nothing, nothing), dim=1)
    green = torch.stack((nothing, encoded(y / 0.715160), nothing), dim=1)
    return normalised(red), normalised(green)


@pytest.mark.parametrize("name", ["tiny_resnet", "tiny_vit", "convnext_atto"])
def test_lightness_is_blind_to_colour(name: str) -> None:
    pair = LabPair(build(resolve(name, 32))).double().eval()
    with torch.no_grad():
        (light_1, colour_1), (light_2, colour_2) = (pair.both(x) for x in same_lightness())
    torch.testing.assert_close(light_1, light_2, rtol=1e-9, atol=1e-9)
    assert (colour_1 - colour_2).abs().max() > 1e-2


def test_colour_is_blind_to_lightness() -> None:
    pair = LabPair(build(resolve("tiny_resnet", 32))).eval()
    grey = torch.rand(2, 1, 32, 32).expand(-1, 3, -1, -1)
    with torch.no_grad():
        (light_1, colour_1), (light_2, colour_2) = (pair.both(normalised(x)) for x in (grey, 0.5 * grey))
    torch.testing.assert_close(colour_1, colour_2, rtol=1e-3, atol=1e-3)
    assert (light_1 - light_2).abs().max() > 1e-2


@pytest.mark.parametrize("name", ["tiny_resnet", "tiny_vit", "convnext_atto", "mobilenetv3_small_050"])
def test_features_of_both_stand_side_by_side(name: str) -> None:
    backbone = build(resolve(name, 32))
    before = {n: p.clone() for n, p in backbone.state_dict().items()}
    pair, x = LabPair(backbone).eval(), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        light, colour = pair.both(x)
        assert torch.equal(pair(x), torch.cat([light, colour], dim=1))
    assert pair.num_features == 2 * backbone.num_features == pair(x).shape[1]
    assert all(torch.equal(p, before[n]) for n, p in backbone.state_dict().items())


def test_first_layers_keep_the_scale_of_what_they_say() -> None:
    """As large for white noise of one or two channels as the given layer's for three; the rest is the given network."""
    backbone = build(resolve("tiny_resnet", 32))
    pair = LabPair(backbone)
    assert pair.lightness.conv1.weight.shape[1] == 1 and pair.colour.conv1.weight.shape[1] == 2
    torch.testing.assert_close(pair.lightness.conv1.weight, backbone.conv1.weight.sum(dim=1, keepdim=True))
    for name, p in backbone.named_parameters():
        if name != "conv1.weight":
            assert torch.equal(pair.lightness.get_parameter(name), p) and torch.equal(
                pair.colour.get_parameter(name), p
            )
    x = torch.randn(64, 3, 32, 32)
    scale = backbone.conv1(x).std()
    assert pair.lightness.conv1(x[:, :1]).std().item() == pytest.approx(scale.item(), rel=0.2)
    assert pair.colour.conv1(x[:, 1:]).std().item() == pytest.approx(scale.item() * 1.5**0.5, rel=0.2)


def test_a_network_without_rgb_convolution_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    network.num_features = 3
    with pytest.raises(ValueError, match="no convolution of Sequential"):
        LabPair(network)


def test_its_text_needs_nothing_of_ours() -> None:
    tree = ast.parse(inspect.getsource(lab))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules == {"copy", "torch"}
