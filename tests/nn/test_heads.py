import pytest
import torch
import torch.nn.functional as F
from torch import nn

from unlabel.nn.heads import PrototypeHead, first_layers, mlp


def shape_of(head: nn.Sequential) -> list[str]:
    return [type(layer).__name__ for layer in head]


def test_defaults_are_simclrs_projector() -> None:
    head = mlp(6, 10, 4)
    assert shape_of(head) == ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d"]
    assert head[0].bias is None and head[3].bias is None
    assert head[1].bias is not None
    assert head[4].weight is not None and head[4].bias is None  # gain without offset
    assert head(torch.randn(5, 6)).shape == (5, 4)


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
def test_number_of_layers(layers: int) -> None:
    head = mlp(6, 10, 4, layers=layers, norm=None, last_norm=None, last_bias=True)
    linear = [layer for layer in head if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in linear] == [6, *[10] * (layers - 1)]
    assert [layer.out_features for layer in linear] == [*[10] * (layers - 1), 4]
    assert isinstance(head[-1], nn.Linear) and head[-1].bias is not None  # nothing follows the last


def test_norms() -> None:
    head = mlp(6, 10, 4, norm="plain", last_norm="batch", bias=True, activation=nn.GELU)
    assert shape_of(head) == ["Linear", "BatchNorm1d", "GELU", "Linear", "BatchNorm1d"]
    assert head[0].bias is not None
    assert head[1].weight is None and head[1].bias is None
    assert head[4].weight is not None and head[4].bias is not None


def small_head() -> PrototypeHead:
    return PrototypeHead(6, width=8, bottleneck=5, prototypes=11).double()


def test_prototype_head_returns_cosines() -> None:
    head, h = small_head(), torch.randn(3, 6, dtype=torch.float64)
    z = head.mlp(h)
    slow = [[(a @ w / a.norm() / w.norm()).item() for w in head.prototypes] for a in z]
    torch.testing.assert_close(head(h), torch.tensor(slow, dtype=torch.float64), rtol=1e-12, atol=1e-14)
    assert head(h).shape == (3, 11)


def test_prototype_head_layers_and_start() -> None:
    head = PrototypeHead(64, width=128, bottleneck=32, prototypes=256)
    assert shape_of(head.mlp) == ["Linear", "GELU", "Linear", "GELU", "Linear"]
    for layer in head.mlp:
        if isinstance(layer, nn.Linear):
            assert layer.bias.abs().max() == 0
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
    lengths = head.prototypes.norm(dim=1)
    assert lengths.mean().item() == pytest.approx(3**-0.5, rel=0.05)


def test_prototypes_are_a_weight_normalised_linear_layer_of_unit_gain() -> None:
    """Same values and same gradients as torch's weight norm, also after an update."""
    head = small_head()
    linear = nn.Linear(5, 11, bias=False).double()
    linear.weight.data.copy_(head.prototypes.data)
    normed = nn.utils.parametrizations.weight_norm(linear)
    weight = normed.parametrizations.weight
    weight.original0.data.fill_(1)
    weight.original0.requires_grad_(False)
    z = F.normalize(torch.randn(4, 5, dtype=torch.float64), dim=1)
    head.mlp = nn.Identity()
    for _ in range(2):
        (head(z) ** 3).sum().backward()
        (normed(z) ** 3).sum().backward()
        torch.testing.assert_close(head.prototypes.grad, weight.original1.grad, rtol=1e-12, atol=1e-14)
        for v in (head.prototypes, weight.original1):
            v.data -= 0.1 * v.grad
            v.grad = None
    assert head.prototypes.norm(dim=1).std() > 0  # the free rows have moved off the sphere; the cosines do not care
    torch.testing.assert_close(head(z), normed(z), rtol=1e-12, atol=1e-14)


def test_prototype_head_stays_in_float32_under_autocast() -> None:
    head, h = PrototypeHead(6, width=8, bottleneck=5, prototypes=11), torch.randn(3, 6)
    with torch.autocast("cpu", torch.bfloat16):
        cosines = head(h)
        z = head.mlp(h)
    assert z.dtype == torch.bfloat16 and cosines.dtype == torch.float32
    exact = F.normalize(z.double(), dim=1) @ F.normalize(head.prototypes.double(), dim=1).T
    assert (cosines - exact).abs().max() < 1e-6


@pytest.mark.parametrize(("count", "parts"), [(0, 0), (1, 3), (2, 6), (3, 8), (-1, 8)])
def test_first_layers_come_with_their_norm_and_activation(count: int, parts: int) -> None:
    head = mlp(6, 10, 4, layers=3)
    first = first_layers(head, count)
    assert len(first) == parts and all(a is b for a, b in zip(first, head, strict=False))
    with pytest.raises(ValueError, match="has 3 layers, not 4"):
        first_layers(head, 4)
