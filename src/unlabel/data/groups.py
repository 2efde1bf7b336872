"""Things that belong together: pairs in, groups out."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


class Together:
    """So many things, each alone at first; what is joined, directly or through others, is one group.

    label: [n] int64, the group of each thing; numbers of groups change with every `join`.
    """

    def __init__(self, count: int) -> None:
        self.label = np.arange(count)
        self._groups = count

    def join(self, first: np.ndarray, second: np.ndarray) -> None:
        """Put thing first[k] and thing second[k] into one group, for all k; [p] integers each."""
        if not len(first):
            return
        pairs = (np.ones(len(first), bool), (self.label[first], self.label[second]))
        graph = coo_array(pairs, shape=(self._groups, self._groups))
        self._groups, merged = connected_components(graph, directed=False)
        self.label = merged[self.label].astype(np.int64)

    def groups(self) -> list[np.ndarray]:
        """The groups of at least two things, each in ascending order, by their first things."""
        order = np.argsort(self.label, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(self.label[order])) + 1)
        return sorted((part for part in parts if len(part) > 1), key=lambda part: int(part[0]))
