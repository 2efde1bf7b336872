"""What goes on from a run with labels: fine-tuning and distillation, from options to a finished run folder."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from unlabel import recipes
from unlabel.api.pretraining import (
    Result,
    announce,
    begin,
    check_place,
    check_unchanged,
    device_of,
    draw,
    finish,
    going_on,
    known_recipe,
    make_place,
    plain_values,
    result_of,
    stored_job,
)
from unlabel.api.shares import begin_series, go_on_series, is_series, shares_of
from unlabel.console import tell
from unlabel.engine import options as engine_options
from unlabel.engine.classified import control_of, save_classifier
from unlabel.engine.finetuning import SHARE
from unlabel.engine.finish import close_run
from unlabel.engine.fit import fit
from unlabel.engine.folder import RunFolder
from unlabel.engine.job import Job, Origin, build_method, decide, recipe
from unlabel.engine.keep import backbone_facts, load_method, note_skipped, save_backbone, spec_of
from unlabel.engine.labels import Lesson, fine_tuned, labelled_lesson, open_lesson, unlabelled_lesson
from unlabel.engine.loggers import Loggers, need
from unlabel.engine.run import Device, Run
from unlabel.engine.sources import Sources, same_channels
from unlabel.errors import Fault, Interrupted, command
from unlabel.methods import Classifies, Method
from unlabel.reporting import write_report


def finetune(
    run: str | Path | None = None,
    *,
    resume: str | Path | None = None,
    console: Console | None = None,
    **options: Any,
) -> Result:
    """Train a run's backbone to classify, with few labels: `unlabel.finetune("runs/simclr-1", labels=0.1, epochs=60)`.

    run       a finished run of any method that has a backbone
    resume    a run folder of this function to go on with instead, exactly where its last checkpoint is; `device` may
              be another one then
    options   labels (share of the images whose labels are used, as many of each class: 0.1, or "10%"), from_head
              (layers of the run's projector that stay, -1 for all; default: 1 for SimCLR v2, 0 for others), data
              (default: the run's own) and the other options of `pretrain`

    The same network from random weights, with the same labels and updates, is trained too, as the control, unless
    evaluate=False. Several shares, labels="1%,10%,100%", are a run and a control each, in folders of their own inside
    that of the result, whose `evaluation` is the table of them all, as in finetuning.json; its page is `report`. Raises
    Fault for what the user can mend; Interrupted after Ctrl-C.
    """
    console = console or Console(stderr=True)
    if resume is not None and is_series(resume):
        device = device_of(options, run)
        return go_on_series(
            Path(resume),
            lambda run, share, out, stored: _begin(
                "finetune", run, console, {**stored, **options, "labels": share, "out": str(out)}
            ),
            lambda path: _go_on("finetune", RunFolder(path), console, device),
        )
    labels = options.get("labels")
    if resume is None and (isinstance(labels, list | tuple) or (isinstance(labels, str) and set(labels) & set(",%"))):
        shares = shares_of(labels)
        if len(shares) > 1 and run is not None:
            return _series(Path(run), shares, plain_values(options), console)
        options |= {"labels": shares[0]}
    return _taught("finetune", run, resume, console, options)


def _series(run: Path, shares: list[float], options: dict[str, Any], console: Console) -> Result:
    """A run and its control for each share of the labels."""
    if str(options.get("evaluate", True)).lower() in ("false", "no", "0"):
        raise Fault(
            "several shares are compared by their accuracies: leave out the option `evaluate`, or give one share"
        )
    before = load_method(run)[0].run
    data = str(options.get("data", before.data))
    folder = make_place(Run(method="finetune", data=data, out=options.get("out"))).path
    kept = {name: value for name, value in options.items() if name not in ("labels", "out")}
    return begin_series(
        run, folder, shares, kept,
        lambda share, out: _begin("finetune", run, console, {**kept, "labels": share, "out": str(out)}),
    )  # fmt: skip


def distil(
    teacher: str | Path | None = None,
    *,
    resume: str | Path | None = None,
    console: Console | None = None,
    **options: Any,
) -> Result:
    """Teach a student what a fine-tuned run says of unlabelled images: `unlabel.distil("runs/finetune-1", epochs=50)`.

    teacher   a finished run of `finetune` or of this function
    resume    a run folder of this function to go on with instead, exactly where its last checkpoint is; `device` may
              be another one then
    options   backbone (the student's; default: the teacher's kind), temperature, alpha (1: without labels),
              from_teacher, data (default: the teacher's, all of its images) and the other options of `pretrain`

    The control is the student's network from random weights with the teacher's labels alone. Raises as `finetune` does.
    """
    return _taught("distil", teacher, resume, console, options)


def _taught(
    kind: str, run: str | Path | None, resume: str | Path | None, console: Console | None, options: Mapping[str, Any]
) -> Result:
    console = console or Console(stderr=True)
    if resume is None:
        if run is None:
            raise Fault(f"no run given to go on from, for example `unlabel {kind} runs/simclr-photos-1`")
        return _begin(kind, Path(run), console, options)
    return _go_on(kind, RunFolder(resume), console, device_of(options, run))


def _begin(kind: str, run: Path, console: Console, options: Mapping[str, Any]) -> Result:
    facts = backbone_facts(RunFolder(run))
    before, method = load_method(run)
    origin = Origin(str(run), before, spec_of(facts))
    if kind == "distil" and not isinstance(method, Classifies):
        first = command("finetune", run)
        raise Fault(f"{run} is a {before.run.method} run, which classifies nothing: `{first}` first")
    own = {name: getattr(before.run, name) for name in ("data", "eval_data", "limit")}
    chosen = engine_options.check(kind, ({} if "data" in options else own) | plain_values(options))
    known_recipe(chosen)
    if kind == "finetune":
        chosen = replace(chosen, hyper={"from_head": method.finetune_from} | chosen.hyper)
    if kind == "finetune" and chosen.run.get("backbone", "auto") != "auto":
        raise Fault(f"fine-tuning goes on with the backbone of {run}: leave out the option `backbone`")
    asked = Run(**chosen.run)
    need(asked.log)
    check_place(asked)
    share = chosen.hyper.get("labels", SHARE)
    lesson = labelled_lesson(asked, share) if kind == "finetune" else unlabelled_lesson(asked, before)
    if chosen.hyper.get("alpha", 1.0) < 1 and not (lesson.known >= 0).any():
        raise Fault(f"{asked.data} holds other images than the teacher had labels of: leave out the option `alpha`")
    same_channels(lesson.sources.training[0], before.channels, f"the run {run}")
    name, start = recipes.choose(kind, asked.recipe, data=asked.data, size=before.size)
    job = decide(chosen, start, lesson.sources, origin=origin, classes=lesson.classes)
    recipe(job, build_method(job, method))  # whatever it refuses is refused before anything is written
    folder = make_place(asked)
    job = replace(job, run=replace(job.run, recipe=name, out=str(folder.path)))
    with folder.held():
        begin(job, lesson.sources, folder, labels=_labels(job, lesson))
        return _run(job, lesson, folder, console, method, resume=False)


def _labels(job: Job, lesson: Lesson) -> dict[str, Any]:
    """Which labels are used, by whom and of what, for run.json: a student counts those of its teacher's lesson."""
    taught = fine_tuned(job)
    count = len(lesson.known) if taught is job else taught.images
    return {
        "images": count, "share": taught.hyper["labels"], "seed": taught.run.seed, "data": taught.run.data,
        "classes": lesson.sources.queries.classes,
    }  # fmt: skip


def _go_on(kind: str, folder: RunFolder, console: Console, device: Device | None) -> Result:
    job = stored_job(folder, device)
    if job.command != kind or job.origin is None:
        on = command(job.command, "--resume", folder.path)
        raise Fault(f"{folder.path} is a {job.run.method} run: `{on}`")
    if folder.finished:
        tell(console, f"{folder.path} is finished already; its report is {folder.report}")
        return result_of(folder)
    need(job.run.log)
    with folder.held():
        lesson = open_lesson(job)
        check_unchanged(job, lesson.sources, folder)
        if device is not None:
            folder.update(**job.as_dict())
        begun = folder.checkpoint.exists()  # else its first weights are still those of the run it goes on from
        method = None if begun else load_method(job.origin.path)[1]
        return _run(job, lesson, folder, console, method, resume=begun)


def _run(
    job: Job, lesson: Lesson, folder: RunFolder, console: Console, origin: Method | None, *, resume: bool
) -> Result:
    sources = lesson.sources
    announce(job, sources, folder, console)
    tell(console, f"{int((lesson.known >= 0).sum()):,} labels of {lesson.classes} classes")
    with going_on(job, folder), Loggers(job, folder, console) as loggers:
        build = _builder(lesson, origin)
        job = fit(job, sources, folder, console, loggers=loggers, resume=resume, build=build)
        if job.run.evaluate:
            _train_control(job, lesson, folder, console)
        _conclude(job, sources, folder, console)
        loggers.result(job.updates)
    return result_of(folder)


def _conclude(job: Job, sources: Sources, folder: RunFolder, console: Console) -> None:
    """What follows training: backbone and classifier, pictures, evaluation, report."""
    _, method = load_method(folder.path)
    method.plan = job.plan
    save_backbone(job, method, folder)
    save_classifier(method, folder)
    draw(job, method, sources, folder)
    if job.run.evaluate:
        finish(job, method, sources, folder, console)
    close_run(folder, note_skipped(folder, sources.skipped()))
    if job.run.evaluate:
        write_report(folder.path)


def _builder(lesson: Lesson, origin: Method | None) -> Callable[[Job], Method]:
    """Makes the method of a job as it is before its first update: with the weights of `origin`, and told the labels."""

    def build(job: Job) -> Method:
        method = build_method(job, origin)
        assert isinstance(method, Classifies)
        method.tell(torch.from_numpy(lesson.known))
        return method

    return build


def _train_control(job: Job, lesson: Lesson, folder: RunFolder, console: Console) -> None:
    """Train the same network from random weights with the same labels, as long; a run of its own inside the folder."""
    control, on = control_of(folder), command(job.command, "--resume", folder.path)
    if job.run.method == "distil":
        taught = fine_tuned(job)
        lesson = labelled_lesson(taught.run, taught.hyper["labels"])
    job = _control_job(job, lesson, folder)
    if not control.run_json.exists():
        begin(job, lesson.sources, control)
    if control.finished:
        return
    tell(console, f"its control: from random weights, {len(lesson.known):,} labels")
    begun, build = control.checkpoint.exists(), _builder(lesson, None)
    try:
        with Loggers(job, control, console) as loggers:
            fit(job, lesson.sources, control, console, loggers=loggers, resume=begun, build=build)
    except Interrupted as stop:
        raise Interrupted(f"stopped while training the control; everything is saved: go on with `{on}`") from stop
    except Fault as problem:  # a control that diverges does not cost the run
        tell(console, f"the control failed: {problem}")
        return
    control.update(finished=True)


def _control_job(job: Job, lesson: Lesson, folder: RunFolder) -> Job:
    # It is no run of its own to W&B and MLflow: its numbers stand beside those of the run.
    log = tuple(name for name in job.run.log or () if name == "tensorboard")
    run = replace(job.run, monitors=0, log=log, out=str(control_of(folder).path))
    if job.run.method == "finetune":
        return replace(job, run=run, hyper=job.hyper | {"scratch": True})
    assert job.backbone is not None
    taught = fine_tuned(job)
    images = len(lesson.known)
    batch = min(job.plan.batch_size, images)
    return replace(
        job,
        run=replace(run, method="finetune", data=taught.run.data, eval_data=taught.run.eval_data),
        plan=replace(job.plan, batch_size=batch),
        hyper={"classes": lesson.classes, "labels": taught.hyper["labels"], "from_head": 0, "scratch": True},
        images=images,
        updates_per_epoch=max(1, images // (batch * job.run.accumulate)),
        origin=Origin(str(folder.path), job, job.backbone),
    )
