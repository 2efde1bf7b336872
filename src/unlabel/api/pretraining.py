"""Pre-training, from options to a finished run folder."""

import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn

from unlabel import __version__, recipes
from unlabel.api.picturing import draw_inside
from unlabel.console import tell
from unlabel.diagnostics import Verdict
from unlabel.engine import options as engine_options
from unlabel.engine.finish import assess, close_run, evaluation_of, pictures
from unlabel.engine.fit import fit
from unlabel.engine.folder import RunFolder, fresh, write_json
from unlabel.engine.job import Job, build_method, check_views, decide, moved, recipe
from unlabel.engine.keep import load_backbone, load_method, note_skipped, save_backbone
from unlabel.engine.kinds import TAUGHT
from unlabel.engine.loggers import Loggers, need
from unlabel.engine.machine import available, git_commit, machine, versions
from unlabel.engine.places import check_folder
from unlabel.engine.progress import stages
from unlabel.engine.run import Device, Run, convert
from unlabel.engine.sources import Sources, image_size, open_sources
from unlabel.engine.towers import save_towers, with_tokeniser
from unlabel.errors import Fault, Interrupted, command, writing
from unlabel.methods import Method
from unlabel.reporting import write_report
from unlabel.reporting.grids import views_grid, write_picture
from unlabel.reporting.thumbnails import write_thumbnails


@dataclass(frozen=True)
class Result:
    """What a run left behind.

    folder: the run folder; report: the page to open; verdict: what happened, in words; evaluation: its numbers.
    """

    folder: Path
    report: Path | None
    verdict: Verdict | None
    evaluation: dict[str, Any] | None

    def backbone(self) -> nn.Module:
        """The pre-trained backbone, images [B, 3, S, S] -> features [B, D]."""
        return load_backbone(self.folder)


def pretrain(
    method: str | None = None,
    *,
    resume: str | Path | None = None,
    console: Console | None = None,
    **options: Any,
) -> Result:
    """Pre-train on unlabelled images: `unlabel.pretrain("simclr", data="DIR", epochs=100, temperature=0.2)`.

    method: a name from `unlabel methods`; options: those of `Run`, `Plan` and of the method, by name;
    resume: a run folder to go on with instead, exactly where its last checkpoint is; `device` may be another one then.
    Raises Fault (or Faults, all at once) for what the user can mend; Interrupted after Ctrl-C.
    """
    console = console or Console(stderr=True)
    if resume is not None:
        return _resume(RunFolder(resume), console, device_of(options, method))
    if method is None:
        raise Fault("no method given; `unlabel methods` lists them, for example `unlabel pretrain simclr --data DIR`")
    if method in TAUGHT:
        raise Fault(f"`{method}` goes on from a run: `unlabel {method} RUN`")
    chosen = engine_options.check(method, plain_values(options))
    known_recipe(chosen)
    asked = Run(**chosen.run)
    need(asked.log)
    check_place(asked)
    sources = open_sources(asked)
    size = asked.size or image_size(sources.training[0])
    name, start = recipes.choose(method, asked.recipe, data=asked.data, size=size, chosen=chosen.hyper)
    job = decide(chosen, start, sources)
    check_views(job, build_method(job), sources)  # what it or its views refuse is refused before anything is written
    folder = make_place(asked)
    job = replace(job, run=replace(job.run, recipe=name, out=str(folder.path)))
    with folder.held():
        begin(job, sources, folder)
        return _run(job, sources, folder, console, resume=False)


def plain_values(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with paths as text."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}


def known_recipe(chosen: engine_options.Options) -> None:
    """Fault, with the nearest name, where a recipe was asked for that there is not."""
    name = chosen.run.get("recipe", "auto")
    if name not in ("auto", *recipes.recipes(chosen.run["method"])):
        recipes.choose(chosen.run["method"], name, data="", size=0)


def check_place(run: Run) -> None:
    """Fault if the folder to write holds something already, or cannot be made."""
    path = Path(run.out or "runs")
    if run.out is not None and path.exists() and (not path.is_dir() or any(path.iterdir())):
        go_on = shlex.join(["--resume", str(path)])
        raise Fault(f"{path} exists and is not empty: choose another --out, or go on with it by {go_on}")
    check_folder(path)


def make_place(run: Run) -> RunFolder:
    """The folder to write, made when there is something to write: no other run that begins now gets the same."""
    check_place(run)  # once more, for opening the images may have taken minutes
    with writing(run.out or "runs"):
        if run.out is None:
            stem = Path(run.data.split("@")[0].replace(":", "-")).stem or "data"
            return RunFolder(fresh(Path("runs"), f"{run.method}-{stem}"))
        Path(run.out).mkdir(parents=True, exist_ok=True)
        return RunFolder(run.out)


def begin(job: Job, sources: Sources, folder: RunFolder, **more: Any) -> None:
    """Make the run folder, with what was decided in run.json."""
    folder.path.mkdir(parents=True, exist_ok=True)
    write_json(folder.run_json, {
        "unlabel": __version__, **job.as_dict(), "data": _data_facts(job, sources), "versions": versions(),
        "machine": machine(), "git": git_commit(), "protocol": {"split": sources.split}, "cost": {}, "finished": False,
        **more,
    })  # fmt: skip


def _data_facts(job: Job, sources: Sources) -> dict[str, Any]:
    first = sources.training[0]
    return {
        "spec": job.run.data, "images": [len(source) for source in sources.training],
        "classes": first.classes, "fingerprint": [source.fingerprint() for source in sources.training], "skipped": 0,
    }  # fmt: skip


def device_of(options: Mapping[str, Any], begins: object) -> Device | None:
    """The one option that `--resume` takes: another device to go on with; Fault for others, or what begins a run."""
    if begins is not None or options.keys() - {"device"}:
        raise Fault("--resume takes a run folder, `device` and no other options: a run goes on exactly as it was begun")
    try:
        found: Device | None = convert(options.get("device"), Device | None)
    except ValueError as wrong:
        raise Fault(f"option `device` is {options['device']!r}, but must be {wrong}") from None
    return found


def stored_job(folder: RunFolder, device: Device | None) -> Job:
    """The job of a run that goes on, on its own device or on another one; Fault where that is not here."""
    job = Job.from_dict(folder.read())
    if device is not None:
        return moved(job, device)
    if not available(job.settings.device) and not folder.finished:
        on = command(job.command, "--resume", folder.path, "--device", "auto")
        raise Fault(f"{folder.path} was begun on {job.settings.device}, and torch finds none here: go on with `{on}`")
    return job


def _resume(folder: RunFolder, console: Console, device: Device | None) -> Result:
    job = stored_job(folder, device)
    if job.command != "pretrain":
        on = command(job.command, "--resume", folder.path)
        raise Fault(f"{folder.path} goes on from another run: `{on}`")
    if folder.finished:
        tell(console, f"{folder.path} is finished already; its report is {folder.report}")
        return result_of(folder)
    need(job.run.log)
    with folder.held():
        sources = open_sources(job.run)
        check_unchanged(job, sources, folder)
        if device is not None:
            folder.update(**job.as_dict())
        begun = folder.checkpoint.exists()  # killed before its first checkpoint, a run simply starts
        return _run(job, sources, folder, console, resume=begun)


def check_unchanged(job: Job, sources: Sources, folder: RunFolder) -> None:
    """Fault where the images are not those that the run was begun with."""
    if [source.fingerprint() for source in sources.training] != folder.read()["data"]["fingerprint"]:
        raise Fault(
            f"{job.run.data} has changed since {folder.path} was begun, so it cannot go on exactly: "
            "restore the files or start a new run"
        )


def _run(job: Job, sources: Sources, folder: RunFolder, console: Console, *, resume: bool) -> Result:
    announce(job, sources, folder, console)
    with going_on(job, folder), Loggers(job, folder, console) as loggers:
        sources = with_tokeniser(job, sources, folder)
        job = fit(job, sources, folder, console, loggers=loggers, resume=resume)
        _conclude(job, sources, folder, console)
        loggers.result(job.updates)
    return result_of(folder)


@contextmanager
def going_on(job: Job, folder: RunFolder) -> Iterator[None]:
    """Inside, Ctrl-C says how to go on with the run at any moment, not only while it is trained."""
    try:
        yield
    except KeyboardInterrupt:
        on = command(job.command, "--resume", folder.path)
        raise Interrupted(f"stopped; what was trained is saved: go on with `{on}`") from None


def _conclude(job: Job, sources: Sources, folder: RunFolder, console: Console) -> None:
    """What follows training: the backbone, the pictures, the evaluation, the report."""
    _, method = load_method(folder.path)
    method.plan = job.plan
    save_backbone(job, method, folder)
    save_towers(job, method, folder)
    draw(job, method, sources, folder)
    if job.run.evaluate:
        begun = time.monotonic()
        finish(job, method, sources, folder, console)
        tell(console, f"evaluated in {time.monotonic() - begun:.0f} s")
    count = note_skipped(folder, sources.skipped())
    close_run(folder, count)
    if count:
        tell(console, f"{count} files could not be read and were left out; {folder.skipped} says why")
    if job.run.evaluate:
        write_report(folder.path)


def finish(
    job: Job, method: Method, sources: Sources, folder: RunFolder, console: Console, *, everything: bool = False
) -> None:
    """Evaluate, and keep small pictures of what was evaluated for the report."""
    with stages(console, "evaluating") as progress:
        shown = assess(job, method, sources, folder, progress, everything=everything)
    if shown:
        write_thumbnails((sources.queries.image(i) for i in shown), folder.artifacts)
    draw_inside(job, method, sources, folder)


def result_of(folder: RunFolder) -> Result:
    """What a run folder says of its run."""
    evaluation = evaluation_of(folder)
    judged = Verdict(**evaluation["verdict"]) if evaluation else None
    return Result(folder.path, folder.report if folder.report.exists() else None, judged, evaluation)


def announce(job: Job, sources: Sources, folder: RunFolder, console: Console) -> None:
    """Say what was chosen, and why, before it is done."""
    images = " and ".join(f"{len(source):,}" for source in sources.training)
    what = f"{images} images of {sources.training[0].name}"
    tell(console, f"{job.run.method} on {what}, {job.size} px, recipe {job.run.recipe}")
    network = job.backbone.name if job.backbone else "networks of its own"
    length = f"{job.updates:,} updates ({job.epochs:.1f} epochs)" if job.updates else f"for {job.run.budget}"
    plan = job.plan
    rate = f"{plan.optimiser} lr {plan.peak(plan.batch_size):g}"
    tell(console, f"{network} · batch {plan.batch_size} · {rate} · {length}")
    tell(console, f"{job.settings.device} · {'; '.join(job.settings.reasons) or job.settings.precision}")
    tell(console, f"{sources.split[0].upper()}{sources.split[1:]}")
    tell(console, f"run folder {folder.path}")


def draw(job: Job, method: Method, sources: Sources, folder: RunFolder) -> None:
    """Draw the views that the method saw, and what it has to show of them, into the run folder."""
    batch, drawn = pictures(job, method, sources)
    views = recipe(job, method).views
    write_picture(views_grid(batch.views, views[0].mean, views[0].std), folder.artifacts / "views.png")
    for name, picture in drawn.items():
        write_picture(picture, folder.artifacts / f"{name}.png")
