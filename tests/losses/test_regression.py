import pytest
import torch
from torch.autograd import gradcheck

from unlabel.losses import cosine_regression, negative_cosine


def test_same_orthogonal_and_opposite_directions() -> None:
    a = torch.tensor([[1.0, 2.0, 2.0]], dtype=torch.float64)
    orthogonal = torch.tensor([[2.0, -1.0, 0.0]], dtype=torch.float64)
    assert cosine_regression(a, 5 * a).item() == pytest.approx(0, abs=1e-30)
    assert cosine_regression(a, orthogonal).item() == pytest.approx(2, rel=1e-14)
    assert cosine_regression(a, -a).item() == pytest.approx(4, rel=1e-14)


def test_is_two_minus_two_cosines() -> None:
    q, z = torch.randn(7, 5, dtype=torch.float64), torch.randn(7, 5, dtype=torch.float64)
    slow = sum(2 - 2 * float(a @ b) / float(a.norm() * b.norm()) for a, b in zip(q, z, strict=True)) / 7
    assert cosine_regression(q, z).item() == pytest.approx(slow, rel=1e-13)


def test_agrees_with_lightly() -> None:
    lightly = pytest.importorskip("lightly.loss")
    q, z = torch.randn(7, 5, dtype=torch.float64), torch.randn(7, 5, dtype=torch.float64)
    theirs = 2 + 2 * lightly.NegativeCosineSimilarity()(q, z)
    assert cosine_regression(q, z).item() == pytest.approx(theirs.item(), rel=1e-12)


def test_gradient_turns_but_does_not_stretch() -> None:
    q = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    z = torch.randn(4, 5, dtype=torch.float64)
    assert gradcheck(cosine_regression, (q, z))
    cosine_regression(q, z).backward()
    assert (q * q.grad).sum(dim=1).abs().max() < 1e-15


def test_half_precision_is_compared_in_float32() -> None:
    q = torch.randn(4, 5).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = cosine_regression(q, 3 * q)
    assert loss.dtype == torch.float32
    assert loss.item() < 1e-4


def test_negative_cosine_of_same_orthogonal_and_opposite_directions() -> None:
    a = torch.tensor([[1.0, 2.0, 2.0]], dtype=torch.float64)
    orthogonal = torch.tensor([[2.0, -1.0, 0.0]], dtype=torch.float64)
    found = [negative_cosine(a, z).item() for z in (5 * a, orthogonal, -a)]
    assert found == pytest.approx([-1, 0, 1], abs=1e-14)


def test_negative_cosine_is_half_the_regression_less_one_and_lightlys() -> None:
    p, z = torch.randn(7, 5, dtype=torch.float64), torch.randn(7, 5, dtype=torch.float64)
    found = negative_cosine(p, z).item()
    assert found == pytest.approx(cosine_regression(p, z).item() / 2 - 1, rel=1e-13)
    lightly = pytest.importorskip("lightly.loss")
    assert found == pytest.approx(lightly.NegativeCosineSimilarity()(p, z).item(), rel=1e-12)


def test_negative_cosine_has_a_gradient_and_at_least_float32() -> None:
    p, z = (torch.randn(4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert gradcheck(negative_cosine, (p, z))
    q = torch.randn(4, 5).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = negative_cosine(q, 3 * q)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(-1, abs=1e-5)
