"""What labels say of frozen features: nearest neighbours, a linear probe and retrieval; if asked, also clustering and
corrupted images. Each of the last three has its protocol beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unlabel.data.source import Source
from unlabel.evaluation import clustering, retrieval, robustness
from unlabel.evaluation.confusion import confusion
from unlabel.evaluation.features import Embed, Features
from unlabel.evaluation.kinds import Declared
from unlabel.evaluation.knn import knn_accuracy, knn_predict
from unlabel.evaluation.linear import LinearProbe, fit_probe
from unlabel.evaluation.protocol import Protocol, balanced
from unlabel.views import View

FURTHER = ("retrieval", "clustering", "robustness")
SLOW = FURTHER[1:]
_AT_ONCE = 256  # images that a network is shown at once
_COSINE = "cosine, pixels as for nearest neighbours"


@dataclass(frozen=True)
class Known:
    """Features of one network of the images whose labels are known.

    memory, labels    [n, D] and [n] of those that are remembered
    queries, truth    [m, D] and [m] of those that are asked about
    asked             [m] their positions in the source of queries
    centre            [D], taken away before vectors are compared by cosine; None: nothing is
    """

    memory: Tensor
    labels: Tensor
    queries: Tensor
    truth: Tensor
    asked: Tensor
    centre: Tensor | None

    @classmethod
    def of(cls, who: str, memory: Features, queries: Features, device: torch.device | str) -> "Known":
        """`who` is "run", "random" or "pixels"; only pixels are centred. All labels of the memory are known."""
        asked, m = queries.labels >= 0, memory.vectors.to(device)
        return cls(
            m,
            memory.labels,
            queries.vectors[asked].to(device),
            queries.labels[asked],
            queries.index[asked],
            m.mean(dim=0) if who == "pixels" and len(m) else None,
        )

    @property
    def enough(self) -> bool:
        """Whether there are two classes, and something to ask about."""
        return len(self.labels.unique()) >= 2 and len(self.truth) > 0

    def centred(self, x: Tensor) -> Tensor:
        """Vectors [b, D] as they are compared by cosine."""
        return x if self.centre is None else x - self.centre


def declared(known: Known, view: View, protocol: Protocol, everything: bool) -> dict[str, dict[str, Any]]:
    """The protocol of each of `FURTHER` that is measured, as plain values for JSON."""
    memory, queries, seen = len(known.labels), len(known.truth), protocol.shown(view).seen()
    found = {
        "retrieval": Declared(
            "retrieval",
            {
                **seen,
                "candidates": memory,
                "queries": queries,
                "similarity": _COSINE,
                "recall@k": "whether one at least of the k nearest is of the query's class",
                "equally_far": "other classes first",
                "chance": "mean over all orders",
            },
        )
    }
    if everything:
        found["clustering"] = Declared(
            "clustering",
            {
                **seen,
                "images": queries,
                "clusters": len(known.truth.unique()),
                "which": "the queries; as many clusters as they have classes",
                "kmeans": f"Lloyd from k-means++ on unit vectors, best of {clustering.RESTARTS} starts",
                "similarity": _COSINE,
                "chance": f"mean of {clustering.SHUFFLES} times the run's clusters with shuffled labels",
                "seed": protocol.seed,
            },
        )
        found["robustness"] = robustness.declared(view, memory=memory, queries=queries, protocol=protocol)
    return {name: how.as_dict() for name, how in found.items()}


def labelled_scores(
    known: Mapping[str, Known],
    embeds: Mapping[str, Embed],
    source: Source,
    view: View,
    *,
    protocol: Protocol,
    further: Mapping[str, Mapping[str, Any]],
    device: torch.device | str,
    tell: Callable[[str, float], None],
) -> dict[str, Any]:
    """The numbers of the run and of its controls, whichever of them are in `known`; accuracies in per cent.

    known    what is known by the name of each network; the images are the same
    embeds   the networks, in evaluation mode on `device`, for corrupted images
    source   the queries' images
    further  what `declared` said is measured

    Returns {"knn": {name}, "linear": {name: {"top1", "top5"}}, "confusion": `confusion` of the run's linear probe,
    "retrieval": {"protocol", name, "chance": `Ranking`},
    "clustering": {"protocol", name, "chance": {"NMI", "ARI", "accuracy"}}, "robustness": {"protocol", "linear": {name:
    see `robustness`}, "knn"}}, of the last three those in `further`; retrieval is None where no query has a candidate
    of its class.
    """
    found: dict[str, Any] = {
        "knn": {},
        "linear": {},
        "confusion": None,
        **{name: {"protocol": dict(how)} for name, how in further.items()},
    }
    readers: dict[str, robustness.Read] = {}
    for number, (who, one) in enumerate(known.items()):
        tell("neighbours, linear probe, retrieval", number / len(known))
        probe = fit_probe(one.memory, one.labels, l2=protocol.l2, seed=protocol.seed)
        score = probe.score(one.queries, one.truth)
        found["linear"][who] = {"top1": score.top1, "top5": score.top5}
        if who == "run":
            said = probe(one.queries).argmax(dim=1).cpu().numpy()
            found["confusion"] = confusion(said, one.truth.cpu().numpy(), len(probe.bias))
        m, q = one.centred(one.memory), one.centred(one.queries)
        found["knn"][who] = knn_accuracy(m, one.labels, q, one.truth, k=protocol.k, temperature=protocol.temperature)
        if found["retrieval"] is not None:
            found["retrieval"] = _retrieved(found["retrieval"], who, m, q, one)
        if "clustering" in further:
            found["clustering"] |= _clustered(who, q, one.truth.numpy(), protocol.seed)
        if "robustness" in further:
            readers[who] = _reader(embeds[who], one, probe, protocol)
    if readers:
        stage = "corrupted images"

        def announce(seconds: float) -> None:
            nonlocal stage
            stage = f"corrupted images, {about(seconds)}"
            tell(stage, 0.0)

        truth, asked = known["run"].truth.numpy(), known["run"].asked.numpy()
        found["robustness"] |= robustness.robustness(
            readers, source, view,
            indices=asked[balanced(truth, robustness.QUERIES, protocol.seed)],
            seed=protocol.seed, device=device,
            progress=lambda share: tell(stage, share),
            announce=announce,
        )  # fmt: skip
    return found


def about(seconds: float) -> str:
    """A time that is only estimated, in words."""
    return "less than a minute" if seconds < 50 else f"about {max(1, round(seconds / 60))} min"


def _retrieved(found: dict[str, Any], who: str, m: Tensor, q: Tensor, one: Known) -> dict[str, Any] | None:
    """The same with the scores of one more; None where no class is on both sides."""
    if not torch.isin(one.truth, one.labels).any():
        return None
    scores = retrieval.class_retrieval(m, one.labels, q, one.truth)
    found = found | {who: scores.as_dict()}
    return found | {"chance": retrieval.chance(one.labels, one.truth).as_dict()} if who == "run" else found


def _clustered(who: str, q: Tensor, truth: np.ndarray, seed: int) -> dict[str, Any]:
    clusters = clustering.kmeans(q, len(np.unique(truth)), seed=seed)
    found = {who: clustering.agreement(clusters, truth)}
    return found | {"chance": clustering.by_chance(clusters, truth, seed=seed)} if who == "run" else found


def _reader(embed: Embed, one: Known, probe: LinearProbe, protocol: Protocol) -> robustness.Read:
    """What both probes say of new images."""
    some = torch.from_numpy(balanced(one.labels.numpy(), robustness.MEMORY, protocol.seed))
    m, labels = one.centred(one.memory[some.to(one.memory.device)]), one.labels[some]

    def read(x: Tensor) -> dict[str, Tensor]:
        z = torch.cat([embed(part).float() for part in x.split(_AT_ONCE)])
        voted = knn_predict(m, labels, one.centred(z), k=protocol.k, temperature=protocol.temperature)
        return {"linear": probe(z).argmax(dim=1), "knn": voted}

    return read
