"""A classifier after training: its weights, and how often it is right beside its control and its teacher."""

import torch
from safetensors.torch import save as save_tensors

from unlabel.diagnostics import judge_classifier
from unlabel.engine.distilling import Distillation
from unlabel.engine.folder import RunFolder, write_atomically, write_json
from unlabel.engine.job import Job
from unlabel.engine.keep import evaluation_view, load_method
from unlabel.engine.sources import Sources
from unlabel.errors import Fault
from unlabel.evaluation.classification import classification
from unlabel.evaluation.evaluate import Progress
from unlabel.evaluation.features import Embed
from unlabel.evaluation.kinds import Declared
from unlabel.evaluation.protocol import Protocol
from unlabel.methods import Classifies, Method
from unlabel.views import View


def control_of(folder: RunFolder) -> RunFolder:
    """Where the control of a classifier is: the same network from random weights, with the same labels and updates."""
    return RunFolder(folder.path / "control")


def save_classifier(method: Method, folder: RunFolder) -> None:
    """Write classifier.safetensors: what comes behind the backbone, with its names in `nn.Sequential`."""
    assert isinstance(method, Classifies)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in method.head.state_dict().items()}
    write_atomically(folder.classifier, save_tensors(tensors, metadata={"format": "pt"}))


def assess_classifier(
    job: Job, method: Method, sources: Sources, folder: RunFolder, progress: Progress | None = None
) -> None:
    """Ask the classifier, its control and its teacher about the queries; writes evaluation.json with the verdict."""
    labels, queries = folder.read()["labels"], sources.queries
    if not (queries.labels >= 0).any():
        raise Fault(f"{queries.name} has no labels, and how often a classifier is right needs them")
    if queries.classes != labels["classes"] or int(queries.labels.max()) >= job.hyper["classes"]:
        raise Fault(f"{queries.name} has other classes than {folder.path} was taught: use folders of the same names")
    device, view = job.settings.here, evaluation_view(job, method)
    asked = {"run": _ready(method, device)}
    control = control_of(folder)
    if control.run_json.exists() and control.finished:
        asked["scratch"] = _ready(load_method(control.path)[1], device)
    if isinstance(method, Distillation):
        asked["teacher"] = method.teacher
    protocol = Protocol(split=sources.split, data=queries.name)
    found = classification(
        asked, queries, view=view, limit=protocol.queries, seed=protocol.seed, device=device,
        progress=lambda share: progress("asking", share) if progress else None,
    )  # fmt: skip
    top1 = {who: scores["top1"] for who, scores in found.scores.items()}
    judged = judge_classifier(
        top1["run"], scratch=top1.get("scratch"), teacher=top1.get("teacher"),
        labelled=labels["images"], queries=found.queries,
    )  # fmt: skip
    write_json(folder.evaluation, {
        "protocol": _stated(protocol, view, found.queries, student=isinstance(method, Distillation)).as_dict(),
        "classes": queries.classes,
        "classification": found.scores, "labels": labels, "updates": job.updates, "skipped": found.skipped,
        "verdict": {"state": judged.state, "sentence": judged.sentence, "advice": judged.advice},
    })  # fmt: skip


def _ready(method: Method, device: torch.device) -> Embed:
    method.to(device).eval()
    assert isinstance(method, Classifies)
    return method.classify


def _stated(protocol: Protocol, view: View, queries: int, *, student: bool) -> Declared:
    whose = "the student's, beside those of its control and of its teacher" if student else "the fine-tuned network's"
    return Declared(
        "classification",
        {
            **protocol.shown(view).seen(),
            "weights": whose,
            "layer": "the logits of the whole network",
            "data": protocol.data,
            "split": protocol.split,
            "queries": queries,
            "trained": "all weights, backbone and classifier, as run.json says",
            "scratch": "the same network from random weights, with the same labels, updates, plan and views",
            "seed": protocol.seed,
        },
    )
