import pytest
import torch
from torch import Tensor, nn

from unlabel.optim import LARS


def slow_lars(
    p: Tensor, gradients: list[Tensor], *, lr: float, decay: float, momentum: float, trust: float, adapt: bool
) -> Tensor:
    """The rule, parameter by parameter, in the order in which it is written."""
    p, m = p.clone(), torch.zeros_like(p)
    for g in gradients:
        g = g + decay * p
        length, slope = float(p.norm()), float(g.norm())
        if adapt and length > 0 and slope > 0:
            g = g * trust * length / slope
        m = momentum * m + g
        p = p - lr * m
    return p


def run(starts: list[Tensor], gradients: list[list[Tensor]], **options) -> list[Tensor]:
    parameters = [nn.Parameter(p.clone()) for p in starts]
    optimiser = LARS(parameters, **options)
    for step in gradients:
        for p, g in zip(parameters, step, strict=True):
            p.grad = g.clone()
        optimiser.step()
    return [p.detach() for p in parameters]


@pytest.mark.parametrize("adapt", [True, False])
def test_is_the_rule(adapt: bool) -> None:
    starts = [torch.randn(4, 3, dtype=torch.float64), torch.randn(2, 3, 3, 3, dtype=torch.float64)]
    gradients = [[torch.randn_like(p) for p in starts] for _ in range(4)]
    found = run(starts, gradients, lr=3.0, momentum=0.8, weight_decay=0.05, trust=0.02, adapt=adapt)
    for i, start in enumerate(starts):
        own = [step[i] for step in gradients]
        expected = slow_lars(start, own, lr=3.0, decay=0.05, momentum=0.8, trust=0.02, adapt=adapt)
        torch.testing.assert_close(found[i], expected, rtol=1e-12, atol=1e-14)


def test_agrees_with_timm_without_weight_decay() -> None:
    """With decay timm divides by the sum of the norms, as the paper, and the two part ways."""
    optim = pytest.importorskip("timm.optim")
    start = torch.randn(5, 4, dtype=torch.float64)
    theirs = nn.Parameter(start.clone())
    oracle = optim.Lars([theirs], lr=2.0, momentum=0.9, trust_coeff=0.001, eps=0.0, always_adapt=True)
    gradients = [[torch.randn_like(start)] for _ in range(5)]
    for (g,) in gradients:
        theirs.grad = g.clone()
        oracle.step()
    (ours,) = run([start], gradients, lr=2.0, momentum=0.9)
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-14)


def test_the_first_step_is_a_fixed_share_of_the_weights_length() -> None:
    start = torch.randn(6, 6, dtype=torch.float64)
    for scale in (1e-6, 1.0, 1e6):  # whatever the gradient's length
        (moved,) = run([start], [[scale * torch.randn_like(start)]], lr=2.0, trust=0.001)
        assert ((moved - start).norm() / start.norm()).item() == pytest.approx(0.002, rel=1e-12)


def test_zero_weights_and_zero_gradients_are_not_rescaled() -> None:
    g = torch.randn(3, 2, dtype=torch.float64)
    (from_zero,) = run([torch.zeros_like(g)], [[g]], lr=0.5)
    torch.testing.assert_close(from_zero, -0.5 * g, rtol=1e-15, atol=0)
    (unmoved,) = run([g], [[torch.zeros_like(g)]], lr=0.5)
    assert torch.equal(unmoved, g)


def test_parameters_without_gradient_stay_and_state_is_saved() -> None:
    a, b = nn.Parameter(torch.randn(2, 2)), nn.Parameter(torch.randn(2, 2))
    before = b.detach().clone()
    optimiser = LARS([a, b], lr=1.0, weight_decay=0.1)
    a.grad = torch.randn(2, 2)
    optimiser.step()
    assert torch.equal(b, before)
    resumed = LARS([a, b], lr=1.0, weight_decay=0.1)
    resumed.load_state_dict(optimiser.state_dict())
    assert torch.equal(resumed.state[a]["momentum"], optimiser.state[a]["momentum"])


def test_step_returns_what_its_closure_returns() -> None:
    p = nn.Parameter(torch.ones(2, 2))

    def closure() -> float:
        loss = (p**2).sum()
        loss.backward()
        return loss.item()

    assert LARS([p], lr=1.0).step(closure) == 4.0
    assert p.detach().max() < 1
