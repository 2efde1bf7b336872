import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from unlabel.losses.patchnce import patch_nce


def unit(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return F.normalize(torch.randn(*shape, dtype=dtype), dim=-1)


def masked_diagonal(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    """The other way to write it: the positive in front, then the similarities with a diagonal of -10."""
    positive = (query * key).sum(dim=2, keepdim=True)  # [B, S, 1]
    negative = query @ key.transpose(1, 2)  # [B, S, S]
    negative = negative.masked_fill(torch.eye(query.shape[1], dtype=torch.bool), -10.0)
    logits = torch.cat((positive, negative), dim=2).flatten(0, 1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long), reduction="none").view(query.shape[:2])


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_is_the_formula_place_by_place(temperature: float) -> None:
    q, k = unit(2, 5, 4), unit(2, 5, 4)
    loss = patch_nce(q, k, temperature=temperature)
    for b in range(2):
        for s in range(5):
            terms = [math.exp(float(q[b, s] @ k[b, t]) / temperature) for t in range(5)]
            assert loss[b, s].item() == pytest.approx(-math.log(terms[s] / sum(terms)), rel=1e-12)


def test_equals_the_form_with_a_masked_diagonal() -> None:
    q, k = unit(3, 64, 256), unit(3, 64, 256)
    torch.testing.assert_close(patch_nce(q, k), masked_diagonal(q, k, 0.07), rtol=0, atol=1e-5)


def test_patches_that_cannot_be_told_apart_cost_log_s() -> None:
    same = unit(1, 1, 8).expand(2, 256, 8)
    torch.testing.assert_close(patch_nce(same, same), torch.full((2, 256), math.log(256), dtype=torch.float64))
    # One place has nothing to be confused with: 0, up to the last digit of a similarity of 1 / 0.07.
    assert patch_nce(same[:, :1], same[:, :1]).abs().max() < 1e-14


def test_the_right_keys_cost_little_and_shuffled_ones_at_least_log_s() -> None:
    k = unit(1, 256, 256)
    shuffled = k[:, torch.randperm(256)]
    assert patch_nce(k, k).mean() < 0.05
    assert patch_nce(k, shuffled).mean() > math.log(256)


def test_negatives_come_from_the_same_image_only() -> None:
    q, k = unit(2, 16, 8), unit(2, 16, 8)
    torch.testing.assert_close(patch_nce(q, k)[:1], patch_nce(q[:1], k[:1]), rtol=0, atol=0)


def test_the_gradient_reaches_queries_and_no_keys() -> None:
    q, k = unit(2, 4, 3).requires_grad_(), unit(2, 4, 3).requires_grad_()
    patch_nce(q, k).sum().backward()
    assert k.grad is None
    assert q.grad is not None and q.grad.abs().min() > 0
    assert gradcheck(lambda query: patch_nce(query, k.detach(), temperature=0.3), (q,))


def test_half_precision_is_summed_in_single() -> None:
    q, k = unit(1, 64, 32), unit(1, 64, 32)
    low = patch_nce(q.bfloat16(), k.bfloat16())
    assert low.dtype == torch.float32
    exact = patch_nce(q.bfloat16().double(), k.bfloat16().double())
    torch.testing.assert_close(low.double(), exact, rtol=1e-5, atol=1e-5)
