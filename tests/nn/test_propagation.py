import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck

from unlabel.nn.propagation import PixelPropagation


def propagation(gamma: float = 2.0, layers: int = 1) -> PixelPropagation:
    return PixelPropagation(4, gamma=gamma, layers=layers).double()


def features(b: int = 2, n: int = 6) -> torch.Tensor:
    return torch.randn(b, n, 4, dtype=torch.float64)


@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.5])
def test_is_the_formula_place_by_place(gamma: float) -> None:
    module, x = propagation(gamma), features()
    y = module(x)
    for b in range(2):
        g = [module.transform(v[None])[0] for v in x[b]]
        for i in range(6):
            total = torch.zeros(4, dtype=torch.float64)
            for j in range(6):
                cosine = float(F.cosine_similarity(x[b, i], x[b, j], dim=0).detach())
                total += max(cosine, 0.0) ** gamma * (g[j] / g[j].norm()).detach()
            torch.testing.assert_close(y[b, i].detach(), total / total.norm(), rtol=1e-10, atol=1e-12)


def test_a_large_gamma_leaves_each_place_what_it_says_itself() -> None:
    module, x = propagation(gamma=2000.0), features()
    own = F.normalize(module.transform(x.flatten(0, 1)).view_as(x), dim=2)
    torch.testing.assert_close(module(x), own, rtol=1e-6, atol=1e-6)


def test_gamma_zero_makes_all_places_the_same() -> None:
    """0 to the power of 0 is 1: places that are opposite count as much as all others."""
    y = propagation(gamma=0.0)(features())
    torch.testing.assert_close(y, y[:, :1].expand_as(y), rtol=1e-12, atol=1e-12)
    assert (y[0] - y[1]).abs().max() > 1e-3  # images stay apart


def test_the_order_of_places_is_kept() -> None:
    module, x, order = propagation(), features(), torch.randperm(6)
    torch.testing.assert_close(module(x[:, order]), module(x)[:, order], rtol=1e-12, atol=1e-14)


def test_vectors_have_length_one_whatever_the_lengths_that_go_in() -> None:
    module, x = propagation(layers=0), features()
    torch.testing.assert_close(module(x).norm(dim=2), torch.ones(2, 6, dtype=torch.float64))
    torch.testing.assert_close(module(x * (1 + torch.rand(2, 6, 1))), module(x))


@pytest.mark.parametrize(("layers", "kinds"), [
    (0, []), (1, ["Linear"]), (2, ["Linear", "BatchNorm1d", "ReLU", "Linear"]),
])  # fmt: skip
def test_the_transform_has_so_many_layers(layers: int, kinds: list[str]) -> None:
    transform = propagation(layers=layers).transform
    found = [] if isinstance(transform, nn.Identity) else [type(part).__name__ for part in transform]
    assert found == kinds
    assert all(part.bias is not None for part in transform.modules() if isinstance(part, nn.Linear))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_gradients_are_finite_where_places_do_not_resemble(gamma: float) -> None:
    module, x = propagation(gamma), features(1, 3).requires_grad_()
    opposite = torch.cat([x, -x], dim=1)
    module(opposite).square().sum().backward()
    assert x.grad.isfinite().all()
    assert gradcheck(module, (features(1, 3).requires_grad_(),))


def test_half_precision_is_compared_in_float32() -> None:
    module = PixelPropagation(4, layers=0)
    x = torch.randn(1, 5, 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y = module(x)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.double(), module.double()(x.double()), rtol=1e-5, atol=1e-5)
