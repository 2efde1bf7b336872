"""After training: the backbone, the pictures, the evaluation with its controls, the verdict in words."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from unlabel.data.source import Source
from unlabel.data.tokens import Tokeniser
from unlabel.diagnostics import verdict
from unlabel.engine.classified import assess_classifier
from unlabel.engine.controls import measured_controls
from unlabel.engine.fit import first_batch
from unlabel.engine.folder import RunFolder, read_json, write_atomically, write_json
from unlabel.engine.job import Job, build_method, recipe
from unlabel.engine.keep import evaluation_view, kept_spec
from unlabel.engine.sources import Sources
from unlabel.engine.subject import remarks, subject_of, whose
from unlabel.engine.towers import Towers
from unlabel.errors import Fault, command
from unlabel.evaluation.evaluate import Progress, evaluate
from unlabel.evaluation.features import Features, extract
from unlabel.evaluation.kinds import KINDS
from unlabel.evaluation.objects import evaluate_objects
from unlabel.evaluation.protocol import Protocol, balanced
from unlabel.evaluation.texts import evaluate_texts
from unlabel.evaluation.translation import evaluate_translation
from unlabel.methods import Classifies, Method, Reads, Translates
from unlabel.nn import backbones
from unlabel.views import Batch

SHOWN = 2_000  # rows of embeddings.parquet that an evaluation writes


def pictures(job: Job, method: Method, sources: Sources) -> tuple[Batch, dict[str, Tensor]]:
    """The views the method saw, and the pictures that the method draws of them."""
    batch = first_batch(job, method, sources)
    method.eval()
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        return batch, method.picture(batch)


def assess(
    job: Job,
    method: Method,
    sources: Sources,
    folder: RunFolder,
    progress: Progress | None = None,
    *,
    everything: bool = False,
) -> list[int]:
    """Evaluate a finished method against its controls; writes evaluation.json and embeddings.parquet.

    everything  measure clustering and corrupted images too, and objects wherever masks are known; Fault where there are
                no labels or no frozen features. Without it, what an earlier evaluation found of these is kept where it
                was of the same weights and images, by the same protocol

    Returns the positions, among the queries, of the images in embeddings.parquet; of a classifier it has none.
    """
    if everything:
        _can_be_asked_everything(method, sources, folder)
    if isinstance(method, Classifies):
        assess_classifier(job, method, sources, folder, progress)
        return []
    method.eval()
    view = evaluation_view(job, method)
    device = job.settings.here
    method.to(device)
    if isinstance(method, Translates):
        translated = evaluate_translation(
            method.translate, sources.memory, sources.queries, size=job.size, split=sources.split, device=device
        )
        _judged({"translation": translated}, folder)
        return []
    protocol = Protocol(split=sources.split, data=sources.queries.name, weights=whose(method))
    subject, earlier = subject_of(method, sources), _earlier(folder)
    alike = earlier.get("subject") == subject
    result = evaluate(
        method.embed,
        sources.memory,
        sources.queries,
        view=view,
        untrained=_untrained(job, method),
        project=method.project,
        device=device,
        protocol=protocol,
        progress=progress,
        measured=measured_controls(job.run.controls, folder) if job.run.controls else None,
        before=earlier if alike else None,
        everything=everything,
    )
    wanted = everything or job.run.saliency is not None or recipe(job, method).looks_at_objects
    if sources.queries.masked and wanted and not result["non_finite"]:
        result["objects"] = evaluate_objects(
            method.embed, method.kept, sources.memory, sources.queries, view=view, untrained=_untrained(job, method),
            device=device,
            protocol=protocol,
        )  # fmt: skip
        result["protocols"] |= result["objects"].pop("protocols")
    elif alike and sources.queries.masked and not result["non_finite"]:
        _keep_objects(result, earlier)
    result |= {"subject": subject, "remarks": remarks(result, earlier, folder.path)}
    if isinstance(method, Reads):
        queries, tokenise = sources.queries, Tokeniser.read(folder.tokeniser)
        result["texts"] = evaluate_texts(
            method.image_vectors, Towers(method, tokenise, view, device).texts, queries, view=view,
            indices=balanced(queries.labels, protocol.queries, protocol.seed), protocol=protocol, device=device,
        )  # fmt: skip
        for name, part in (("zeroshot", "zeroshot"), ("captions", "retrieval")):
            if result["texts"][part] is not None:
                result["protocols"][name] = result["texts"][part].pop("protocol")
    features = _shown(method, sources.queries, view, device)
    write_embeddings(folder.embeddings, features, sources.queries)
    _judged(result, folder)
    return [int(i) for i in features.index]


def _keep_objects(result: dict[str, Any], earlier: dict[str, Any]) -> None:
    """Take over what was found of objects, of the same weights and images, where it would be measured alike."""
    known = {name: how for name, how in earlier.get("protocols", {}).items() if name in ("pointing", "swapped")}
    current = all(how.get("version") == KINDS[name].version for name, how in known.items())
    if earlier.get("objects") and current and earlier["protocol"] == json.loads(json.dumps(result["protocol"])):
        result["objects"] = earlier["objects"]
        result["protocols"] |= known
        result["kept"].append("objects")


def _can_be_asked_everything(method: Method, sources: Sources, folder: RunFolder) -> None:
    if isinstance(method, Classifies | Translates):
        does = "classifies" if isinstance(method, Classifies) else "translates"
        raise Fault(f"{folder.path} holds a run that {does}: `--all` measures frozen features, so leave it out")
    if not sources.labelled:
        raise Fault(
            f"{sources.queries.name} has no labels to evaluate with, and what `--all` adds needs them: give labelled "
            "images by --data, or leave `--all` out"
        )


def _earlier(folder: RunFolder) -> dict[str, Any]:
    """The evaluation that the folder holds already; nothing where it has none, or one that is damaged."""
    with suppress(Fault):
        return evaluation_of(folder) or {}
    return {}


def _untrained(job: Job, method: Method) -> Callable[[], nn.Module]:
    """What makes the kept network anew, with random weights."""
    spec = kept_spec(job, method)
    return partial(backbones.build, spec) if spec else lambda: build_method(job).kept


def _judged(result: dict[str, Any], folder: RunFolder) -> None:
    """Write the numbers with the verdict that they and the training's readings allow."""
    history = [line for line in folder.readings() if "monitor" in line or "loss" in line]
    values = folder.read().get("collapse_values")  # which older runs have not
    judged = verdict(history, final=result, finished=True, collapse_values=values)
    result["verdict"] = {"state": judged.state, "sentence": judged.sentence, "advice": judged.advice}
    write_json(folder.evaluation, result)


def _shown(method: Method, source: Source, view: Any, device: torch.device) -> Features:
    indices = np.unique(np.linspace(0, len(source) - 1, min(SHOWN, len(source))).astype(np.int64))
    return extract(method.embed, source, view, indices=indices, device=device)


def write_embeddings(path: Path, features: Features, source: Source) -> None:
    """Write path, label (-1 = unknown) and vector of each image as parquet, atomically."""
    vectors = features.vectors.cpu().numpy().astype(np.float32)
    table = pa.table({
        "path": pa.array([source.path(int(i)) for i in features.index], pa.string()),
        "label": pa.array(features.labels.numpy()),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1]),
    })  # fmt: skip
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_atomically(path, sink.getvalue().to_pybytes())


def close_run(folder: RunFolder, skipped: int) -> None:
    """Last entries of run.json: what was left out, and that it is finished."""
    stored = folder.read()
    folder.update(finished=True, data={**stored["data"], "skipped": skipped})


def evaluation_of(folder: RunFolder) -> dict[str, Any] | None:
    """The stored evaluation, if there is one."""
    if not folder.evaluation.exists():
        return None
    again = command("evaluate", folder.path)
    return read_json(folder.evaluation, f"{folder.evaluation} is damaged; run `{again}` again")
