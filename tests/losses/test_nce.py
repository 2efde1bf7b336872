import math

import pytest
import torch
import torch.nn.functional as F

from unlabel.losses import nce


def test_it_is_binary_cross_entropy_with_the_log_density_ratio() -> None:
    data, noise = torch.randn(5, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    of_data, of_noise = torch.randn(5, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    logits = torch.cat([(data - of_data)[:, None], noise - of_noise], dim=1) - math.log(7)
    targets = torch.zeros_like(logits)
    targets[:, 0] = 1
    expected = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(dim=1)
    assert torch.allclose(nce(data, noise, log_noise_density=(of_data, of_noise)), expected)


@pytest.mark.parametrize(("k", "value"), [(1, 2 * math.log(2)), (10, 3.35100)])
def test_value_where_the_model_is_the_noise(k: int, value: float) -> None:
    found = nce(torch.full((3,), -2.0), torch.full((3, k), -2.0), log_noise_density=-2.0)
    assert found.tolist() == pytest.approx([value] * 3, abs=1e-5)


def test_order_of_noise_does_not_matter() -> None:
    data, noise = torch.randn(4), torch.randn(4, 9)
    shuffled = noise[:, torch.randperm(9)]
    assert torch.allclose(nce(data, noise, log_noise_density=-1.0), nce(data, shuffled, log_noise_density=-1.0))


def test_it_learns_the_normaliser_of_a_gaussian() -> None:
    draw = torch.Generator().manual_seed(0)
    data = torch.randn(20_000, generator=draw, dtype=torch.float64)
    noise = 2 * torch.randn(20_000, 5, generator=draw, dtype=torch.float64)
    c = torch.zeros((), dtype=torch.float64, requires_grad=True)

    def density(x: torch.Tensor) -> torch.Tensor:
        return -x.square() / 8 - math.log(2 * math.sqrt(2 * math.pi))  # of the noise

    optimiser = torch.optim.LBFGS([c], max_iter=50, line_search_fn="strong_wolfe")

    def step() -> torch.Tensor:
        optimiser.zero_grad()
        log_model = (-data.square() / 2 + c, -noise.square() / 2 + c)
        loss = nce(*log_model, log_noise_density=(density(data), density(noise))).mean()
        loss.backward()
        return loss

    optimiser.step(step)
    assert c.item() == pytest.approx(-0.5 * math.log(2 * math.pi), abs=0.02)


def test_the_gradient_vanishes_where_the_model_is_the_data() -> None:
    """In expectation over data and noise, on a space of four points: h is the share of data among data and noise."""
    data = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    noise = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    k, theta = 3, data.log().requires_grad_()

    def expected(model: torch.Tensor) -> torch.Tensor:
        """E over x ~ data of the first term, k times E over x ~ noise of the second."""
        pairs = [(x, y) for x in range(4) for y in range(4)]
        weights = torch.stack([data[x] * noise[y] for x, y in pairs])
        losses = torch.stack([
            nce(model[x][None], model[[y] * k][None], log_noise_density=(noise[x].log()[None], noise[[y] * k].log()[None]))[0]
            for x, y in pairs
        ])  # fmt: skip
        return (weights * losses).sum()

    (at_data,) = torch.autograd.grad(expected(theta), theta)
    assert at_data.abs().max() < 1e-12
    (elsewhere,) = torch.autograd.grad(expected(theta + torch.arange(4)), theta)
    assert elsewhere.abs().max() > 1e-2
