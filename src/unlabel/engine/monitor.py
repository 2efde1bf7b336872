"""A look at the representation while it is being learned: its shape, live kNN, what teacher and prototypes do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unlabel.data.source import Source
from unlabel.diagnostics import (
    PROJECTION,
    embedding_divergence,
    kept_share,
    measure,
    measure_codes,
    nearest,
    outline,
    parameter_distance,
    singular_values,
)
from unlabel.engine.sources import Sources
from unlabel.evaluation.controls import SETTLED_ON, batch_norms, settle
from unlabel.evaluation.features import Features, extract, two_views
from unlabel.evaluation.kinds import Declared
from unlabel.evaluation.knn import knn_accuracy
from unlabel.evaluation.labelled import Known
from unlabel.evaluation.projection import projected
from unlabel.evaluation.protocol import Protocol
from unlabel.methods import Assigns, Method
from unlabel.views import View

MEMORY, QUERIES, PAIRS = 2_000, 500, 200
VOTE = Protocol()  # of which live kNN has the number of neighbours and the temperature
ROWS = 256  # representations that are assigned to prototypes at once


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


def _some(count: int, of: np.ndarray) -> np.ndarray:
    """`count` of these indices, spread evenly (class folders come in order)."""
    return of[np.unique(np.linspace(0, len(of) - 1, min(count, len(of))).astype(np.int64))] if len(of) else of


def _all(source: Source) -> np.ndarray:
    return np.arange(len(source))


def _labelled(source: Source) -> np.ndarray:
    return np.flatnonzero(source.labels >= 0)


class Monitor:
    """Takes readings of a method on the same images each time.

    neighbours: of the last reading, (updates, int64 [n, 1 + k]): an image and its nearest others in each row, as
    positions in the source. The next reading is compared with them, also that of a run that goes on.
    spectra: of the last reading, the `outline` of the representations' spectrum as "representation", and of that of
    their embeddings in the loss as "projection" where these are not the same; empty where there is none.
    """

    def __init__(self, sources: Sources, view: View, device: str) -> None:
        self.sources = sources
        self.view = view
        self.device = torch.device(device)
        self.queries = _some(QUERIES, _all(sources.queries))
        self.memory = _some(MEMORY, (_labelled if sources.labelled else _all)(sources.memory))
        # Spread over all images, the queries might have few labels or none.
        self.asked = _some(QUERIES, _labelled(sources.queries))
        self.neighbours: tuple[int, Tensor] | None = None
        self.spectra: dict[str, dict[str, list[int] | list[float]]] = {}

    @property
    def lack(self) -> str:
        """Why there will be no live kNN although labels are known, in a sentence; "" where it is not so."""
        memory, queries = self.sources.memory.labels, self.sources.queries.labels
        if not ((memory >= 0).any() or (queries >= 0).any()):
            return ""
        if self.sources.memory is self.sources.queries:
            return "no live kNN: all images train; give others to ask about by --eval-data, or 20 images at least"
        if not len(self.asked):
            return "no live kNN: none of the images that are asked about has a label"
        classes = len(np.unique(memory[self.memory])) if (memory >= 0).any() else 0
        if classes < 2:
            return f"no live kNN: it needs labels of two classes, and the images to remember have {classes}"
        return ""

    def declared(self, whose: str) -> dict[str, Any] | None:
        """The protocol of live kNN as plain values for JSON, `whose` weights being read; None where there is none."""
        if self.lack or not self.sources.labelled:
            return None
        stated = {
            **replace(VOTE, weights=whose).shown(self.view).seen(),
            "memory": len(self.memory),
            "queries": len(self.asked),
            "chosen": "evenly over the images with labels, in their order",
            "k": VOTE.k,
            "temperature": VOTE.temperature,
        }
        return Declared("live", stated).as_dict()

    def _extract(self, method: Method, source: Source, indices: np.ndarray) -> Features:
        return extract(method.embed, source, self.view, indices=indices, device=self.device)

    def read(self, method: Method) -> dict[str, float]:
        """One reading: what `diagnostics.measure` says of the queries, and what it says of their embeddings in the
        loss, as "projection_std" and so on, where they are not the representations. Where there is what it takes, also

        "knn", "knn_queries"  in %, and how many images were asked about; labels of two classes, and of queries
        "neighbour_stability" since the last reading, if that was taken at an earlier update
        "codes_used" ...      all of `diagnostics.measure_codes`; prototypes
        "teacher_distance", "teacher_divergence"   of backbones: `parameter_distance`, and `embedding_divergence` of
                              some of the queries; a teacher

        Before training, batch norms have the statistics of some images, as they will have at every later reading.
        Empty where fewer than two queries can be read: one image has no spread.
        """
        self.spectra = {}
        with evaluating(method), self._settled(method):
            queries = self._extract(method, self.sources.queries, self.queries)
            if len(queries) < 2:
                return {}
            pairs = two_views(
                method.embed, self.sources.queries, self.view, indices=queries.index[:PAIRS].numpy(), device=self.device
            )
            known = self._known(method, queries) if self.sources.labelled else None
            compared = projected(method.project, queries.vectors, self.device)
            joined = None if compared is None else projected(method.project, torch.cat(pairs), self.device)
            assigned = assignments(method, queries.vectors, self.device)
            apart = self._teacher(method, queries)
        z = queries.vectors
        reading = self._shape("representation", z, pairs)
        if compared is not None:
            two = None if joined is None else joined.chunk(2)
            shape = self._shape("projection", compared, two)
            reading |= {f"{PROJECTION}{name}": value for name, value in shape.items()}
        if assigned is not None:
            reading |= measure_codes(assigned)
        reading |= apart | self._kept(method, queries)
        if known is not None and known.enough:
            reading["knn"] = knn_accuracy(
                known.memory, known.labels, known.queries, known.truth, k=VOTE.k, temperature=VOTE.temperature
            )
            reading["knn_queries"] = float(len(known.truth))
        return reading

    def _known(self, method: Method, queries: Features) -> Known:
        """Features of images with labels: the queries where all have one, else others of which all have."""
        asked = queries
        if not np.array_equal(self.asked, self.queries):
            asked = self._extract(method, self.sources.queries, self.asked)
        memory = self._extract(method, self.sources.memory, self.memory)
        return Known.of("run", memory, asked, "cpu")

    @contextmanager
    def _settled(self, method: Method) -> Iterator[None]:
        """Before training, inside: batch norms with the statistics that the control of an evaluation has."""
        norms = batch_norms(method) if method.updates == 0 else []
        before = [[buffer.clone() for buffer in norm.buffers()] for norm in norms]
        if norms:

            def see(x: Tensor) -> None:
                method.project(method.embed(x))
                for network in method.followed() or ():
                    network(x)

            some = self.memory[: len(self.memory) : max(1, len(self.memory) // SETTLED_ON)]
            settle(method, self.sources.memory, self.view, indices=some, device=self.device, see=see)
        try:
            yield
        finally:
            for norm, kept in zip(norms, before, strict=True):
                for buffer, value in zip(norm.buffers(), kept, strict=True):
                    buffer.copy_(value)

    def _shape(self, name: str, z: Tensor, pairs: Sequence[Tensor] | None) -> dict[str, float]:
        """The measure of one cloud; notes its spectrum under this name."""
        values = singular_values(z)
        if (short := outline(values))["ranks"]:
            self.spectra[name] = short
        return measure(z, None if pairs is None else (pairs[0], pairs[1]), values)

    def _teacher(self, method: Method, queries: Features) -> dict[str, float]:
        """How far the teacher is from its student; empty without one."""
        if (pair := method.followed()) is None:
            return {}
        teacher, student = pair
        some = queries.index[:PAIRS].numpy()
        # One of both made the queries' vectors already.
        other = extract(
            teacher if method.kept is student else student, self.sources.queries, self.view, indices=some,
            device=self.device,
        )  # fmt: skip
        return {
            "teacher_distance": parameter_distance(teacher, student),
            "teacher_divergence": embedding_divergence(queries.vectors[: len(some)], other.vectors),
        }

    def _kept(self, method: Method, queries: Features) -> dict[str, float]:
        """How many of their neighbours the queries have kept; notes those of now."""
        near = torch.cat((queries.index[:, None], queries.index[nearest(queries.vectors)]), dim=1)
        before, self.neighbours = self.neighbours, (method.updates, near)
        if before is None or before[0] >= method.updates or not torch.equal(before[1][:, 0], near[:, 0]):
            return {}
        return {"neighbour_stability": kept_share(before[1][:, 1:], near[:, 1:])}


def assignments(method: Method, h: Tensor, device: torch.device) -> Tensor | None:
    """How likely prototypes are for representations h [n, D]: [n, K] on the host.

    None for a method without prototypes, or where one is not a finite number.
    """
    if not isinstance(method, Assigns):
        return None
    with torch.inference_mode():
        p = torch.cat([method.assigned(part.to(device)).float().cpu() for part in h.split(ROWS)])
    return p if torch.isfinite(p).all() else None
