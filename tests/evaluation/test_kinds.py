"""Protocols: they say exactly what they declare."""

import json

import pytest

from unlabel.evaluation.kinds import KINDS, SEEN, Declared, line, same


def stated(kind):
    return {name: f"{name}!" for name in KINDS[kind].states}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_a_version_and_says_whose_weights_and_which_crop(kind):
    said = Declared(kind, stated(kind)).as_dict()
    assert list(said) == ["version", *KINDS[kind].states] and said["version"] == KINDS[kind].version >= 1
    assert {"weights", "view"} <= set(said) and (set(SEEN) <= set(said) or kind == "translation")
    assert json.loads(json.dumps(said)) == said


def test_what_is_missing_or_besides_is_refused():
    with pytest.raises(ValueError, match=r"lacks \['seed'\] and has \['sede'\]"):
        Declared("clustering", {("sede" if name == "seed" else name): 1 for name in KINDS["clustering"].states})


def test_one_line():
    found = {"version": 2, "k": 20, "view": "all of it", "nothing": "", "linear": {"l2": 1}, "chosen_on": "a tenth"}
    assert line(found) == "protocol 2: k 20; view all of it; chosen on a tenth"


def test_whose_weights_they_are_does_not_matter_to_controls():
    one, other = {"version": 1, "weights": "a"}, {"version": 1, "weights": "b"}
    assert same(one, other) and not same(one, {**other, "version": 2}) and not same(one, None) and same(None, {})
