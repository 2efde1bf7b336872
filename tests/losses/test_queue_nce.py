import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses import queue_nce


def units(n: int, d: int = 5) -> Tensor:
    return F.normalize(torch.randn(n, d, dtype=torch.float64), dim=1)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_it_is_cross_entropy_of_the_first_column(temperature: float) -> None:
    q, k, u = units(4), units(4), units(9)
    logits = torch.cat([(q * k).sum(dim=1, keepdim=True), q @ u.T], dim=1) / temperature
    expected = F.cross_entropy(logits, torch.zeros(4, dtype=torch.int64), reduction="none")
    torch.testing.assert_close(queue_nce(q, k, u, temperature=temperature), expected, rtol=1e-8, atol=1e-12)


def test_equal_vectors_cost_log_of_one_plus_k() -> None:
    one = units(1)
    rows = queue_nce(one.expand(3, 5), one.expand(3, 5), one.expand(8, 5), temperature=0.07)
    torch.testing.assert_close(rows, torch.full((3,), math.log(9), dtype=torch.float64))


def test_gradient_in_the_queries() -> None:
    q, k, u = units(3), units(3), units(7)
    assert gradcheck(lambda x: queue_nce(x, k, u, temperature=0.3), (q.requires_grad_(),))


def test_half_precision_is_compared_in_float32() -> None:
    q, k, u = (x.bfloat16() for x in (units(4), units(4), units(9)))
    with torch.autocast("cpu", torch.bfloat16):
        rows = queue_nce(q, k, u, temperature=0.07)
    assert rows.dtype == torch.float32
    torch.testing.assert_close(
        rows.double(), queue_nce(q.double(), k.double(), u.double(), temperature=0.07), rtol=1e-4, atol=1e-4
    )
