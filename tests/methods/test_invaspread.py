"""InvaSpread: both terms over one pass of both views, and its toggles."""

import copy

import pytest
import torch

from tests.methods.toy import Backbone, batch
from unlabel.losses import inva_spread, nt_xent
from unlabel.methods.invaspread import InvaSpread
from unlabel.views import Batch


def method(**options) -> InvaSpread:
    return InvaSpread(Backbone(), projector_dim=4, **options).double()


def embedded(invaspread: InvaSpread, given: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Both views' embeddings, in one pass, as batch norm wants it."""
    z1, z2 = invaspread.projector(invaspread.backbone(torch.cat(given.views))).chunk(2)
    return z1, z2


def test_loss_is_both_terms_of_one_pass() -> None:
    invaspread, given = method(temperature=0.3, spread_weight=0.7), batch()
    invariance, spread = inva_spread(*embedded(copy.deepcopy(invaspread), given), temperature=0.3)
    terms = invaspread.loss(given)
    assert terms["invariance"].item() == pytest.approx(invariance.item(), rel=1e-11)
    assert terms["spread"].item() == pytest.approx(0.7 * spread.item(), rel=1e-11)


def test_without_the_spread_it_is_nt_xent() -> None:
    invaspread, given = method(spread_weight=0.0), batch()
    expected = nt_xent(*embedded(copy.deepcopy(invaspread), given), temperature=0.1)
    assert sum(invaspread.loss(given).values()).item() == pytest.approx(expected.item(), rel=1e-11)


def test_detaching_changes_the_gradient_and_not_the_value() -> None:
    values, gradients = [], []
    for detach in (True, False):
        torch.manual_seed(1)
        invaspread, given = method(detach_others=detach), batch()
        loss = sum(invaspread.loss(given).values())
        loss.backward()
        values.append(loss.item())
        gradients.append(invaspread.projector[0].weight.grad)
    assert values[0] == pytest.approx(values[1], rel=1e-13)
    assert (gradients[0] - gradients[1]).abs().max() > 1e-4


def test_projector_is_one_linear_layer() -> None:
    (layer,) = InvaSpread(Backbone()).projector
    assert (layer.in_features, layer.out_features) == (6, 128) and layer.bias is not None


def test_views_are_jittered_before_they_may_turn_grey() -> None:
    first, second = method().views(32).views
    assert first == second and first.order == ("crop", "jitter", "grey", "flip")
    assert (first.scale, first.jitter, first.jitter_p, first.grey) == ((0.2, 1.0), (0.4,) * 4, 1.0, 0.2)
