"""What one does with a finished run: evaluate, embed, look up neighbours, export, translate, load."""

from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from unlabel.api.pretraining import Result, finish, result_of
from unlabel.api.queries import as_image, query_pixels, save_picture, vector_of, vectors_of, view_of
from unlabel.console import tell
from unlabel.data.open import open_source
from unlabel.data.source import Source, Unreadable
from unlabel.engine.export import FORMATS, write_export
from unlabel.engine.finish import write_embeddings
from unlabel.engine.folder import RunFolder
from unlabel.engine.job import recipe
from unlabel.engine.keep import load_backbone, load_method
from unlabel.engine.labels import open_lesson
from unlabel.engine.places import check_file, check_folder, check_other, check_picture
from unlabel.engine.run import Run
from unlabel.engine.sources import open_sources, same_channels
from unlabel.errors import Fault, nearest, writing
from unlabel.evaluation.neighbours import neighbours
from unlabel.methods import Translates
from unlabel.nn.generator import LEAST
from unlabel.reporting import write_report
from unlabel.reporting.contact_sheet import neighbours_picture
from unlabel.reporting.files import check_named
from unlabel.views import View


def load(run: str | Path) -> nn.Module:
    """The pre-trained backbone of a run folder: images [B, C, S, S], normalised as in training, -> [B, D]."""
    return load_backbone(run)


def evaluate(run: str | Path, *, data: str | None = None, all: bool = False, console: Console | None = None) -> Result:
    """Evaluate a run's backbone (kNN, linear probe, retrieval) on labelled images, against its controls.

    Of a fine-tuned or distilled run: how often it is right. Renews evaluation.json and the report.

    data: the images; default: those the run was given. Labels are class folders, or those of the data set. Fault for a
    run that translates: it needs two domains.
    all: measure clustering too, accuracy on corrupted images, for which the network and its control see 96 times a
    thousand images (how long that takes is told when it begins), and what becomes of objects where masks are known. All
    that labels allow without training a network: fine-tuning is `finetune`, segmentation `segment`. Fault where there
    are no labels, or for a run that classifies or translates. Evaluated again without it, a run keeps what it found,
    unless weights, images or protocol are others.
    console: where progress is shown; default: standard error.
    """
    folder = RunFolder(run)
    job, method = load_method(run)
    if data is not None and isinstance(method, Translates):
        raise Fault(
            f"{run} translates between two domains, and `data` is one: leave it out, and give both to `pretrain` as "
            "`eval_data` and `eval_data_b`"
        )
    chosen = job.run if data is None else Run(**{**vars(job.run), "eval_data": data})
    sources = open_lesson(job).sources if job.origin and data is None else open_sources(chosen)
    finish(job, method, sources, folder, console or Console(stderr=True), everything=all)
    write_report(folder.path)
    return result_of(folder)


def report(run: str | Path) -> Path:
    """Write a run's report again from what its folder holds; returns the page's path."""
    folder = RunFolder(run)
    check_named(folder.read(), folder.run_json)
    return write_report(folder.path)


def embed(run: str | Path, *, data: str, out: str | Path, console: Console | None = None) -> int:
    """Write path, label (-1 = unknown) and feature vector of every image of `data` to a parquet file.

    Returns how many images were embedded; files that cannot be read are left out. Fault where `out` cannot be written
    or does not end in .parquet, which is asked before anything is embedded.
    """
    view = view_of(run)
    check_file(out, "a parquet table", (".parquet",))
    check_other(out, data)
    source = open_source(data)
    features = vectors_of(load_backbone(run), source, view, run, console)
    with writing(out):
        write_embeddings(Path(out), features, source)
    return len(features.index)


def neighbors(
    run: str | Path, *, query: str | Path, data: str, out: str | Path, k: int = 10, console: Console | None = None
) -> list[tuple[str, float]]:
    """Find the k images of `data` nearest to the picture `query` and draw them with their cosine distances.

    Returns path and distance of each, nearest first; `out` is the picture (PNG or JPEG) to write. Fault where that
    cannot be done, which is asked before anything is embedded.
    """
    view = view_of(run)
    check_picture(out)
    check_other(out, query)
    picture = query_pixels(query, run, view)
    backbone, source = load_backbone(run), open_source(data)
    features = vectors_of(backbone, source, view, run, console)
    index, distance = neighbours(vector_of(backbone, picture, view), features.vectors, min(k, len(features.index)))
    found = [(int(features.index[int(i)]), float(d)) for i, d in zip(index[0], distance[0], strict=True)]
    shown = [(as_image(source.image(i)), d, source.path(i)) for i, d in found]
    sheet = neighbours_picture(as_image(picture), shown)
    save_picture(sheet, out)
    return [(source.path(i), d) for i, d in found]


def export(run: str | Path, *, to: str, out: str | Path | None = None) -> Path:
    """Write the backbone for use without unlabel: to "timm", "torchvision" or "onnx".

    What is written is read back and compared: features agree to 1e-5, or it is a Fault. Returns the folder or file.
    """
    if to not in FORMATS:
        raise Fault(f"cannot export to `{to}`{nearest(to, FORMATS)} (known: {', '.join(FORMATS)})")
    folder = RunFolder(run)
    return write_export(folder, to, Path(out) if out else folder.path / f"export-{to}")


def translate(run: str | Path, *, data: str, out: str | Path, console: Console | None = None) -> int:
    """Translate every image of `data` into the second domain of an image-translation run; writes PNGs to `out`.

    Returns how many were written. Images keep their size, rounded to what the generator can take; those that cannot be
    read or are smaller than it can take are left out, and `console` (default: standard error) is told how many. Fault
    where that leaves none, or `out` is no folder that can be written to.
    """
    job, method = load_method(run)
    if not isinstance(method, Translates):
        raise Fault(f"{run} is a {job.run.method} run; only image translation (such as CUT) translates")
    check_folder(out)
    source, view = open_source(data), recipe(job, method).views[0]
    same_channels(source, view.channels, f"the run {run}")
    written = sum(_translate_one(method.translate, view, source, i, Path(out)) for i in range(len(source)))
    if left := [*source.skipped.values()]:
        words = f"{len(left):,} of {len(source):,} images were left out, such as {left[0]}"
        tell(console or Console(stderr=True), words)
    if not written:
        raise source.hopeless()
    return written


def _translate_one(translate: Callable[[Tensor], Tensor], view: View, source: Source, i: int, out: Path) -> bool:
    try:
        picture = source.image(i)
        if min(picture.shape[1:]) < LEAST:
            small = f"{picture.shape[2]} x {picture.shape[1]} pixels, and translation takes {LEAST} a side at least"
            raise source.refuse(i, small)
    except Unreadable:
        return False
    mean, std = (torch.tensor(values)[:, None, None] for values in (view.mean, view.std))
    height, width = picture.shape[1] // 4 * 4, picture.shape[2] // 4 * 4
    with torch.inference_mode():
        x = (picture[:, :height, :width].float() / 255 - mean) / std
        y = translate(x[None])[0] * std + mean
    translated = as_image((y.clamp(0, 1) * 255).round().to(torch.uint8))
    save_picture(translated, out / f"{i:06d}-{Path(source.path(i)).stem}.png")
    return True
