import pytest
import torch
from torch import nn

from unlabel.errors import Fault
from unlabel.nn import backbones
from unlabel.nn.maps import convolutional, grad_cam, last_maps, normalised, region_of_interest, similarity_map


@pytest.mark.parametrize("name", ["tiny_resnet", "mobilenetv3_small_100"])
def test_vectors_are_made_of_the_last_maps(name: str) -> None:
    backbone = backbones.build(backbones.resolve(name, 32)).eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        maps = last_maps(backbone, x)
        assert maps.ndim == 4 and maps.shape[2] == maps.shape[3]
        torch.testing.assert_close(convolutional(backbone).forward_head(maps), backbone(x))


def test_networks_without_maps_are_refused() -> None:
    vit = backbones.build(backbones.resolve("tiny_vit", 32))
    for network in (vit, nn.Linear(3, 3)):
        with pytest.raises(Fault, match="choose a network of convolutions"):
            last_maps(network, torch.randn(2, 3, 32, 32))


def test_grad_cam_by_hand() -> None:
    """A score that is linear in the maps: alpha is the mean of its slope."""
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    slope = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    score = (maps * slope).sum(dim=(1, 2, 3))
    heat = torch.einsum("bd,bdhw->bhw", slope.mean(dim=(2, 3)), maps)
    torch.testing.assert_close(grad_cam(maps, score, rectified=False), heat)
    torch.testing.assert_close(grad_cam(maps, score), heat.clamp(min=0))


def test_grad_cam_is_differentiable_through_its_weights_too() -> None:
    """y = sum A^3 / 3: alpha = mean A^2, so G = mean(A^2) A, and dG/dA has both parts."""
    maps = torch.rand(1, 1, 2, 3, dtype=torch.float64, requires_grad=True)

    def gradient(create_graph: bool) -> torch.Tensor:
        score = (maps**3).sum(dim=(1, 2, 3)) / 3
        total = grad_cam(maps, score, create_graph=create_graph).sum()
        return torch.autograd.grad(total, maps)[0]

    a = maps.detach()
    through_maps = (a**2).mean().expand_as(a)
    through_weights = 2 * a / a.numel() * a.sum()
    torch.testing.assert_close(gradient(False), through_maps)
    torch.testing.assert_close(gradient(True), through_maps + through_weights)


def test_maps_are_stretched_from_0_to_1() -> None:
    heat = torch.randn(3, 4, 4, dtype=torch.float64)
    heat[1] = 5.0
    shown = normalised(heat)
    assert shown.amin(dim=(1, 2)).tolist() == [0, 0, 0] and shown[0].max() == 1 and shown[2].max() == 1
    assert shown[1].max() == 0
    torch.testing.assert_close(normalised(3 * heat[:1] + 2), shown[:1])


def test_a_flat_map_has_a_finite_gradient() -> None:
    heat = torch.zeros(1, 3, 3, requires_grad=True)
    normalised(heat).square().sum().backward()
    assert heat.grad.isfinite().all()


def test_regions_are_boxes_around_what_is_hot() -> None:
    maps = torch.zeros(4, 2, 8, 8)
    maps[0, 0, 2:4, 3:7] = 1.0
    maps[1] = 1.0  # everywhere the same: nothing is said
    maps[2, :, 0, 0] = 5.0
    maps[3, 0, 1, 1], maps[3, 1, 6, 5] = 1.0, 0.5  # the sum over channels
    regions, heat = region_of_interest(maps, 8, threshold=0.1)
    assert regions.tolist() == [
        [2 / 8, 3 / 8, 4 / 8, 7 / 8], [0, 0, 1, 1], [0, 0, 1 / 8, 1 / 8], [1 / 8, 1 / 8, 7 / 8, 6 / 8]
    ]  # fmt: skip
    assert heat.tolist() == [1, 0, 10, 1]
    regions, _ = region_of_interest(maps[3:], 8, threshold=0.6)
    assert regions.tolist() == [[1 / 8, 1 / 8, 2 / 8, 2 / 8]]


def test_regions_are_those_of_the_resized_heat() -> None:
    """Where bilinear interpolation, from a peak of 1 down to 0, is above the threshold."""
    maps = torch.zeros(1, 1, 4, 4)
    maps[0, 0, 1, 2] = 1.0
    (region,), _ = region_of_interest(maps, 32, threshold=0.5)
    # The peak's cell has its middle at 12 and 20; a cell is 8 pixels; the heat is above 1/2 within 4 pixels of it.
    assert region.tolist() == [8 / 32, 16 / 32, 16 / 32, 24 / 32]


class Averaged(nn.Module):
    """Two maps, channels of the image, averaged."""

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :2]

    def forward_head(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


def test_what_makes_an_image_like_its_key_by_hand() -> None:
    """f = (3, 4), so cos = 0.6 and its slope along key (1, 0) is ((1, 0) - 0.6 (0.6, 0.8)) / 5 = (0.128, -0.096)."""
    x = torch.zeros(1, 3, 2, 2)
    x[0, 0] = torch.tensor([[12.0, 0.0], [0.0, 0.0]])
    x[0, 1] = torch.tensor([[4.0, 4.0], [8.0, 0.0]])
    heat = similarity_map(Averaged(), x, torch.tensor([[7.0, 0.0]]))
    # In units of 0.032 / 4: 4 * 12 - 3 * 4 = 36, -12, -24, 0; what is below zero becomes 0, the largest 1.
    torch.testing.assert_close(heat[0], torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    same = similarity_map(Averaged(), x, torch.tensor([[3.0, 4.0]]))
    assert same.shape == (1, 2, 2) and not heat.requires_grad


def test_it_follows_the_key() -> None:
    x = torch.zeros(2, 3, 2, 2)
    x[:, 0, 0, 0], x[:, 1, 1, 1] = 1.0, 1.0
    heat = similarity_map(Averaged(), x, torch.eye(2))
    torch.testing.assert_close(heat, torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]]))
