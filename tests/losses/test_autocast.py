"""Under autocast an objective is as exact as without: its products are made in float32."""

from inspect import signature
from typing import get_args

import pytest
import torch

from unlabel.losses.objectives import OBJECTIVES, Objective, objective


@pytest.mark.parametrize("small", [False, True], ids=["views", "small-crops"])
@pytest.mark.parametrize(("name", "own"), [*((name, {}) for name in get_args(Objective)), ("simple", {"alpha": 0.5})])
def test_autocast_changes_nothing(name: Objective, own: dict[str, float], small: bool) -> None:
    torch.manual_seed(0)
    views = [torch.randn(16, 8).bfloat16().requires_grad_() for _ in range(3 if small else 2)]
    tempered = {"temperature": 0.2} if "temperature" in signature(OBJECTIVES[name]).parameters else {}
    loss = objective(name, **tempered, **own)
    given = {"small": views[2]} if small else {}
    exact = loss(*views[:2], **given)
    expected = torch.autograd.grad(exact, views)
    with torch.autocast("cpu", torch.bfloat16):
        half = loss(*views[:2], **given)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, exact, rtol=1e-6, atol=1e-6)
    for seen, wanted in zip(torch.autograd.grad(half, views), expected, strict=True):
        torch.testing.assert_close(seen, wanted)
