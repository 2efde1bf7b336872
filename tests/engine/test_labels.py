"""Which images' labels are known: as many of each class, the same every time, few inside more."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlabel.engine.labels import few, labelled_lesson
from unlabel.engine.run import Run
from unlabel.errors import Fault

CIFAR = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 5000))


@pytest.mark.parametrize(("share", "count"), [(0.01, 500), (0.1, 5000)])
def test_shares_of_cifar_are_balanced_to_the_image(share: float, count: int) -> None:
    chosen = few(CIFAR, share, seed=0)
    assert len(chosen) == count == len(set(chosen.tolist()))
    assert (np.bincount(CIFAR[chosen]) == count // 10).all()


def test_the_seed_decides_and_fewer_are_part_of_more() -> None:
    one, ten = few(CIFAR, 0.01, seed=3), few(CIFAR, 0.1, seed=3)
    assert np.array_equal(one, few(CIFAR, 0.01, seed=3)) and set(one.tolist()) <= set(ten.tolist())
    assert not np.array_equal(one, few(CIFAR, 0.01, seed=4))


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=40).filter(lambda found: max(found) >= 0),
       st.floats(1e-6, 1.0), st.integers(0, 9))  # fmt: skip
def test_every_class_is_there_and_no_unlabelled_image(labels: list[int], share: float, seed: int) -> None:
    y = np.array(labels, np.int64)
    chosen = few(y, share, seed)
    assert (y[chosen] >= 0).all() and set(y[chosen].tolist()) == set(y[y >= 0].tolist())
    counts = np.bincount(y[chosen])
    full = np.bincount(y[y >= 0], minlength=len(counts))
    open_classes = counts[(counts < full) & (full > 0)]
    assert not len(open_classes) or counts[full > 0].max() - open_classes.min() <= 1


def test_a_lesson_trains_on_its_labels_alone_and_asks_about_others() -> None:
    lesson = labelled_lesson(Run(data="shapes:200"), 0.1)
    (training,) = lesson.sources.training
    assert len(training) == 20 and lesson.classes == 8
    assert np.array_equal(lesson.known, training.labels) and (lesson.known >= 0).all()
    assert lesson.sources.queries.fingerprint() != training.fingerprint()


def test_data_without_labels_is_a_fault(tmp_path) -> None:
    from PIL import Image

    for i in range(4):
        Image.new("RGB", (32, 32), (60 * i, 0, 0)).save(tmp_path / f"{i}.png")
    with pytest.raises(Fault, match="no labels to learn from"):
        labelled_lesson(Run(data=str(tmp_path)), 0.5)
    for name in ("a", "b"):
        (tmp_path / "few" / name).mkdir(parents=True)
        Image.new("RGB", (32, 32), "red" if name == "a" else "blue").save(tmp_path / "few" / name / "x.png")
    with pytest.raises(Fault, match="no labelled images to ask about"):
        labelled_lesson(Run(data=str(tmp_path / "few")), 0.5)
