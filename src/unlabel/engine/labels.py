"""Which images' labels are known to what is trained with labels."""

import math
from dataclasses import dataclass, replace

import numpy as np

from unlabel.data.source import Subset
from unlabel.engine.job import Job
from unlabel.engine.run import Run
from unlabel.engine.sources import Sources, open_sources
from unlabel.errors import Fault
from unlabel.evaluation.protocol import balanced


@dataclass(frozen=True)
class Lesson:
    """What is trained on, with what is known of it.

    sources  the images; those of `training` are the ones trained on, `queries` are asked about in the end
    known    [images] int64, the class of each training image, -1 where it is not known
    classes  how many classes there are
    """

    sources: Sources
    known: np.ndarray
    classes: int


def few(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The positions of a share of the labelled images, at least one of each class, by a fixed shuffle.

    labels [n] int64, -1 = unknown. Classes are as equal in number as the images allow, and a smaller share of the same
    seed is part of a larger one. Positions in rising order.
    """
    labelled = np.flatnonzero(labels >= 0)
    count = max(len(np.unique(labels[labelled])), math.ceil(share * len(labelled) - 1e-9))
    return labelled[balanced(labels[labelled], count, seed)]


def labelled_lesson(run: Run, share: float) -> Lesson:
    """A share of the labelled images of a run's data; Fault where labels, or images to be asked about, are missing."""
    sources = open_sources(run)
    source = sources.training[0]
    classes = _classes(sources, run.data)
    chosen = Subset(source, few(source.labels, share, run.seed))
    return Lesson(replace(sources, training=[chosen]), chosen.labels, classes)


def open_lesson(job: Job) -> Lesson:
    """The lesson of a job that goes on from a run."""
    if job.origin is None:
        raise ValueError(f"a {job.run.method} run is taught nothing")
    if job.run.method == "finetune":
        return labelled_lesson(job.run, job.hyper["labels"])
    return unlabelled_lesson(job.run, job.origin.job)


def unlabelled_lesson(run: Run, teacher: Job) -> Lesson:
    """All images of a run's data; where they are those of the teacher's fine-tuning, with the labels it had.

    Where they are not, the teacher's queries are asked about, unless the run names others.
    """
    sources, taught = open_sources(run), fine_tuned(teacher)
    source, theirs = sources.training[0], open_sources(taught.run)
    known = np.full(len(source), -1, np.int64)
    if theirs.training[0].fingerprint() == source.fingerprint():
        chosen = few(source.labels, taught.hyper["labels"], taught.run.seed)
        known[chosen] = source.labels[chosen]
    elif run.eval_data is None:
        sources = replace(sources, memory=theirs.memory, queries=theirs.queries, split=f"the teacher's; {theirs.split}")
    return Lesson(sources, known, teacher.hyper["classes"])


def fine_tuned(job: Job) -> Job:
    """The fine-tuning that a classifier goes back to: itself, or that of its first teacher."""
    while job.run.method != "finetune":
        if job.origin is None:
            raise ValueError(f"a {job.run.method} run classifies nothing")
        job = job.origin.job
    return job


def _classes(sources: Sources, data: str) -> int:
    """How many classes training images and queries share; Fault where there are none, or others."""
    source, queries = sources.training[0], sources.queries
    if not (source.labels >= 0).any():
        raise Fault(f"{data} has no labels to learn from: put the images into a folder for each class")
    if queries is source or not (queries.labels >= 0).any():
        raise Fault(f"{data} leaves no labelled images to ask about: give them by --eval-data, or 20 images at least")
    classes = int(source.labels.max()) + 1
    if classes < 2 or source.classes != queries.classes or int(queries.labels.max()) >= classes:
        raise Fault(f"{data} and {queries.name} must have the same classes, two or more, in folders of the same names")
    return classes
