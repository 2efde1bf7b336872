"""PIRL by its algorithm box: whole and pieces against one bank."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.toy import Backbone
from unlabel.losses import instance_discrimination
from unlabel.methods.instdisc import InstDisc
from unlabel.methods.pirl import PIRL, orders
from unlabel.nn.backbones import build, resolve
from unlabel.views import Batch, named, sample

IMAGES = 20


def method(**options) -> PIRL:
    torch.manual_seed(0)
    made = PIRL(Backbone(), **{"projector_dim": 4, "negatives": 7, "temperature": 0.2, **options})
    made.prepare(IMAGES)
    return made.double()


def given(b: int = 5, first: int = 3, epoch: int = 0) -> Batch:
    """Noise in the sizes of the views, with real records."""
    draw = torch.Generator().manual_seed(first)
    index = np.arange(first, first + b)
    views = named("pirl-small", 32).views
    records = [
        sample(view, seed=0, epoch=epoch, view_index=k, indices=index, sizes=np.tile((32, 32), (b, 1)))
        for k, view in enumerate(views)
    ]
    pixels = [torch.randn(b, 3, v.size, v.size, generator=draw, dtype=torch.float64) for v in views]
    return Batch(views=pixels, index=torch.from_numpy(index), records=records)


def total(made: torch.nn.Module, x: Batch) -> Tensor:
    return torch.stack(list(made.loss(x).values())).sum()


def test_the_pieces_are_projected_shuffled_and_joined() -> None:
    made, x = method(), given()
    f, g = made.embedded(x)
    h = made.backbone(torch.cat(x.views[1:])).unflatten(0, (9, 5))  # one pass of their own through batch norm
    order = orders(x)
    for b in range(5):
        joined = torch.cat([made.piece_projector(h[k, b]) for k in order[b]])
        torch.testing.assert_close(g[b], F.normalize(made.puzzle_projector(joined), dim=0))
    torch.testing.assert_close(f, F.normalize(made.projector(made.backbone(x.views[0])), dim=1))


def test_loss_is_the_algorithm_box() -> None:
    made, x = method(puzzle_weight=0.3), given()
    f, g = made.embedded(x)
    drawn, rows = made.bank.drawn(0), made.bank.rows
    log_z = made.bank.log_z(f.detach(), drawn, temperature=0.2)
    of = [instance_discrimination(z, x.index, rows, temperature=0.2, drawn=drawn, log_z=log_z).mean() for z in (f, g)]
    terms = made.loss(x)
    assert terms["whole"].item() == pytest.approx(0.7 * of[0].item(), rel=1e-12)
    assert terms["pieces"].item() == pytest.approx(0.3 * of[1].item(), rel=1e-12)


def test_without_the_puzzle_it_is_instance_discrimination() -> None:
    made, x = method(puzzle_weight=0.0), given()
    torch.manual_seed(0)
    alone = InstDisc(Backbone(), projector_dim=4, negatives=7, temperature=0.2)
    alone.prepare(IMAGES)
    alone.double()
    alone.backbone.load_state_dict(made.backbone.state_dict())
    alone.projector.load_state_dict({n.removeprefix("0."): p for n, p in made.projector.state_dict().items()})
    alone.bank.load_state_dict(made.bank.state_dict())
    ours, theirs = total(made, x), total(alone, x)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    ours.backward()
    theirs.backward()
    torch.testing.assert_close(made.projector[0].weight.grad, alone.projector.weight.grad)
    for name, p in alone.backbone.named_parameters():
        torch.testing.assert_close(made.backbone.get_parameter(name).grad, p.grad)
    made.advance()
    alone.advance()
    assert torch.equal(made.bank.rows, alone.bank.rows)


def test_another_order_of_the_pieces_is_another_vector() -> None:
    """Invariance is learnt, not built in."""
    made, x = method(), given()
    other = copy.copy(x)
    other.records = [x.records[0], *x.records[:0:-1]]  # the pieces' words in another order
    (f1, g1), (f2, g2) = made.embedded(x), made.embedded(other)
    torch.testing.assert_close(f1, f2)
    assert (g1 - g2).norm(dim=1).min() > 1e-3


def test_orders_are_permutations_all_as_likely_of_image_and_epoch_alone() -> None:
    x = given(4000, first=0)
    order = orders(x)
    assert (order.sort(dim=1).values == torch.arange(9)).all()
    counts = torch.stack([F.one_hot(order[:, place], 9).sum(dim=0) for place in range(9)])  # [place, piece]
    assert ((counts - 4000 / 9).abs() < 5 * math.sqrt(4000 * 8 / 81)).all()
    part = x.rows(slice(100, 103))
    assert torch.equal(orders(part), order[100:103])
    assert not torch.equal(orders(given(40, first=0, epoch=1)), order[:40])


def test_rows_follow_the_whole_image_alone() -> None:
    made, x = method(), given()
    before, (f, _) = made.bank.rows.clone(), made.embedded(x)
    made.loss(x)
    assert torch.equal(made.bank.rows, before)
    made.advance()
    torch.testing.assert_close(made.bank.rows[x.index], F.normalize((before[x.index] + f.detach()) / 2, dim=1))
    others = [i for i in range(IMAGES) if i not in x.index]
    assert torch.equal(made.bank.rows[others], before[others])


@pytest.mark.parametrize("m", [10, 3])
def test_closed_form_where_every_image_is_as_likely(m: int) -> None:
    made, x = method(negatives=m), given()
    made.bank.rows.fill_(0.5)
    with torch.no_grad():
        for layer in (made.projector[0], made.puzzle_projector):  # both always say the same
            layer.weight.zero_()
            layer.bias.fill_(1.0)
    assert total(made, x).item() == pytest.approx((m + 1) * math.log(m + 1) - m * math.log(m), rel=1e-9)


def test_order_of_the_images_does_not_matter() -> None:
    made, x = method(), given()
    made.backbone.eval()
    turned = Batch([v.flip(0) for v in x.views], x.index.flip(0), [r[::-1] for r in x.records])
    assert total(made, x).item() == pytest.approx(total(made, turned).item(), rel=1e-12)
    drawn = made.bank.drawn(made.updates)
    made.loss(given(first=11))
    assert torch.equal(made.bank.drawn(made.updates), drawn)  # the draw knows nothing of the batch


@pytest.mark.parametrize(
    ("options", "value"), [({"negatives": 0}, math.log(IMAGES)), ({"objective": "softmax"}, math.log(8))]
)
def test_softmax_objectives_at_collapse(options: dict, value: float) -> None:
    made, x = method(**options), given()
    made.bank.rows.fill_(0.5)
    assert total(made, x).item() == pytest.approx(value, rel=1e-9)


def test_heads_are_the_papers() -> None:
    made = PIRL(Backbone())
    assert made.projector[0].weight.shape == (128, 6) and len(made.projector) == 1
    assert made.piece_projector[0].weight.shape == (128, 6)
    assert made.puzzle_projector.weight.shape == (128, 9 * 128)
    assert len(made.views(224).views) == 10


def test_pieces_of_eight_pixels_pass_through_the_usual_backbones() -> None:
    x = given(4)
    x.views = [view.float() for view in x.views]
    for name in ("tiny_resnet", "tiny_vit"):
        torch.manual_seed(0)
        made = PIRL(build(resolve(name, 32)), projector_dim=4, negatives=7)
        made.prepare(IMAGES)
        loss = total(made, x)
        loss.backward()
        assert torch.isfinite(loss)
