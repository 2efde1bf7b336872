"""What an evaluation is of, and what it says of an earlier one."""

from pathlib import Path

import pytest
import torch

from tests.methods.toy import Backbone
from unlabel import methods
from unlabel.engine.subject import fingerprint, remarks, whose


def test_a_fingerprint_changes_with_every_bit_name_shape_and_type():
    base = {"a": torch.arange(6.0), "n": 7}
    others = [
        {"b": torch.arange(6.0)},
        {"a": torch.arange(6.0).view(2, 3)},
        {"a": torch.arange(6.0).double()},
        {"a": torch.arange(6.0).nextafter(torch.tensor(9.0))},
        {"a": torch.arange(6.0), "c": torch.empty(0)},
    ]
    prints = [fingerprint(one) for one in (base, *others)]
    assert len(set(prints)) == 6 and fingerprint({"n": 8, "a": torch.arange(6.0).clone()}) == prints[0]
    assert fingerprint({"a": torch.ones(3, 2).T}) == fingerprint({"a": torch.ones(2, 3)})
    assert fingerprint({"a": torch.tensor(1.0, dtype=torch.bfloat16)})


@pytest.mark.parametrize(("name", "who"), [("simclr", "no teacher"), ("moco", "the student"), ("dino", "the teacher")])
def test_whose_weights_are_kept(name, who):
    assert who in whose(methods.get(name)(Backbone()))


def test_remarks():
    found = {"controls_non_finite": {}, "kept": ["clustering", "robustness"], "clustering": {"a": 1}, "robustness": {}}
    earlier = {"clustering": {"a": 1}, "robustness": {"b": 1}}
    kept, gone = remarks({**found, "kept": ["clustering"]}, earlier, Path("runs/x"))
    assert kept.startswith("clustering: as measured before")
    assert gone.startswith("corrupted images had been") and "`unlabel evaluate runs/x --all`" in gone
    shape = {"std": 0.1, "images": 9_000, "controls_non_finite": {}, "kept": [], **dict.fromkeys(earlier)}
    (wide,) = remarks({**shape, "dimensions": 6_201}, {}, Path("x"))
    assert wide.startswith("LiDAR: embeddings of 6,201 dimensions") and "of each of 200 images" in wide
    assert remarks({**shape, "dimensions": 6_200}, {}, Path("x")) == []
    (lost,) = remarks({**found, "controls_non_finite": {"random": 3}, "kept": []}, {}, Path("x"))
    assert lost.startswith("random weights: 3 embeddings")
