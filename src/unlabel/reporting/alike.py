"""Parts of an evaluation with a protocol of their own: what was measured by another one stands in no common column."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from unlabel.reporting.apart import choice, what_differs
from unlabel.reporting.rows import at
from unlabel.reporting.words import listed


class Part(NamedTuple):
    """What a part is called; where in evaluation.json its protocol is, and the numbers that were made by it."""

    title: str
    protocol: str
    numbers: tuple[str, ...]


PARTS = (
    Part("retrieval", "retrieval.protocol", ("retrieval",)),
    Part("clustering", "clustering.protocol", ("clustering",)),
    Part("corrupted images", "robustness.protocol", ("robustness",)),
    Part(
        "shape of the embeddings",
        "protocols.shape",
        (
            "alignment",
            "uniformity",
            "tolerance",
            "effective_rank",
            "participation_ratio",
            "spectral_decay",
            "projection",
            "untrained",
        ),
    ),
    Part("LiDAR", "protocols.lidar", ("lidar",)),
    Part("live kNN", "live", ("live",)),
    Part("factors", "protocols.factors", ("factors",)),
    Part("pointing game", "protocols.pointing", ("objects.pointing",)),
    Part("swapped backgrounds", "protocols.swapped", ("objects.swapped",)),
    Part("zero-shot classification", "protocols.zeroshot", ("texts.zeroshot",)),
    Part("images and captions", "protocols.captions", ("texts.retrieval",)),
)


def alike(found: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Each evaluation.json without the parts that most of the others measured by another protocol, and a sentence for
    each part that is missing somewhere now.

    names  what the sentences call the runs

    Whose weights were measured does not matter, and a protocol that is missing contradicts nothing. Of two protocols
    that as many runs have, the one of the newer version stays, then the one that comes first.
    """
    kept, said = [dict(one) for one in found], []
    for part in PARTS:
        stated = [_stated(at(one, part.protocol)) for one in found]
        groups: dict[str, list[int]] = {}
        for i, protocol in enumerate(stated):
            if protocol:
                groups.setdefault(json.dumps(protocol, sort_keys=True), []).append(i)
        if len(groups) < 2:
            continue
        most = max(groups.values(), key=lambda some: (len(some), _version(stated[some[0]])))
        others = [i for some in groups.values() if some is not most for i in some]
        for i in others:
            for place in part.numbers:
                kept[i] = _without(kept[i], place.split("."))
        what = what_differs([{name: choice(v) for name, v in stated[some[0]].items()} for some in groups.values()])
        said.append(
            f"{part.title}: measured by another protocol in {listed([names[i] for i in sorted(others)])} ({what} "
            "differ), whose numbers of it are left out."
        )
    return kept, said


def _stated(protocol: Any) -> dict[str, Any]:
    """A protocol without whose weights it speaks of; empty where there is none."""
    known = protocol if isinstance(protocol, dict) else {}
    return {name: value for name, value in known.items() if name != "weights"}


def _version(protocol: Mapping[str, Any]) -> int:
    version = protocol.get("version")
    return version if isinstance(version, int) else 0


def _without(found: dict[str, Any], place: Sequence[str]) -> dict[str, Any]:
    """The same nested dictionaries without what is at a place."""
    first, *rest = place
    if not rest:
        return {name: value for name, value in found.items() if name != first}
    inner = found.get(first)
    return {**found, first: _without(inner, rest)} if isinstance(inner, dict) else found
