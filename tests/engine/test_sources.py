"""Which images train and which are asked about: an image that is remembered is never asked about."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unlabel.engine.run import Run
from unlabel.engine.sources import open_sources

CLASSES = ("cat", "dog")


def pictures(folder: Path, per_class: int = 15) -> Path:
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / name / f"{i}.png")
    return folder


def paths(source) -> set[str]:
    return {source.path(i) for i in range(len(source))}


@pytest.mark.parametrize("limit", [None, 12])
def test_training_images_given_as_evaluation_data_are_divided(tmp_path, limit):
    data = pictures(tmp_path / "pets")
    found = open_sources(Run(data=str(data), eval_data=f"{tmp_path}/./pets/", limit=limit))
    assert found.labelled and not paths(found.memory) & paths(found.queries)
    assert "four fifths and one fifth" in found.split and len(found.training[0]) == (limit or 30)


def test_other_images_of_the_same_classes_are_asked_about(tmp_path):
    data, others = pictures(tmp_path / "pets"), pictures(tmp_path / "others", 2)
    found = open_sources(Run(data=str(data), eval_data=str(others)))
    assert len(found.memory) == 30 and len(found.queries) == 4 and "memory: the training images" in found.split


def test_a_tenth_is_held_out_of_labelled_images(tmp_path):
    found = open_sources(Run(data=str(pictures(tmp_path / "pets"))))
    assert (len(found.training[0]), len(found.queries)) == (27, 3) and not paths(found.memory) & paths(found.queries)
