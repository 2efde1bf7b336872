"""Barlow Twins: its loss by the algorithm box, its plan's two rates, its picture."""

import copy

import pytest
import torch

from tests.methods.toy import Backbone, batch
from unlabel.losses.cross_correlation import correlations
from unlabel.methods.barlow_twins import SHOWN, BarlowTwins
from unlabel.views import Batch


def method(**options) -> BarlowTwins:
    return BarlowTwins(Backbone(), **{"projector_width": 8, "projector_dim": 4} | options).double()


def embedded(twins: BarlowTwins, given: Batch) -> list[torch.Tensor]:
    return [twins.projector(twins.backbone(view)) for view in given.views]


@pytest.mark.parametrize("options", [{}, {"redundancy_weight": 0.3}, {"invariance_weight": 0.0}, {"projector_dim": 9}])
def test_loss_is_the_algorithm_box(options: dict[str, float]) -> None:
    twins, given = method(**options), batch(7)
    c = correlations(*embedded(copy.deepcopy(twins), given))
    own = torch.eye(len(c), dtype=torch.bool)
    terms = twins.loss(given)
    assert terms["invariance"].item() == pytest.approx(
        twins.invariance_weight * float((1 - c[own]).square().sum()), rel=1e-10
    )
    assert terms["redundancy"].item() == pytest.approx(
        twins.redundancy_weight * float(c[~own].square().sum()), rel=1e-9
    )


def test_agrees_with_lightly() -> None:
    lightly = pytest.importorskip("lightly.loss")
    twins, given = method(), batch(7)
    theirs = lightly.BarlowTwinsLoss(lambda_param=0.0051)(*embedded(copy.deepcopy(twins), given))
    assert sum(twins.loss(given).values()).item() == pytest.approx(theirs.item(), rel=1e-10)


def test_views_may_be_swapped() -> None:
    twins, given = method(), batch()
    swapped = Batch(views=given.views[::-1], index=given.index, records=given.records)
    assert sum(twins.loss(given).values()).item() == pytest.approx(sum(twins.loss(swapped).values()).item(), rel=1e-10)


def test_collapse_costs_the_number_of_dimensions() -> None:
    twins = method()
    twins.projector[-1].weight.data.zero_()
    terms = twins.loss(batch())
    assert terms["invariance"].item() == 4 and terms["redundancy"].item() == 0


def test_projector_has_the_papers_layers() -> None:
    with torch.device("meta"):
        twins = BarlowTwins(Backbone())
    block = ["Linear", "BatchNorm1d", "ReLU"]
    assert [type(m).__name__ for m in twins.projector] == [*block, *block, "Linear"]
    assert all(m.bias is None for m in twins.projector if isinstance(m, torch.nn.Linear))
    assert [m.out_features for m in twins.projector if isinstance(m, torch.nn.Linear)] == [8192] * 3


def test_gains_and_biases_have_a_rate_of_their_own() -> None:
    twins = method()
    (optimiser,) = twins.configure_optimizers()
    twins.total_updates, twins.updates = 1000, 500
    twins.set_rates([optimiser])
    weights, vectors = optimiser.param_groups
    assert weights["decayed"] and not vectors["decayed"]
    assert weights["lr"] == pytest.approx(twins.plan.rate(0.5005, 2048))
    assert vectors["lr"] / weights["lr"] == pytest.approx(0.0048 / 0.2)


def test_picture_is_the_matrix_in_colours() -> None:
    twins, given = method(projector_dim=3), batch(20)
    c = correlations(*embedded(copy.deepcopy(twins), given)).detach()
    (picture,) = twins.picture(given).values()
    assert picture.dtype == torch.uint8 and picture.shape[0] == 3 and picture.shape[1] == picture.shape[2] >= 512
    entry = picture.shape[1] // 3
    for i in range(3):
        for j in range(3):
            square = picture[:, i * entry : (i + 1) * entry, j * entry : (j + 1) * entry].double() / 255
            assert (square == square[:, :1, :1]).all()
            red, green, blue = square[:, 0, 0].tolist()
            assert green == pytest.approx(1 - abs(float(c[i, j])), abs=0.003)
            assert blue - red == pytest.approx(float(c[i, j]), abs=0.005)


def test_picture_of_many_dimensions_shows_the_first() -> None:
    twins = method(projector_dim=SHOWN + 5)
    (picture,) = twins.picture(batch(6)).values()
    assert picture.shape == (3, 512, 512)


def test_views_are_byols() -> None:
    first, second = method().views(224).views
    assert (first.blur, second.blur, second.solarise) == (1.0, 0.1, 0.2)
