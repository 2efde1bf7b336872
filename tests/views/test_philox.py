import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unlabel.views.philox import philox, words

# The known answers published with the generator (Random123, kat_vectors: philox4x32 10).
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_known_answers(counter, key, answer):
    assert tuple(philox(np.array(counter, np.uint64), key)) == answer


def test_known_answers_hold_inside_an_array():
    counters = np.array([KNOWN[0][0], (1, 2, 3, 4), KNOWN[0][0]], np.uint64).T
    drawn = philox(counters, (0, 0))
    assert tuple(drawn[:, 0]) == tuple(drawn[:, 2]) == KNOWN[0][2]


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=20), st.integers(1, 40))
@settings(deadline=None, max_examples=30)
def test_words_belong_to_the_index_not_to_the_batch(indices, count):
    together = words(count, seed=7, epoch=2, indices=np.array(indices), stream=0, view=3)
    for index, row in zip(indices, together, strict=True):
        alone = words(count + 9, seed=7, epoch=2, indices=np.array([index]), stream=0, view=3)
        assert (alone[0, :count] == row).all()


def test_every_argument_matters():
    base = {"seed": 5, "epoch": 1, "indices": np.array([9]), "stream": 0, "view": 0}
    others = [
        base,
        base | {"seed": 6},
        base | {"seed": 5 + 2**32},
        base | {"epoch": 2},
        base | {"indices": np.array([10])},
        base | {"indices": np.array([9 + 2**32])},
        base | {"stream": 1},
        base | {"view": 1},
    ]
    drawn = {tuple(words(8, **arguments)[0]) for arguments in others}
    assert len(drawn) == len(others)
    assert len({word for row in drawn for word in row}) == 8 * len(others)


def test_words_are_uniform_and_uncorrelated():
    u = words(4, seed=0, epoch=0, indices=np.arange(20_000), stream=0) * 2.0**-32
    assert ((u >= 0) & (u < 1)).all()
    counts = np.stack([np.histogram(column, bins=16, range=(0, 1))[0] for column in u.T])
    chi2 = ((counts - 1250.0) ** 2 / 1250.0).sum(axis=1)
    assert (chi2 < 37.7).all()  # 99.9 % point, 15 degrees of freedom
    correlation = np.corrcoef(np.concatenate([u, np.roll(u, 1, axis=0)], axis=1).T) - np.eye(8)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(20_000)
