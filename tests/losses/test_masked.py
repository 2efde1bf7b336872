import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from unlabel.losses.masked import masked_mse


def example(b: int = 3, n: int = 5, d: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    mask = torch.rand(b, n) < 0.6
    mask[0, 0], mask[0, 1] = True, False
    return torch.randn(b, n, d, dtype=torch.float64), torch.randn(b, n, d, dtype=torch.float64), mask


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(2, 6), st.integers(1, 5), st.integers(0, 1000))
def test_equals_the_slow_formula(b: int, n: int, d: int, seed: int) -> None:
    torch.manual_seed(seed)
    prediction, target, mask = example(b, n, d)
    total, count = 0.0, 0
    for i in range(b):
        for j in range(n):
            if mask[i, j]:
                total += sum((float(prediction[i, j, k]) - float(target[i, j, k])) ** 2 for k in range(d)) / d
                count += 1
    torch.testing.assert_close(masked_mse(prediction, target, mask), torch.tensor(total / count, dtype=torch.float64))


def test_gradcheck() -> None:
    prediction, target, mask = example()
    assert torch.autograd.gradcheck(lambda p: masked_mse(p, target, mask), prediction.requires_grad_())


def test_only_masked_patches_count() -> None:
    prediction, target, mask = example()
    loss = masked_mse(prediction, target, mask)
    elsewhere = torch.where(mask[..., None], prediction, 100 * torch.randn_like(prediction))
    assert torch.equal(masked_mse(elsewhere, target, mask), loss)
    there = torch.where(mask[..., None], prediction + 1, prediction)
    assert not torch.equal(masked_mse(there, target, mask), loss)


def test_visible_patches_get_no_gradient() -> None:
    prediction, target, mask = example()
    prediction.requires_grad_()
    masked_mse(prediction, target, mask).backward()
    assert (prediction.grad[~mask] == 0).all() and (prediction.grad[mask] != 0).all()


def test_everything_masked_is_the_plain_mean() -> None:
    prediction, target, _ = example()
    everything = torch.ones(3, 5, dtype=torch.bool)
    torch.testing.assert_close(
        masked_mse(prediction, target, everything), torch.nn.functional.mse_loss(prediction, target)
    )


def test_nothing_masked_is_zero() -> None:
    prediction, target, mask = example()
    assert masked_mse(prediction, target, torch.zeros_like(mask)) == 0


def test_half_precision_is_summed_in_full() -> None:
    prediction, target, mask = example(64, 64, 48)
    loss = masked_mse(prediction.half() * 100, target, mask)
    assert loss.dtype == torch.float64
    low = masked_mse(prediction.half() * 100, target.half(), mask)
    assert low.dtype == torch.float32  # the sum of squares, 4e7, is far beyond float16
    torch.testing.assert_close(low.double(), loss, rtol=1e-3, atol=0)
