"""Pixels that take the place of others nearby."""

from unlabel.views.compiled import compiled


@compiled
def shuffle(where, by, reach):
    """Each place of `where` [h, w], from the last to the first, becomes what then stands `by` [h, w, 2] beside it.

    where  int64, changed in place; a border of `reach` keeps what it is;  by  int64 rows and columns, in
    -reach .. reach - 1
    """
    for row in range(where.shape[0] - reach, reach, -1):
        for column in range(where.shape[1] - reach, reach, -1):
            where[row, column] = where[row + by[row, column, 0], column + by[row, column, 1]]
