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
from unlabel.engine.folder import RunFolder, read_json, write_atomically, write_json
from unlabel.engine.job import Job, build_method, recipe
from unlabel.engine.kinds import kind_of
from unlabel.engine.machine import keep_freed_memory
from unlabel.errors import Fault
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
    go_on = f"unlabel pretrain --resume {folder.path}"
    return read_json(folder.backbone, f"{folder.path} has no backbone yet: finish the run with `{go_on}`")


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
    return backbones.Spec(**{name: facts[name] for name in names})


def load_method(run: str | Path) -> tuple[Job, Method]:
    """The whole method of a run folder as its last checkpoint has it, in evaluation mode."""
    keep_freed_memory()
    folder = RunFolder(run)
    job = Job.from_dict(folder.read())
    stored = checkpoint.load(folder.checkpoint)
    with torch.random.fork_rng(devices=[]):
        method = build_method(job)
    method.load_state_dict(stored.method)
    return job, method.eval()


def evaluation_view(job: Job, method: Method) -> View:
    """What evaluation shows to the network: resized, centred, normalised as in training."""
    view = recipe(job, method).views[0]
    return evaluation(job.size, view.mean, view.std)


def note_skipped(folder: RunFolder, skipped: list[Any]) -> int:
    """Add unreadable files to skipped.jsonl (each once); returns how many the list now has."""
    lines: dict[str, str] = {}
    if folder.skipped.exists():
        for line in folder.skipped.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            lines[entry["path"]] = entry["reason"]
    lines |= {trouble.path: trouble.reason for trouble in skipped}
    text = "".join(json.dumps({"path": path, "reason": reason}) + "\n" for path, reason in lines.items())
    write_atomically(folder.skipped, text.encode())
    return len(lines)
