"""A look at the representation while it is being learned: live kNN and the spectrum's effective rank."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from unlabel.data.source import Source
from unlabel.diagnostics import PROJECTION, measure
from unlabel.engine.sources import Sources
from unlabel.evaluation.features import Features, extract, two_views
from unlabel.evaluation.knn import knn_accuracy
from unlabel.evaluation.projection import projected
from unlabel.methods import Method
from unlabel.views import View

MEMORY, QUERIES, PAIRS = 2_000, 500, 200


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every part is in the mode it was in, and torch's generator too."""
    before = [part.training for part in module.modules()]
    module.eval()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for part, mode in zip(module.modules(), before, strict=True):
            part.training = mode


def _some(source: Source, count: int) -> np.ndarray:
    """Indices of `count` images spread over the source (class folders come in order)."""
    return np.unique(np.linspace(0, len(source) - 1, min(count, len(source))).astype(np.int64))


class Monitor:
    """Takes readings of a method on the same images each time."""

    def __init__(self, sources: Sources, view: View, device: str) -> None:
        self.sources = sources
        self.view = view
        self.device = torch.device(device)
        self.memory = _some(sources.memory, MEMORY)
        self.queries = _some(sources.queries, QUERIES)

    def _extract(self, method: Method, source: Source, indices: np.ndarray) -> Features:
        return extract(method.embed, source, self.view, indices=indices, device=self.device)

    def read(self, method: Method) -> dict[str, float]:
        """One reading: what `diagnostics.measure` says of the queries, and "knn" in % where there are labels; and what
        it says of their embeddings in the loss, as "projection_std" and so on, where they are not the representations.

        Empty where fewer than two queries can be read: one image has no spread.
        """
        with evaluating(method):
            queries = self._extract(method, self.sources.queries, self.queries)
            if len(queries) < 2:
                return {}
            pairs = two_views(
                method.embed, self.sources.queries, self.view, indices=queries.index[:PAIRS].numpy(), device=self.device
            )
            memory = self._extract(method, self.sources.memory, self.memory) if self.sources.labelled else None
            compared = projected(method.project, queries.vectors, self.device)
        z = queries.vectors
        reading = measure(z, pairs)
        if compared is not None:
            reading |= {f"{PROJECTION}{name}": value for name, value in measure(compared).items()}
        if memory is not None:
            known, asked = memory.labels >= 0, queries.labels >= 0
            reading["knn"] = knn_accuracy(memory.vectors[known], memory.labels[known], z[asked], queries.labels[asked])
        return reading
