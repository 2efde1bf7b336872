"""The same values as topk finds, at their places."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unlabel.evaluation.largest import largest


@given(rows=st.integers(1, 4), n=st.integers(1, 3000), k=st.integers(1, 12), kinds=st.integers(2, 10**6))
@settings(max_examples=100, deadline=None)
def test_values_are_those_of_topk_and_lie_where_they_are_said_to(rows: int, n: int, k: int, kinds: int) -> None:
    k = min(k, n)
    values = torch.randint(0, kinds, (rows, n), generator=torch.Generator().manual_seed(n)).float()  # with many ties
    found, place = largest(values, k)
    assert torch.equal(found, values.topk(k, dim=1).values)
    assert torch.equal(values.gather(1, place), found)
    assert all(len(set(row)) == k for row in place.tolist())


@pytest.mark.parametrize("at", [0, 4095, 4096, 4099])
def test_the_last_and_incomplete_run_counts(at: int) -> None:
    values = torch.zeros(1, 4100)
    values[0, at] = 1.0
    assert largest(values, 2)[1][0, 0] == at
