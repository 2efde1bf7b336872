"""What is joined is one group."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unlabel.data.groups import Together


def test_pairs_become_groups_in_order():
    together = Together(8)
    together.join(np.array([6, 2]), np.array([1, 5]))
    together.join(np.array([], int), np.array([], int))
    together.join(np.array([5, 3]), np.array([7, 3]))
    assert [group.tolist() for group in together.groups()] == [[1, 6], [2, 5, 7]]
    assert Together(0).groups() == [] and Together(3).groups() == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20), st.integers(1, 5))
def test_as_merging_sets_one_pair_after_the_other(pairs, at_once):
    sets = [{k} for k in range(12)]
    for a, b in pairs:
        merged = next(s for s in sets if a in s) | next(s for s in sets if b in s)
        sets = [s for s in sets if not s & merged] + [merged]
    together = Together(12)
    for start in range(0, len(pairs), at_once):
        some = np.array(pairs[start : start + at_once], int).reshape(-1, 2)
        together.join(some[:, 0], some[:, 1])
    assert [group.tolist() for group in together.groups()] == sorted(sorted(s) for s in sets if len(s) > 1)
