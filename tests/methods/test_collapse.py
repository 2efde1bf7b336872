"""What keeps each method from collapsing, taken away: the verdict sees it. The same run with it back is healthy."""

import math
from typing import Any

import pytest
import torch

from tests.methods.collapse import COLLAPSES, backbone, batches, collapses
from unlabel.diagnostics import alignment
from unlabel.methods.barlow_twins import BarlowTwins
from unlabel.methods.byol import BYOL
from unlabel.methods.dino import DINO
from unlabel.methods.simclr import SimCLR
from unlabel.methods.simsiam import SimSiam

SGD = {"optimiser": "sgd", "lr": 0.3}
"""Fast enough for a collapse to be over in seconds."""


def simsiam(**options: Any) -> SimSiam:
    widths = {"projector_width": 128, "projector_dim": 128, "projector_layers": 2, "predictor_width": 32}
    return SimSiam(backbone(), **widths, **options)


def byol(**options: Any) -> BYOL:
    return BYOL(backbone(), projector_width=64, projector_dim=32, teacher_momentum=0.9, **options)


def dino(**options: Any) -> DINO:
    widths = {"prototypes": 64, "head_width": 64, "bottleneck": 32}
    return DINO(backbone(), **widths, teacher_momentum=0.95, freeze_last_layer=0.0, drop_path=0.0, **options)


def simclr(**options: Any) -> SimCLR:
    """Without batch norm in the projector, which would keep a batch's embeddings apart whatever the objective."""
    return SimCLR(backbone(), projector_width=64, projector_dim=32, projector_norm=False, **options)


def aligned(**weights: float) -> SimCLR:
    return simclr(objective="align_uniform", **weights)


# With batch norm at the end of the projector, embeddings of a batch cannot be equal: they fall onto a line or two.


def test_simsiam_without_stop_gradient() -> None:
    found = collapses(simsiam(stop_gradient=False), views="light", optimiser="sgd", lr=0.5)
    assert found.state == "dimensional-collapse", found
    assert "In the loss" in found.sentence


def test_simsiam_without_predictor() -> None:
    found = collapses(simsiam(predictor=False), optimiser="sgd", lr=0.5)
    assert found.state == "dimensional-collapse", found
    assert "In the loss" in found.sentence


@pytest.mark.parametrize("views", ["light", "shapes"])
def test_simsiam(views: str) -> None:
    found = collapses(simsiam(), views=views, optimiser="sgd", lr=0.5)
    assert found.state not in COLLAPSES, found


def test_byol_without_predictor() -> None:
    found = collapses(byol(predictor=False), **SGD)
    assert found.state == "collapsed" and "in the loss" in found.sentence, found
    assert found.sentence.endswith("; the loss sits at 0, its value where all embeddings are equal.")


def test_byol() -> None:
    assert collapses(byol(), **SGD).state not in COLLAPSES


def test_dino_without_centring() -> None:
    found = collapses(dino(centring=False), views="light", lr=1e-3)
    assert found.state == "collapsed", found
    assert found.sentence.endswith("; the loss sits at 0, its value where all images prefer the same prototype.")


def test_dino_without_sharpening() -> None:
    """A teacher as soft as this says the same of all images, centred or not."""
    found = collapses(dino(teacher_temperature=1.0, warmup_teacher_temperature=1.0), views="light", lr=1e-3)
    assert found.state == "collapsed", found
    assert found.sentence.endswith("; the loss sits at ln 64, its value where the teacher's output is uniform.")


def test_dino() -> None:
    found = collapses(dino(), views="light", lr=1e-3)
    assert found.state not in COLLAPSES, found


def barlow_twins(weight: float) -> BarlowTwins:
    widths = {"projector_width": 64, "projector_dim": 32, "projector_layers": 2}
    return BarlowTwins(backbone(), **widths, redundancy_weight=weight)


def test_barlow_twins_without_redundancy() -> None:
    """One dimension, copied, satisfies what is left."""
    found = collapses(barlow_twins(0.0), views="light", optimiser="sgd", lr=0.05)
    assert found.state == "dimensional-collapse" and "In the loss" in found.sentence, found


def test_barlow_twins() -> None:
    found = collapses(barlow_twins(0.05), views="light", optimiser="sgd", lr=0.05)
    assert found.state not in COLLAPSES, found


def test_triplets_of_the_hardest_negatives() -> None:
    method = simclr(objective="triplet", mining="hard")
    found = collapses(method, **SGD)
    assert found.state == "collapsed", found
    assert float(method.terms["loss"]) == pytest.approx(0.2, abs=0.01)  # the margin: the loss is flat there


def test_smooth_triplets_of_the_hardest_negatives() -> None:
    """A soft margin does not help: at equal embeddings it is as flat."""
    method = simclr(objective="triplet", mining="hard", soft_margin=True)
    found = collapses(method, **SGD)
    assert found.state == "collapsed", found
    assert float(method.terms["loss"]) == pytest.approx(math.log(2), abs=0.01)


@pytest.mark.parametrize("mining", ["semi-hard", "easy", "all"])
def test_triplets_of_other_negatives(mining: str) -> None:
    assert collapses(simclr(objective="triplet", mining=mining), **SGD).state not in COLLAPSES


def test_alignment_without_uniformity() -> None:
    found = collapses(aligned(uniform_weight=0.0), **SGD)
    assert found.state == "collapsed", found


def apart(method: SimCLR) -> float:
    """How far two views of an image are from each other, in units of the distance of different images."""
    first, second = batches("light")[0].views
    method.eval()
    with torch.no_grad():
        z1, z2 = (method.project(method.embed(view)) for view in (first, second))
    return alignment(z1, z2) / alignment(z1, z2.roll(1, dims=0))


def test_uniformity_without_alignment_is_no_collapse_but_tells_views_apart() -> None:
    both, alone = aligned(), aligned(align_weight=0.0)
    for method in (both, alone):
        assert collapses(method, views="light", **SGD).state == "learning"
    assert apart(alone) > 2 * apart(both)
