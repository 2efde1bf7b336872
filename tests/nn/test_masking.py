import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from unlabel.nn.masking import fill, ids_from_mask, take


def random_mask(b: int, n: int, masked: int) -> Tensor:
    return torch.rand(b, n).argsort(dim=1) < masked


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(2, 30), st.data())
def test_what_was_shuffled_comes_back(b: int, n: int, data: st.DataObject) -> None:
    masked = data.draw(st.integers(0, n - 1))
    mask = random_mask(b, n, masked)
    ids_keep, ids_restore = ids_from_mask(mask)
    assert ids_keep.shape == (b, n - masked)
    x = torch.arange(b * n, dtype=torch.float32).view(b, n, 1)
    dropped = x[mask].view(b, masked, 1)
    assert torch.equal(take(torch.cat([take(x, ids_keep), dropped], dim=1), ids_restore), x)


def test_kept_positions_are_the_visible_ones_in_order() -> None:
    mask = torch.tensor([[True, False, True, False], [False, False, True, True]])
    ids_keep, ids_restore = ids_from_mask(mask)
    assert ids_keep.tolist() == [[1, 3], [0, 1]]
    assert ids_restore.tolist() == [[2, 0, 3, 1], [0, 1, 2, 3]]


def test_fill_puts_the_mask_token_where_a_token_was_dropped() -> None:
    mask = random_mask(3, 16, 12)
    ids_keep, ids_restore = ids_from_mask(mask)
    x, mask_token = torch.randn(3, 16, 5), torch.randn(1, 1, 5)
    filled = fill(take(x, ids_keep), mask_token, ids_restore)
    assert torch.equal(filled, torch.where(mask[..., None], mask_token, x))


def test_unequal_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="same number"):
        ids_from_mask(torch.tensor([[True, False], [True, True]]))


def test_reordered_positions_reorder_the_mask() -> None:
    mask = random_mask(4, 12, 9)
    order = torch.randperm(12)
    ids_keep, _ = ids_from_mask(mask)
    permuted_keep, _ = ids_from_mask(mask[:, order])
    assert torch.equal(order[permuted_keep].sort(dim=1).values, ids_keep)
