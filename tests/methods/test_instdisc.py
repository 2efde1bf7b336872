"""InstDisc by its algorithm box: what it compares, and what moves when."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.toy import Backbone, batch
from unlabel.methods import instdisc
from unlabel.methods.instdisc import InstDisc
from unlabel.views import Batch

IMAGES = 20


def method(**options) -> InstDisc:
    torch.manual_seed(0)
    made = InstDisc(Backbone(), **{"projector_dim": 4, "negatives": 7, "temperature": 0.2, **options})
    made.prepare(IMAGES)
    return made.double()


def given(b: int = 5, first: int = 3) -> Batch:
    made = batch(b)
    made.index = torch.arange(first, first + b)
    return made


def features(made: InstDisc, x: Batch) -> Tensor:
    return F.normalize(made.projector(made.backbone(x.views[0])), dim=1)


def total(made: InstDisc, x: Batch) -> Tensor:
    return torch.stack(list(made.loss(x).values())).sum()


def test_nce_is_the_algorithm_box() -> None:
    made, x = method(proximal=2.0), given()
    f, v, drawn = features(made, x), made.bank.rows, made.bank.drawn(0)
    z = IMAGES * torch.stack([(a @ v[j] / 0.2).exp() for a in f for j in drawn]).mean()
    expected = 0.0
    for a, i in zip(f, x.index, strict=True):
        odds = [(a @ v[j] / 0.2).exp() / z for j in (i, *drawn)]
        h = [p / (p + 7 / IMAGES) for p in odds]
        expected -= (h[0].log() + sum((1 - other).log() for other in h[1:])).item() / len(x)
    proximal = 2.0 * ((f - v[x.index]).square().sum(dim=1).mean()).item()
    terms = made.loss(x)
    assert terms["instances"].item() == pytest.approx(expected, rel=1e-10)
    assert terms["proximal"].item() == pytest.approx(proximal, rel=1e-10)


def test_without_negatives_it_is_the_softmax_over_all_images() -> None:
    made, x = method(negatives=0), given()
    expected = F.cross_entropy(features(made, x) @ made.bank.rows.T / 0.2, x.index)
    assert total(made, x).item() == pytest.approx(expected.item(), rel=1e-12)


def test_the_other_objective_is_the_softmax_over_the_own_and_the_drawn() -> None:
    made, x = method(objective="softmax"), given()
    f, v = features(made, x), made.bank.rows
    own = (f * v[x.index]).sum(dim=1, keepdim=True)
    logits = torch.cat([own, f @ v[made.bank.drawn(0)].T], dim=1) / 0.2
    expected = F.cross_entropy(logits, torch.zeros(len(x), dtype=torch.int64))
    assert total(made, x).item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("m", [10, 3])
def test_closed_form_where_every_image_is_as_likely(m: int) -> None:
    made, x = method(negatives=m), given()
    made.bank.rows.fill_(0.5)  # all alike: p = 1/n by the estimate of Z for equal features
    with torch.no_grad():
        made.projector.weight.zero_()
    assert total(made, x).item() == pytest.approx((m + 1) * math.log(m + 1) - m * math.log(m), rel=1e-9)


def test_looking_moves_nothing_and_updates_move_once() -> None:
    made, x = method(), given()
    before = {name: value.clone() for name, value in made.bank.state_dict().items()}

    def unmoved() -> bool:
        return all(torch.equal(value, before[name]) for name, value in made.bank.state_dict().items())

    with torch.no_grad():
        looked = total(made, x)
    made.advance()
    assert unmoved()
    made.updates = 0
    made.eval()
    made.loss(x)
    made.train()
    made.after_update()
    assert unmoved()
    first = total(made, x)
    assert first.item() == pytest.approx(looked.item(), rel=1e-12)
    assert unmoved()
    made.advance()
    assert not unmoved()


def test_rows_of_the_batchs_images_follow_and_were_old_while_it_was_compared() -> None:
    made, x = method(bank_momentum=0.25), given()
    before, f = made.bank.rows.clone(), features(made, x).detach()
    with_old = total(made, x).item()
    made.advance()
    rows = made.bank.rows
    torch.testing.assert_close(rows[x.index], F.normalize(0.25 * before[x.index] + 0.75 * f, dim=1))
    others = [i for i in range(IMAGES) if i not in x.index]
    assert torch.equal(rows[others], before[others])
    torch.testing.assert_close(rows[x.index].norm(dim=1), torch.ones(5, dtype=torch.float64))
    made.updates = 0
    assert total(made, x).item() != pytest.approx(with_old, rel=1e-6)


def test_the_normaliser_comes_from_the_first_batch_alone() -> None:
    made, other = method(), method()
    made.loss(given())
    made.advance()
    constant = made.bank.constant.clone()
    made.loss(given(first=9))
    made.advance()
    assert torch.equal(made.bank.constant, constant)
    other.loss(given(first=9))
    other.advance()
    assert not torch.equal(other.bank.constant, constant)


def test_a_large_proximal_weight_pulls_to_the_remembered() -> None:
    made, x = method(proximal=1e5), given()
    f = features(made, x)
    f.retain_grad()
    pull = 1e5 * (f - made.bank.rows[x.index]).square().sum(dim=1).mean()
    pull.backward()
    expected = 2e5 * (f.detach() - made.bank.rows[x.index]) / len(x)
    torch.testing.assert_close(f.grad, expected)
    want = made.projector.weight.grad.clone()
    made.zero_grad()
    total(made, x).backward()
    got = made.projector.weight.grad
    assert F.cosine_similarity(got.flatten(), want.flatten(), dim=0) > 1 - 1e-6


def test_a_term_of_weight_zero_is_left_out() -> None:
    assert method().loss(given()).keys() == {"instances"}


def test_no_gradient_reaches_the_bank() -> None:
    made = method(proximal=1.0)
    total(made, given()).backward()
    assert not made.bank.rows.requires_grad and not list(made.bank.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.projector.parameters())


@pytest.mark.parametrize("options", [{}, {"objective": "softmax"}, {"negatives": 0}, {"proximal": 1.0}])
def test_two_ranks_say_what_one_process_says(options: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a gather of fixed rows, each rank's loss of its half; batch norm in evaluation mode, as images are apart."""
    made, x = method(**options), given(6)
    made.backbone.eval()
    whole = total(made, x)
    made.zero_grad()
    whole.backward()
    want = made.projector.weight.grad.clone()
    made.advance()
    constant, rows = made.bank.constant.clone(), made.bank.rows.clone()

    everyone = {torch.float64: features(method(**options).eval(), x).detach(), torch.int64: x.index}
    ranks = [method(**options) for _ in range(2)]
    monkeypatch.setattr(instdisc, "gather", lambda t: everyone[t.dtype])
    losses, gradients = [], []
    for rank, each in enumerate(ranks):
        each.backbone.eval()
        loss = total(each, x.rows(slice(3 * rank, 3 * rank + 3)))
        loss.backward()
        losses.append(loss.item())
        gradients.append(each.projector.weight.grad)
        each.advance()
        assert torch.allclose(each.bank.constant, constant) or torch.isinf(constant)
        torch.testing.assert_close(each.bank.rows, rows)
    assert sum(losses) / 2 == pytest.approx(whole.item(), rel=1e-12)
    torch.testing.assert_close(sum(gradients) / 2, want)


def test_a_resumed_memory_goes_on_alike() -> None:
    made, other = method(), method()
    for first in (0, 5):
        made.loss(given(first=first))
        made.advance()
    other.load_state_dict(copy.deepcopy(made.state_dict()))
    x = given(first=2)
    assert torch.equal(total(made, x), total(other, x))


def test_views_are_one_and_of_other_colours() -> None:
    (view,) = InstDisc(Backbone()).views(32).views
    assert view.scale == (0.2, 1.0) and view.jitter == (0.4,) * 4 and view.jitter_p == 1.0 and view.grey == 0.2
    assert InstDisc(Backbone()).projector.out_features == 128
