"""What one does with a run that reads texts: name classes it was never taught, search images by words and back."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from rich.console import Console
from torch import Tensor

from unlabel.api.queries import as_image, query_pixels, save_picture, vector_of, vectors_of
from unlabel.data.folder import is_picture
from unlabel.data.open import has_test_split, open_source
from unlabel.data.source import Source
from unlabel.engine.folder import RunFolder
from unlabel.engine.job import Job
from unlabel.engine.places import check_picture
from unlabel.engine.towers import Towers, load_towers
from unlabel.errors import Fault
from unlabel.evaluation.features import Features
from unlabel.evaluation.image_text import Retrieval, ZeroShot, class_vectors, retrieval, zero_shot
from unlabel.evaluation.neighbours import neighbours
from unlabel.evaluation.protocol import Protocol
from unlabel.evaluation.texts import TEMPLATE, distinct, named_by, searched_by, spoken
from unlabel.reporting.contact_sheet import neighbours_picture, text_card


def zeroshot(
    run: str | Path,
    *,
    data: str | None = None,
    classes: Sequence[str] | None = None,
    templates: Sequence[str] = (TEMPLATE,),
    console: Console | None = None,
) -> ZeroShot:
    """How often the nearest class name is the right one, for classes that the run was never taught.

    data       labelled images; where they have a test split, that; default: the test split of the run's own data
    classes    what the classes of the data are called, in their order; default: their names there
    templates  sentences in which {} is the name of a class; the vectors of several are averaged

    Raises Fault for a run that reads no texts, data without labels, names or templates that do not fit.
    """
    if not templates:
        raise Fault("zero-shot classification needs a template at least, such as `a photo of a {}`")
    for template in templates:
        if template.count("{}") != 1:
            raise Fault(f"the template `{template}` must have {{}} once, for the name of a class: `a photo of a {{}}`")
    towers, source = load_towers(run), _asked(run, data, captions=False)
    names = _names(source, classes)
    prompts = towers.texts([template.replace("{}", name) for name in names for template in templates])
    found = _vectors(towers, source, run, console)
    known = found.labels >= 0
    if not known.any():
        raise Fault(f"no image of {source.name} that can be read has a label: zero-shot accuracy cannot be measured")
    vectors = class_vectors(prompts.unflatten(0, (len(names), len(templates))))
    named = zero_shot(found.vectors[known], found.labels[known], vectors)
    return named_by(named, Protocol().shown(towers.view), templates)


def _names(source: Source, classes: Sequence[str] | None) -> list[str]:
    """What the classes of a source are called."""
    if source.classes is None:
        raise Fault(f"{source.name} has no classes: zero-shot accuracy needs labelled images, such as class folders")
    if classes is None:
        return [spoken(name) for name in source.classes]
    if len(classes) != len(source.classes):
        listed = ", ".join(source.classes[:8]) + (", ..." if len(source.classes) > 8 else "")
        raise Fault(
            f"{source.name} has {len(source.classes)} classes ({listed}) and {len(classes)} names are given: "
            "give one for each, in that order"
        )
    return list(classes)


@overload
def retrieve(
    run: str | Path, query: None = None, *, data: str | None = None, console: Console | None = None
) -> Retrieval: ...


@overload
def retrieve(
    run: str | Path, query: str | Path, *, data: str | None = None, k: int = 10, out: str | Path | None = None,
    console: Console | None = None,
) -> list[tuple[str, float]]: ...  # fmt: skip


def retrieve(
    run: str | Path, query: str | Path | None = None, *, data: str | None = None, k: int = 10,
    out: str | Path | None = None, console: Console | None = None,
) -> Retrieval | list[tuple[str, float]]:  # fmt: skip
    """Search images by a text or captions by an image; without a query, how well that works over all of the data.

    query  a text: the k images nearest to it; a picture's file: the k captions nearest to it; None: recall at 1, 5
           and 10 of images by their captions and of captions by their images
    data   what is searched; where it has a test split, that; default: the test split of the run's own data
    out    for a text: a picture (PNG or JPEG) to write, of what was found

    Returns paths or captions with their cosines, nearest first; or the recalls with those of guessing.
    Raises Fault for a run that reads no texts, a query that cannot be read, data without captions where needed, and
    a picture that cannot be written, which is asked before anything is embedded.
    """
    if k < 1:
        raise Fault(f"k is how many to find, at least 1, not {k}")
    pictured = query is not None and (is_picture(os.fspath(query)) or os.path.isfile(query))
    if out is not None and (query is None or pictured):
        raise Fault(f"{out} would show the images that a text finds: give a text to look for, or leave it out")
    towers = load_towers(run)
    if out is not None:
        check_picture(out)
    if query is None:
        source = _asked(run, data, captions=True)
        found = _vectors(towers, source, run, console)
        texts, pairs = distinct(source, found.index.tolist())
        return searched_by(retrieval(found.vectors, towers.texts(texts), pairs), Protocol().shown(towers.view))
    if pictured:
        pixels = query_pixels(query, run, towers.view)
        source = _asked(run, data, captions=True)
        texts, _ = distinct(source, range(len(source)))
        vector = vector_of(towers.reads.image_vectors, pixels, towers.view)
        return [(texts[i], cosine) for i, cosine in _nearest(vector, towers.texts(texts), k)]
    source = _asked(run, data, captions=False)
    found = _vectors(towers, source, run, console)
    nearest = [(int(found.index[i]), c) for i, c in _nearest(towers.texts([str(query)]), found.vectors, k)]
    if out is not None:
        shown = [(as_image(source.image(i)), 1 - cosine, source.path(i)) for i, cosine in nearest]
        save_picture(neighbours_picture(text_card(str(query)), shown), out)
    return [(source.path(i), cosine) for i, cosine in nearest]


def _asked(run: str | Path, data: str | None, *, captions: bool) -> Source:
    """The data, or its test split if it has one; of the run's own data only a test split, for the rest was learnt."""
    if data is not None:
        return open_source(data, split="test" if has_test_split(data) else "train", captions=captions)
    own = Job.from_dict(RunFolder(run).read()).run.data
    if not has_test_split(own):
        raise Fault(f"{own}, which {run} was trained on, has no test split: say by --data which images to take instead")
    return open_source(own, split="test", captions=captions)


def _vectors(towers: Towers, source: Source, run: str | Path, console: Console | None) -> Features:
    return vectors_of(towers.reads.image_vectors, source, towers.view, run, console)


def _nearest(vector: Tensor, vectors: Tensor, k: int) -> list[tuple[int, float]]:
    """The rows of `vectors` nearest to `vector` [1, D], with their cosines."""
    index, distance = neighbours(vector, vectors, k)
    return [(int(i), 1 - float(d)) for i, d in zip(index[0], distance[0], strict=True)]
