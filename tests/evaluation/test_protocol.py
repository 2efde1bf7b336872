import json

import numpy as np
import pytest

from unlabel.evaluation.protocol import Protocol, balanced


def test_it_says_everything_as_plain_json():
    said = json.loads(json.dumps(Protocol(split="by hand").as_dict()))
    assert said["k"] == 20 and said["temperature"] == 0.07 and said["split"] == "by hand"
    assert {"version", "memory", "queries", "view", "layer", "weights", "data", "linear", "pixels", "random"} <= set(
        said
    )


def test_it_cannot_be_changed():
    with pytest.raises(AttributeError):
        Protocol().k = 5  # type: ignore[misc]


def test_small_collections_are_taken_whole():
    np.testing.assert_array_equal(balanced(np.array([0, 0, 1]), 10, 0), [0, 1, 2])


def test_classes_are_taken_equally():
    labels = np.repeat([0, 1, 2], [500, 300, 200])
    taken = balanced(labels, 90, seed=0)
    assert np.bincount(labels[taken]).tolist() == [30, 30, 30]
    assert (np.diff(taken) > 0).all()


def test_what_a_small_class_leaves_goes_to_the_others():
    labels = np.repeat([0, 1, 2], [100, 100, 4])
    assert np.bincount(labels[balanced(labels, 64, seed=0)]).tolist() == [30, 30, 4]


def test_the_choice_is_spread_and_depends_on_the_seed_alone():
    labels = np.full(10_000, -1)
    taken = balanced(labels, 1_000, seed=3)
    np.testing.assert_array_equal(taken, balanced(labels, 1_000, seed=3))
    assert not np.array_equal(taken, balanced(labels, 1_000, seed=4))
    assert 4_500 < taken.mean() < 5_500 and len(np.unique(taken)) == 1_000
