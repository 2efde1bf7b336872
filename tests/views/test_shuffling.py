"""Pixels that change places, by hand."""

import numpy as np

from unlabel.views.shuffling import shuffle


def test_each_place_takes_what_stands_beside_it_by_then():
    where = np.arange(36).reshape(6, 6)
    by = np.zeros((6, 6, 2), np.int64)
    by[4, 4] = (-1, -1)  # takes 21, which stands at (3, 3)
    by[3, 3] = (0, -1)  # later takes 20
    by[2, 3] = (0, 0)
    by[0, 0] = by[5, 1] = (-1, -1)  # of the border, which is left alone: row 5 is visited, column 1 is not
    shuffle(where, by, 1)
    expected = np.arange(36).reshape(6, 6)
    expected[4, 4], expected[3, 3] = 21, 20
    np.testing.assert_array_equal(where, expected)


def test_a_copy_of_a_copy_travels():
    where = np.arange(36).reshape(6, 6)
    by = np.zeros((6, 6, 2), np.int64)
    by[:, :, 1] = -1
    shuffle(where, by, 1)
    np.testing.assert_array_equal(where[3], [18, 19, 19, 20, 21, 22])  # from the right: each its left neighbour
