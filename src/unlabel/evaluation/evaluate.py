"""One evaluation: every number beside its controls, under one protocol, in the form of evaluation.json."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from unlabel.data.source import Source
from unlabel.diagnostics import measure, singular_values, tolerance
from unlabel.errors import Fault
from unlabel.evaluation.controls import SETTLED_ON, pixels, random_weights, settle
from unlabel.evaluation.factors import chance, declared_factors, factor_scores, kind, word
from unlabel.evaluation.features import Embed, Features, extract_all, light_views, light_views_all
from unlabel.evaluation.kinds import same
from unlabel.evaluation.labelled import FURTHER, SLOW, Known, declared, labelled_scores
from unlabel.evaluation.projection import projected
from unlabel.evaluation.protocol import Protocol, balanced
from unlabel.evaluation.shape import MANY, PAIRS, declared_lidar, declared_shape, lidar_views
from unlabel.views import View

Progress = Callable[[str, float], None]
"""Is told what is being done, and the share of it that is done."""


def evaluate(
    embed: Embed,
    train_source: Source,
    test_source: Source,
    *,
    view: View,
    untrained: Callable[[], nn.Module] | None,
    project: Callable[[torch.Tensor], torch.Tensor] | None = None,
    device: torch.device | str = "cpu",
    protocol: Protocol,
    progress: Progress | None = None,
    threads: int | None = None,
    measured: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
    everything: bool = False,
) -> dict[str, Any]:
    """Measure a frozen representation and its controls.

    embed          images [B, C, S, S] on `device` -> [B, D]; its modules must be in evaluation mode already
    train_source   the memory: images that the probes learn from
    test_source    the queries: other images (a `Subset` of the same collection where it has no test split)
    view           the deterministic view of both
    untrained      makes the control, the same network with weights from torch's generator; None leaves it out
    project        representations [b, D] on `device` -> what the loss compared, [b, d]; None: the same
    protocol       all choices; the counts of images in it are limits
    threads        that decode and render
    measured       what this function returned for another run of the same network and images: its controls are taken
                   over where the protocol is the same to the last word, those of retrieval and the rest included
    before         what this function returned for the same weights and images: what takes its time is taken over from
                   there where its protocol and that of the evaluation are what they would be now
    everything     measure what takes its time too: clustering, and accuracy on corrupted images

    Returns plain values for JSON: {"protocol", "classes", "knn": {"run", "random", "pixels"} in %, "linear": {the same
    three: {"top1", "top5"} in %}, "confusion": `confusion` of the run's linear probe, "retrieval", "clustering",
    "robustness" (of the same three, each beside its protocol: see `labelled_scores`; the last two None unless
    `everything` or known `before`), "factors": {name: {the same three, "kind", "chance", "word"}}, "protocols":
    {"factors", "shape", "lidar": how those were measured}, "kept": [what was taken over from `before`],
    "controls_non_finite": {control: how many of its embeddings; it is left out everywhere}, "spectrum",
    "effective_rank", "participation_ratio", "spectral_decay", "dimensions" (D), "dimensions_99", "images", "std",
    "mean_cosine", "norm", "norm_std", "uniformity", "alignment", "lidar" (None where `lidar_views` is), "tolerance"
    (None without two labelled images of a class), "untrained": {the same shape of the random weights}, "projection":
    {the same shape and "spectrum" of what the loss compared; None where that is the representation}, "non_finite"
    (embeddings), "skipped" (images), "translation": None}. The shape of the embeddings is that of the queries. What
    needs labels is None without two classes of them, factors where the source knows none, both where the queries are
    the memory itself; everything measured is None where an embedding is not finite.
    Fault: no image can be read.
    """
    tell = progress or (lambda what, share: None)
    apart = train_source is not test_source
    labelled = apart and _classes(train_source.labels) >= 2 and bool((test_source.labels >= 0).any())
    factored = apart and train_source.factors is not None and test_source.factors is not None
    probed = labelled or factored
    known = np.flatnonzero(train_source.labels >= 0) if labelled else np.arange(len(train_source))
    remembered = known[balanced(train_source.labels[known], protocol.memory, protocol.seed)]
    asked = balanced(test_source.labels, protocol.queries, protocol.seed)

    embeds: dict[str, Embed] = {"run": embed}
    if untrained is not None and measured is None:
        tell("random weights", 0.0)
        control = random_weights(untrained, protocol.seed).to(device)
        some = remembered[balanced(train_source.labels[remembered], SETTLED_ON, protocol.seed)]
        settle(control, train_source, view, indices=some, device=device, threads=threads)
        embeds["random"] = control
    if probed and measured is None:
        embeds["pixels"] = pixels

    def look(what: str, source: Source, indices: np.ndarray) -> dict[str, Features]:
        found = extract_all(
            embeds,
            source,
            view,
            indices=indices,
            device=device,
            threads=threads,
            progress=lambda share: tell(what, share),
        )
        if not len(found["run"]):
            raise Fault(f"{source.name}: none of the images that evaluation looked at can be read")
        return found

    queries = look("queries", test_source, asked)
    memory = look("memory", train_source, remembered) if probed else {}
    run = queries["run"]
    skipped = len(run.skipped) + (len(memory["run"].skipped) if memory else 0)
    lost = {who: _non_finite(who, queries, memory) for who in list(queries)}
    broken = lost.pop("run")
    lost = {who: count for who, count in lost.items() if count}
    for who in lost:  # nothing can be said of such a control: it has no nearest, and no classifier can be fitted
        for part in (queries, memory, embeds):
            part.pop(who, None)

    seen = {who: Known.of(who, memory[who], queries[who], device) for who in queries} if labelled else {}
    seen = {who: one for who, one in seen.items() if one.enough}  # what was readable may be too little
    stated = _stated(protocol, view, train_source, test_source, queries, memory, labelled)
    further = declared(seen["run"], view, protocol, everything) if seen else {}
    if measured is not None and not _same(measured, stated, further):
        return evaluate(
            embed, train_source, test_source, view=view, untrained=untrained, project=project, device=device,
            protocol=protocol, progress=progress, threads=threads, before=before, everything=everything,
        )  # fmt: skip
    kept: dict[str, Any] = {}
    if before is not None and seen and not everything:
        kept = _still_true(before, stated, declared(seen["run"], view, protocol, everything=True))
    result: dict[str, Any] = {
        "protocol": stated,
        "classes": train_source.classes,
        "knn": None,
        "linear": None,
        "confusion": None,
        **dict.fromkeys(FURTHER),
        **({} if broken else kept),
        "factors": None,
        "protocols": {},
        "kept": [] if broken else list(kept),
        "controls_non_finite": lost,
        "spectrum": None,
        "effective_rank": None,
        "participation_ratio": None,
        "spectral_decay": None,
        "dimensions": run.vectors.shape[1],
        "dimensions_99": None,
        "images": len(run),
        "std": None,
        "mean_cosine": None,
        "norm": None,
        "norm_std": None,
        "uniformity": None,
        "alignment": None,
        "lidar": None,
        "tolerance": None,
        "untrained": None,
        "projection": None,
        "non_finite": broken,
        "skipped": skipped,
        "translation": None,
    }
    if broken:
        return result
    if len(run) >= 2:
        tell("shape", 0.0)
        pairs = light_views_all(
            {who: embeds[who] for who in ("run", "random") if who in embeds}, test_source, view, 2,
            indices=run.index[:PAIRS].numpy(), device=device, threads=threads,
        )  # fmt: skip
        views, some, shown = lidar_views(run.vectors.shape[1], len(run)), run.index[:MANY].numpy(), protocol.shown(view)
        many = None
        if views is not None:
            many = light_views(embed, test_source, view, views, indices=some, device=device, threads=threads)
            result["protocols"]["lidar"] = declared_lidar(shown, len(some), views).as_dict()
        result["protocols"]["shape"] = declared_shape(shown, len(run), len(pairs["run"])).as_dict()
        spectrum = singular_values(run.vectors)
        result |= _plain(measure(run.vectors, _two(pairs["run"]), spectrum, many))
        result["spectrum"] = spectrum.tolist()
        if "random" in queries:
            result["untrained"] = _plain(measure(queries["random"].vectors, _two(pairs["random"])))
        elif measured is not None:
            result["untrained"] = measured["untrained"]
        if project is not None:
            result["projection"] = _projection(
                *(projected(project, h, device) for h in (run.vectors, *_two(pairs["run"])))
            )
    if labelled:
        tolerant = tolerance(run.vectors, run.labels)
        result["tolerance"] = tolerant if math.isfinite(tolerant) else None
    if seen:
        scores = labelled_scores(
            seen, embeds, test_source, view, protocol=protocol, further=further, device=device, tell=tell
        )
        result |= _with_controls(scores, measured)
    if factored:
        how = declared_factors(protocol.shown(view), memory=len(memory["run"]), queries=len(run))
        result["protocols"]["factors"] = how.as_dict()
        result["factors"] = _factors(train_source, test_source, queries, memory, protocol, device, tell, measured)
    return result


def _non_finite(who: str, *parts: dict[str, Features]) -> int:
    """How many embeddings of a network are not finite."""
    return sum(int((~torch.isfinite(part[who].vectors)).any(dim=1).sum()) for part in parts if who in part)


def _same(measured: Mapping[str, Any], stated: dict[str, Any], further: dict[str, dict[str, Any]]) -> bool:
    """Whether another run's controls are finite and were measured as they would be here, each by the same protocol."""
    theirs = {name: (measured.get(name) or {}).get("protocol") for name in further}
    ours = json.loads(json.dumps({"": stated, **further}))
    whole = not measured["non_finite"] and not measured.get("controls_non_finite")
    return whole and all(same(ours[name], how) for name, how in {"": measured["protocol"], **theirs}.items())


def _still_true(
    before: Mapping[str, Any], stated: dict[str, Any], further: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """What takes its time, of an evaluation of the same weights and images, where it would be measured alike."""
    ours = json.loads(json.dumps({"": stated, **further}))
    if before.get("protocol") != ours[""]:
        return {}
    known = {name: before.get(name) for name in further if name in SLOW}
    return {name: found for name, found in known.items() if found and found.get("protocol") == ours[name]}


def _with_controls(
    scores: dict[str, dict[str, Any] | None], measured: Mapping[str, Any] | None
) -> dict[str, dict[str, Any] | None]:
    """Numbers of the run, and those of the controls from elsewhere if they were not measured here."""
    if measured is None:
        return scores
    found: dict[str, dict[str, Any] | None] = {}
    for name, own in scores.items():
        if name == "confusion":  # of the run alone
            found[name] = own
            continue
        theirs = measured[name]
        if own is None or name != "robustness":
            found[name] = own and {**theirs, **own}
        else:  # its names stand one level deeper
            found[name] = {part: {**theirs[part], **own[part]} for part in own}
    return found


def _two(views: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings [n, 2, D] of two views as two times [n, D]."""
    return views[:, 0], views[:, 1]


def _projection(z: torch.Tensor | None, x: torch.Tensor | None, y: torch.Tensor | None) -> dict[str, Any] | None:
    """The shape and spectrum of what the loss compared, beside which those of the representation can be read.

    z  [n, d] of images;  x, y  [m, d] each, of two views of some of them
    """
    if z is None:
        return None
    spectrum = singular_values(z)
    pairs = None if x is None or y is None else (x, y)
    return {**_plain(measure(z, pairs, spectrum)), "spectrum": spectrum.tolist()}


def _factors(
    train: Source,
    test: Source,
    queries: dict[str, Features],
    memory: dict[str, Features],
    protocol: Protocol,
    device: Any,
    tell: Progress,
    measured: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Every factor that both sides know, read from the run and its controls."""
    shared = [name for name in train.factors or {} if name in (test.factors or {})]
    known = {name: (train.factors or {})[name][memory["run"].index.numpy()] for name in shared}
    truth = {name: (test.factors or {})[name][queries["run"].index.numpy()] for name in shared}
    scores = {}
    for number, who in enumerate(queries):
        tell("factors", number / len(queries))
        m, q = memory[who].vectors.to(device), queries[who].vectors.to(device)
        scores[who] = factor_scores(m, known, q, truth, seed=protocol.seed)
    found = {}
    for name in scores["run"]:
        entry: dict[str, Any] = {who: scores[who][name] for who in scores}
        if measured is not None:
            entry = {who: measured["factors"][name][who] for who in ("random", "pixels")} | entry
        entry |= {"kind": kind(known[name]), "chance": chance(known[name], truth[name])}
        found[name] = entry | {"word": word(entry)}
    return found


def _stated(
    protocol: Protocol,
    view: View,
    train: Source,
    test: Source,
    queries: dict[str, Features],
    memory: dict[str, Features],
    labelled: bool,
) -> dict[str, Any]:
    """The protocol with what was really used: how many images, which view, which data."""
    count = int((queries["run"].labels >= 0).sum()) if labelled else len(queries["run"])
    used = replace(
        protocol.shown(view),
        memory=len(memory["run"]) if memory else 0,
        queries=count,
        data=protocol.data or (train.name if train.name == test.name else f"{train.name} and {test.name}"),
    )
    return used.as_dict()


def _classes(labels: np.ndarray) -> int:
    return len(np.unique(labels[labels >= 0]))


def _plain(shape: dict[str, float]) -> dict[str, float | int | None]:
    """Counts as whole numbers, and None for what is no number: the decay of too short a spectrum."""
    counts = ("images", "dimensions", "dimensions_99")
    known = {name: value if math.isfinite(value) else None for name, value in shape.items()}
    return {name: int(value) if name in counts and value is not None else value for name, value in known.items()}
