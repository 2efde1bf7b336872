"""SimCLR's loss by its algorithm box, and every other objective by its name."""

import copy
from collections.abc import Callable
from inspect import signature

import pytest
import torch
from torch import Tensor

from tests.methods.toy import Backbone, batch
from unlabel.engine.options import check, hyperparameters
from unlabel.errors import Fault
from unlabel.losses import hard_negatives, mined_triplets, n_pair, nt_xent, nt_xent_matched, simple_contrastive
from unlabel.losses.objectives import OBJECTIVES
from unlabel.methods.simclr import SimCLR
from unlabel.recipes import choose
from unlabel.views import Batch


def method(**options) -> SimCLR:
    return SimCLR(Backbone(), projector_width=8, projector_dim=4, **options).double()


def embedded(simclr: SimCLR, given: Batch) -> tuple[Tensor, Tensor]:
    """Both views' embeddings, in one pass, as batch norm wants it."""
    z1, z2 = simclr.projector(simclr.backbone(torch.cat(given.views))).chunk(2)
    return z1, z2


def test_loss_is_nt_xent_of_one_pass() -> None:
    simclr, given = method(temperature=0.3), batch()
    expected = nt_xent(*embedded(copy.deepcopy(simclr), given), temperature=0.3)
    assert simclr.loss(given).item() == pytest.approx(expected.item(), rel=1e-12)


def test_evaluation_sees_the_representation_and_not_the_projection() -> None:
    simclr, x = method().eval(), batch().views[0]
    h = simclr.backbone(x)
    assert torch.equal(simclr.embed(x), h) and simclr.kept is simclr.backbone
    assert h.shape[1] == 6 and simclr.projector(h).shape[1] == 4


def tempered(name: str) -> dict[str, object]:
    """An objective, at temperature 1/2 where it has one."""
    return {"objective": name} | (
        {"temperature": 0.5} if "temperature" in signature(OBJECTIVES[name]).parameters else {}
    )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains_the_backbone(name: str) -> None:
    simclr, given = method(**tempered(name)), batch()
    begun = simclr.loss(given)
    begun.backward()
    assert torch.isfinite(begun)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in simclr.parameters())
    assert any(p.grad.abs().max() > 0 for p in simclr.backbone.parameters())


def test_own_parameters_reach_the_objective() -> None:
    simclr, given = method(objective="hard_negatives", temperature=0.5, beta=2.0, tau_plus=0.05), batch()
    expected = hard_negatives(*embedded(copy.deepcopy(simclr), given), temperature=0.5, beta=2.0, tau_plus=0.05)
    assert simclr.loss(given).item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize(
    ("chosen", "own", "loss"),
    [
        ({"objective": "triplet", "soft_margin": "true", "mining": "all"}, {"soft_margin": True, "mining": "all"},
         mined_triplets),
        ({"objective": "simple", "weight": "0.7"}, {"weight": 0.7}, simple_contrastive),
        ({"objective": "n_pair", "norm_weight": "0.3"}, {"norm_weight": 0.3}, n_pair),
    ],
)  # fmt: skip
def test_own_parameters_are_reached_by_name(
    chosen: dict[str, str], own: dict[str, object], loss: Callable[..., Tensor]
) -> None:
    simclr, given = method(**check("simclr", {"data": "shapes", **chosen}).hyper), batch()
    z1, z2 = embedded(copy.deepcopy(simclr), given)
    found = simclr.loss(given).item()
    assert found == pytest.approx(loss(z1, z2, **own).item(), rel=1e-12)
    assert abs(found - loss(z1, z2).item()) > 1e-6


@pytest.mark.parametrize(
    ("objective", "own", "theirs"),
    [("dcl", {"beta": 1.0}, "hard_negatives"), ("drlim", {"soft_margin": True}, "triplet"),
     ("hard", {"weight": 1.0}, "simple"), ("nt_xent", {"norm_weight": 1.0}, "n_pair")],
)  # fmt: skip
def test_parameter_of_another_objective_is_refused(objective: str, own: dict[str, object], theirs: str) -> None:
    with pytest.raises(Fault, match=f"`{next(iter(own))}` belongs to the objective {theirs}, not to {objective}"):
        method(objective=objective, **own)


@pytest.mark.parametrize("name", ["simple", "align_uniform", "drlim", "triplet", "n_pair"])
def test_a_temperature_is_refused_where_nothing_would_heed_it(name: str) -> None:
    with pytest.raises(Fault, match=f"`temperature` belongs to the objective nt_xent or dcl .*, not to {name}"):
        method(objective=name, temperature=0.5)


@pytest.mark.parametrize("name", ["hard", "simple"])
def test_more_than_all_negatives_cannot_be_kept(name: str) -> None:
    assert torch.isfinite(method(objective=name, alpha=1.0).loss(batch()))
    with pytest.raises(Fault, match=f"the share of the negatives that {name} keeps, in \\(0, 1\\], not 2"):
        method(objective=name, alpha=2.0)
    method(objective="align_uniform", alpha=2.0)  # whose alpha is an exponent


def test_smooth_triplets_have_no_margin() -> None:
    with pytest.raises(Fault, match="leave out `margin`"):
        method(objective="triplet", soft_margin=True, margin=0.3)


@pytest.mark.parametrize(("name", "own"), [("nt_xent", 0.1), ("dcl", 0.1), ("debiased", 0.5), ("hard", 0.3)])
def test_each_objective_has_a_temperature_of_its_own(name: str, own: float) -> None:
    simclr, given = method(objective=name), batch()
    expected = OBJECTIVES[name](*embedded(copy.deepcopy(simclr), given), temperature=own)
    assert simclr.loss(given).item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize(
    ("recipe", "value"), [("shapes", 0.2), ("small", 0.2), ("minutes", 0.2), ("cifar10_fast", 0.1), ("large", 0.2)]
)
def test_the_temperature_of_recipes_is_nt_xents(recipe: str, value: float) -> None:
    def start(**chosen: object) -> dict[str, object]:
        return choose("simclr", recipe, data="photos", size=32, chosen=chosen)[1]

    assert start()["temperature"] == start(objective="nt_xent")["temperature"] == value
    assert start(objective="debiased", margin=1.0) == {k: v for k, v in start().items() if k != "temperature"}


def test_options_know_the_names() -> None:
    chosen = check("simclr", {"data": "shapes", "objective": "triplet", "mining": "hard", "margin": "0.5"})
    assert chosen.hyper == {"objective": "triplet", "mining": "hard", "margin": 0.5}
    with pytest.raises(Fault, match="one of nt_xent, dcl"):
        check("simclr", {"data": "shapes", "objective": "infonce"})
    known = hyperparameters(SimCLR)["objective"].kind
    assert set(known.__args__) == set(OBJECTIVES)


# ------------------------------------------------------------------ small crops


def with_small(given: Batch, count: int = 3) -> Batch:
    small = [torch.randn(len(given), 3, 6, 6, dtype=torch.float64) for _ in range(count)]
    return Batch(views=[*given.views, *small], index=given.index, records=given.records)


def test_two_views_cost_to_the_bit_what_they_did_without_small_crops() -> None:
    simclr, given = method(temperature=0.3), batch()
    other = copy.deepcopy(simclr)
    loss, expected = simclr.loss(given), nt_xent(*embedded(other, given), temperature=0.3)
    assert torch.equal(loss, expected)
    loss.backward(), expected.backward()
    for mine, theirs in zip(simclr.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine.grad, theirs.grad)


def test_small_crops_are_anchors_among_the_large_views() -> None:
    simclr, given = method(temperature=0.3), with_small(batch())
    copied = copy.deepcopy(simclr)
    h = torch.cat([copied.backbone(torch.cat(given.views[:2])), copied.backbone(torch.cat(given.views[2:]))])
    z1, z2, *small = copied.projector(h).chunk(5)
    parts = [nt_xent(z1, z2, temperature=0.3), *(nt_xent(z1, z2, temperature=0.3, small=w) for w in small)]
    assert len(parts) == 4
    assert simclr.loss(given).item() == pytest.approx(sum(parts).item() / 4, rel=1e-12)


def test_order_of_small_crops_does_not_matter() -> None:
    simclr, given = method(), with_small(batch())
    before = simclr.loss(given).item()
    given.views = [*given.views[:2], *given.views[:1:-1]]
    assert simclr.loss(given).item() == pytest.approx(before, rel=1e-12)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_takes_small_crops(name: str) -> None:
    simclr, given = method(**tempered(name)), with_small(batch())
    loss = simclr.loss(given)
    loss.backward()
    two = simclr.loss(Batch(views=given.views[:2], index=given.index, records=given.records))
    assert torch.isfinite(loss) and abs(loss.item() - two.item()) > 1e-6
    assert all(torch.isfinite(p.grad).all() for p in simclr.parameters())


def with_negatives(given: Batch) -> Batch:
    return Batch(
        views=given.views,
        index=given.index,
        records=given.records,
        negative=torch.randn_like(given.views[0]),
        matched=torch.tensor([True, False, True, True, False]),
    )


def test_hard_negatives_join_the_denominators_of_the_first_views() -> None:
    simclr, given = method(temperature=0.3), with_negatives(batch())
    z1, z2, own = copy.deepcopy(simclr).projector(simclr.backbone(torch.cat([*given.views, given.negative]))).chunk(3)
    expected = nt_xent_matched(z1, z2, own, given.matched, temperature=0.3)
    found = copy.deepcopy(simclr).loss(given)
    assert torch.isfinite(method().loss(given))  # at NT-Xent's own temperature
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    assert found > nt_xent(z1, z2, temperature=0.3)


def test_other_objectives_have_no_use_for_them() -> None:
    simclr, given = method(objective="dcl"), with_negatives(batch())
    assert not simclr.takes_negatives and method().takes_negatives
    plain = Batch(views=given.views, index=given.index, records=given.records)
    assert copy.deepcopy(simclr).loss(given).item() == copy.deepcopy(simclr).loss(plain).item()
