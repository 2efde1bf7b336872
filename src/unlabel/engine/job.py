"""From options to a job: the plain values from which a run, and its continuation, is built."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch

from unlabel import methods
from unlabel.data.loader import check_objects
from unlabel.engine.attention import explicit_is_faster
from unlabel.engine.kinds import kind_of
from unlabel.engine.machine import Settings, available, settings
from unlabel.engine.options import Options, chosen_views, hyperparameters, needs_backbone, without_effect
from unlabel.engine.policies import with_policies
from unlabel.engine.run import Device, Run
from unlabel.engine.sources import Sources, image_size
from unlabel.errors import Fault, Faults
from unlabel.nn import backbones
from unlabel.nn.maps import convolutional
from unlabel.optim.plan import Plan
from unlabel.views import Recipe


@dataclass(frozen=True)
class Origin:
    """The run that another one goes on from."""

    path: str
    job: "Job"
    kept: backbones.Spec

    def as_dict(self) -> dict[str, Any]:
        """Plain values for run.json."""
        return {"path": self.path, "job": self.job.as_dict(), "kept": asdict(self.kept)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Origin":
        """The origin that run.json describes."""
        return cls(stored["path"], Job.from_dict(stored["job"]), backbones.Spec.stored(stored["kept"]))


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything a run was decided to be; nothing in it is left to choose.

    images: how many there are in the first domain, whose positions are `Batch.index`.
    updates: how many optimiser updates the training has (0 while a time budget is not yet measured).
    origin: the run it goes on from, for fine-tuning and distillation.
    """

    run: Run
    plan: Plan
    hyper: dict[str, Any]
    backbone: backbones.Spec | None
    settings: Settings
    images: int
    updates_per_epoch: int
    updates: int
    origin: Origin | None = None

    @property
    def command(self) -> str:
        """Which command began the run, and goes on with it."""
        return self.run.method if self.origin else "pretrain"

    @property
    def size(self) -> int:
        """Side of the views in pixels."""
        return self.run.size or 0

    @property
    def channels(self) -> int:
        """Of the images."""
        return self.backbone.channels if self.backbone else 3

    @property
    def epochs(self) -> float:
        """Length of the training in passes over the data."""
        return self.updates / self.updates_per_epoch

    def as_dict(self) -> dict[str, Any]:
        """Plain values for run.json."""
        return {
            "run": asdict(self.run),
            "plan": asdict(self.plan),
            "hyper": dict(self.hyper),
            "backbone": asdict(self.backbone) if self.backbone else None,
            "settings": self.settings.as_dict(),
            "images": self.images,
            "updates_per_epoch": self.updates_per_epoch,
            "updates": self.updates,
            "origin": self.origin.as_dict() if self.origin else None,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Job":
        """The job that run.json describes; Fault if it does not."""
        try:
            spec, origin = stored["backbone"], stored.get("origin")
            return cls(
                run=Run(**_tuples(stored["run"])),
                plan=Plan(**_tuples(stored["plan"])),
                hyper=_tuples(stored["hyper"]),
                backbone=backbones.Spec.stored(spec) if spec else None,
                settings=Settings(**_tuples(stored["settings"])),
                images=stored["images"],
                updates_per_epoch=stored["updates_per_epoch"],
                updates=stored["updates"],
                origin=Origin.from_dict(origin) if origin else None,
            )
        except (AttributeError, KeyError, TypeError) as problem:
            raise Fault(f"run.json does not describe a run of this version of unlabel ({problem})") from problem


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists where we had tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def decide(
    options: Options,
    start: Mapping[str, Any],
    sources: Sources,
    *,
    origin: Origin | None = None,
    classes: int = 0,
) -> Job:
    """Fill in what the user left open: the recipe's starting values `start`, then the data, then the machine.

    start: values by option name (any of run, plan, hyper) that the user's own choices override.
    origin, classes: of what goes on from a run, and tells so many classes apart.
    """
    method = kind_of(options.run["method"])
    hyper = {name: option.default for name, option in hyperparameters(method).items()}
    hyper |= {name: value for name, value in start.items() if name in hyper} | options.hyper
    plan_names = {f.name for f in fields(Plan)}
    unknown = set(start) - set(hyper) - plan_names - {f.name for f in fields(Run)}
    if unknown:
        raise ValueError(f"a recipe of {options.run['method']} names options that do not exist: {sorted(unknown)}")
    plan = replace(method.plan, **{n: v for n, v in start.items() if n in plan_names} | options.plan)
    run_names = {f.name for f in fields(Run)}
    run = Run(**{n: v for n, v in start.items() if n in run_names} | options.run)
    if idle := without_effect({**options.run, **options.plan}, {**vars(run), **vars(plan)}):
        raise Faults(idle)
    run = replace(run, size=_size(run, sources, origin))
    channels = sources.training[0].channels
    if channels != 3 and not needs_backbone(method):
        raise Fault(f"{method.title} is for RGB images, and those of {run.data} have {channels} channels")
    spec = _backbone(run, method, channels, origin) if needs_backbone(method) else None
    choice = _settings(run, spec)
    if channels != 3:
        words = f"images of {channels} channels: views without saturation, hue and grey, which need RGB"
        choice = replace(choice, reasons=(*choice.reasons, words))
    run = replace(
        run,
        backbone=spec.name if spec else "auto",
        device=choice.device,
        precision=choice.precision,
        channels_last=choice.channels_last,
    )
    images = max(len(source) for source in sources.training)
    if images < 2:
        raise Fault(f"{run.data} has fewer than two images to train on")
    plan = replace(plan, batch_size=min(plan.batch_size, images))
    per_epoch = max(1, images // (plan.batch_size * run.accumulate))
    updates = 0 if run.budget else plan.epochs * per_epoch
    if origin is not None:
        hyper["classes"] = classes
    return Job(
        run=run,
        plan=plan,
        hyper=hyper,
        backbone=spec,
        settings=choice,
        images=len(sources.training[0]),
        updates_per_epoch=per_epoch,
        updates=updates,
        origin=origin,
    )


def moved(job: Job, device: Device) -> Job:
    """The job on another device, in bf16 only where it was so and that device has it; Fault where there is none."""
    if device == job.run.device and available(device):
        return job
    run = replace(job.run, device=device, precision="auto" if job.run.precision == "bf16" else job.run.precision)
    choice = _settings(run, job.backbone)
    return replace(job, run=replace(run, device=choice.device, precision=choice.precision), settings=choice)


def _settings(run: Run, spec: backbones.Spec | None) -> Settings:
    """How the run uses the machine, with the form of attention that is faster here."""
    choice = settings(run.device, run.precision, run.channels_last, cnn=spec is None or "vit" not in spec.timm)
    return _with_attention(choice, spec)


def _with_attention(choice: Settings, spec: backbones.Spec | None) -> Settings:
    """The settings with the form of attention that is faster here; accelerators have fused kernels for every length."""
    shape = backbones.attention_shape(spec) if spec is not None else None
    if shape is None:
        return choice
    explicit = choice.device == "cpu" and explicit_is_faster(*shape, bf16=choice.precision == "bf16")
    words = "attention written out: faster here than the fused kernel" if explicit else "attention: the fused kernel"
    return replace(choice, explicit_attention=explicit, reasons=(*choice.reasons, words))


def _size(run: Run, sources: Sources, origin: Origin | None) -> int:
    if origin is None:
        return run.size or image_size(sources.training[0])
    if run.size not in (None, origin.job.size):
        raise Fault(f"{origin.path} saw images of {origin.job.size} px, not {run.size}: leave out the option `size`")
    return origin.job.size


def _backbone(run: Run, method: type[methods.Method], channels: int, origin: Origin | None) -> backbones.Spec:
    size = run.size or 0
    if run.backbone != "auto":
        return backbones.resolve(run.backbone, size, pool=method.pool, channels=channels)
    if origin is not None:
        return origin.kept
    if torch.cuda.is_available() and run.device in ("auto", "cuda"):
        name = "vit_small_patch16_224" if method.host == "vit" else "resnet50" if size >= 96 else "resnet18"
    else:
        name = "tiny_vit" if method.host == "vit" else "tiny_resnet"
    return backbones.resolve(name, size, pool=method.pool, channels=channels)


def build_method(job: Job, origin: methods.Method | None = None) -> methods.Method:
    """The method of a job, freshly initialised from torch's generator; for what goes on from a run, from `origin`.

    origin: the method of that run with its weights; by default with random ones, to be filled by a checkpoint.
    Fault where its network cannot see its views.
    """
    make: Callable[..., methods.Method] = kind_of(job.run.method)
    given: dict[str, Any] = {}
    if job.backbone is not None:
        given["backbone"] = backbones.build(job.backbone)
    if job.origin is not None:
        given["origin"] = origin or build_method(job.origin.job)
    if job.origin is not None or job.backbone is None:
        given["size"] = job.size
    method = make(**given, **job.hyper)
    if job.backbone is not None:
        for side in sorted({view.size for view in recipe(job, method).views} - {job.size}):
            backbones.check_side(given["backbone"], job.backbone, side)
    method.prepare(job.images)
    method.plan = job.plan
    method.total_updates = max(1, job.updates)
    method.total_epochs = max(job.epochs, 1e-9)
    return method


def recipe(job: Job, method: methods.Method) -> Recipe:
    """The views of a job, as its policies have them: the method's own, or those that the option `views` names, with the
    method's mask."""
    own = method.views(job.size)
    chosen = own if job.run.views == "auto" else chosen_views(job.run.views, job.size, type(method))
    views = tuple(view.for_channels(job.channels) for view in chosen.views)
    named = replace(chosen, views=views, mask=own.mask, salient=own.salient)
    return with_policies(named, job.run, negatives=method.takes_negatives)


def check_views(job: Job, method: methods.Method, sources: Sources) -> None:
    """Fault where the views of a job cannot be made of its data, or its crops not be led by its network."""
    check_objects(recipe(job, method), sources.training[0])
    if job.run.crops == "contrastive":
        convolutional(method.kept)
