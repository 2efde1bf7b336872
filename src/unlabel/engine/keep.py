"""What is kept of a run: the backbone's weights and how to build the network they belong to; and loading it."""

import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from unlabel.engine import checkpoint
from unlabel.engine.folder import RunFolder, read_json, read_lines, write_atomically, write_json
from unlabel.engine.job import Job, build_method, recipe
from unlabel.engine.kinds import kind_of
from unlabel.engine.machine import keep_freed_memory
from unlabel.errors import Fault, command
from unlabel.methods import Method, Translates
from unlabel.nn import backbones
from unlabel.nn.lab import LabPair
from unlabel.nn.patch_grid import PatchGrid
from unlabel.views import View, evaluation


def kept_spec(job: Job, method: Method) -> backbones.Spec | None:
    """How the network that is kept is built: the job's backbone, alone, behind a grid of patches, or two made of it.

    None for a method that brings its own network.
    """
    if job.backbone is None:
        return None
    kept = method.kept
    if isinstance(kept, PatchGrid):
        return replace(job.backbone, grid=kept.grid, overlap=kept.overlap)
    return replace(job.backbone, lab=isinstance(kept, LabPair))


def save_backbone(job: Job, method: Method, folder: RunFolder) -> None:
    """Write backbone.safetensors and backbone.json; nothing for a method that translates."""
    if isinstance(method, Translates):
        return
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in method.kept.state_dict().items()}
    write_atomically(folder.weights, save_tensors(tensors, metadata={"format": "pt"}))
    view = recipe(job, method).views[0]
    facts: dict[str, Any] = {"mean": view.mean, "std": view.std, "method": job.run.method}
    spec = kept_spec(job, method)
    if spec is not None:
        facts |= {**asdict(spec), "in_plain_timm": backbones.timm_snippet(spec)}
    else:
        facts |= {"name": f"the network of {method.title}", "size": job.size, "hyper": job.hyper}
    write_json(folder.backbone, facts)


def backbone_facts(folder: RunFolder) -> dict[str, Any]:
    """The contents of backbone.json; Fault where there is none."""
    job = Job.from_dict(folder.read())
    if kind_of(job.run.method).family == "translation":
        raise Fault(
            f"{folder.path} holds a {job.run.method} run, which translates images and has no backbone: "
            "use `unlabel translate`"
        )
    go_on = command("pretrain", "--resume", folder.path)
    return network_facts(folder.backbone, f"{folder.path} has no backbone yet: finish the run with `{go_on}`")


def network_facts(path: Path, missing: str, *more: str) -> dict[str, Any]:
    """How a network is built and shown images, as backbone.json and towers.json say.

    Fault where there is no such file, with the sentence `missing`, or where it lacks what is needed, and `more`.
    """
    if not path.exists():
        raise Fault(missing)
    facts = read_json(path, f"{path} is damaged: restore it, or train again")
    needed = ("name", "size", "mean", "std", *(("kwargs", "stem") if "timm" in facts else ()), *more)
    if lacking := [name for name in needed if name not in facts]:
        raise Fault(f"{path} is damaged, it lacks {', '.join(lacking)}: restore it, or train again")
    return facts


def load_backbone(run: str | Path) -> nn.Module:
    """The pre-trained backbone of a run folder, in evaluation mode: images [B, C, S, S] -> features [B, D].

    Reading the files runs no code. Faults: not a run folder, not finished, damaged weights.
    """
    keep_freed_memory()
    folder = RunFolder(run)
    facts = backbone_facts(folder)
    model = backbones.build(spec_of(facts)) if "timm" in facts else build_method(Job.from_dict(folder.read())).kept
    try:
        model.load_state_dict(load_tensors(folder.weights.read_bytes()))
    except (OSError, safetensors.SafetensorError, RuntimeError) as problem:
        raise Fault(f"{folder.weights} is missing, damaged or of another network") from problem
    return model.eval()


def spec_of(facts: dict[str, Any]) -> backbones.Spec:
    """The backbone that backbone.json describes."""
    names = {field.name for field in fields(backbones.Spec)} & set(facts)
    return backbones.Spec.stored({name: facts[name] for name in names})


def load_method(run: str | Path) -> tuple[Job, Method]:
    """The whole method of a run folder as its last checkpoint has it, in evaluation mode; Fault where there is none."""
    keep_freed_memory()
    folder = RunFolder(run)
    job = Job.from_dict(folder.read())
    stored = checkpoint.load(folder.checkpoint)
    with torch.random.fork_rng(devices=[]):
        method = build_method(job)
    checkpoint.restore(method, stored, folder.checkpoint)
    return job, method.eval()


def evaluation_view(job: Job, method: Method) -> View:
    """What evaluation shows to the network: resized, centred, normalised as in training."""
    view = recipe(job, method).views[0]
    return evaluation(job.size, view.mean, view.std)


def note_skipped(folder: RunFolder, skipped: list[Any]) -> int:
    """Add unreadable files to skipped.jsonl (each once); returns how many the list now has. Broken lines go."""
    lines = {line["path"]: line["reason"] for line in read_lines(folder.skipped) if {"path", "reason"} <= line.keys()}
    lines |= {trouble.path: trouble.reason for trouble in skipped}
    text = "".join(json.dumps({"path": path, "reason": reason}) + "\n" for path, reason in lines.items())
    write_atomically(folder.skipped, text.encode())
    return len(lines)
