import math

import pytest
import torch
from torch import nn

from unlabel.errors import Fault
from unlabel.optim import LARS, Plan, make_optimiser


def test_rate_is_scaled_with_the_batch() -> None:
    assert Plan(lr=0.3, lr_per=256).peak(1024) == pytest.approx(1.2)
    assert Plan(lr=0.3, lr_per=None).peak(1024) == 0.3
    assert Plan(lr=0.3, schedule="constant").rate(0.5, 512) == pytest.approx(0.6)


def test_warm_up_then_cosine() -> None:
    plan = Plan(lr=2.0, lr_per=None, warmup=0.2, final_lr=0.25)
    rates = [plan.rate(p, 1) for p in (0.0, 0.05, 0.1, 0.2, 0.6, 1.0)]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 2.0, 1.25, 0.5])
    assert plan.rate(0.4, 1) == pytest.approx(0.5 + 1.5 * (1 + math.cos(math.pi / 4)) / 2)


def test_the_rate_is_continuous_where_warm_up_ends() -> None:
    for schedule in ("cosine", "constant", "linear-tail", "steps"):
        plan = Plan(lr=1.0, lr_per=None, warmup=0.3, schedule=schedule)
        assert plan.rate(0.3 - 1e-9, 1) == pytest.approx(plan.rate(0.3, 1), abs=1e-7)


def test_other_schedules() -> None:
    constant = Plan(lr=1.0, lr_per=None, schedule="constant")
    assert [constant.rate(p, 1) for p in (0.0, 0.5, 1.0)] == [1, 1, 1]
    tail = Plan(lr=1.0, lr_per=None, schedule="linear-tail")
    assert [tail.rate(p, 1) for p in (0.0, 0.5, 0.75, 1.0)] == [1, 1, 0.5, 0]
    assert Plan(lr=1.0, lr_per=None, warmup=1.0).rate(0.5, 1) == 0.5  # all of training is warm-up
    assert Plan(lr=1.0, lr_per=None, warmup=1.0).rate(1.0, 1) == 1.0


def test_steps_count_from_the_beginning_of_training() -> None:
    plan = Plan(lr=2.0, lr_per=None, warmup=0.2, schedule="steps", milestones=(0.5, 0.9), step_rates=(0.1, 0.05))
    rates = [plan.rate(p, 1) for p in (0.1, 0.2, 0.49, 0.5, 0.89, 0.9, 1.0)]
    assert rates == pytest.approx([1.0, 2.0, 2.0, 0.2, 0.2, 0.1, 0.1])


@pytest.mark.parametrize("milestones", [(0.8, 0.6), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0)])
def test_milestones_must_rise_within_training(milestones: tuple[float, float]) -> None:
    (fault,) = Plan(schedule="steps", milestones=milestones).faults()
    assert "`milestones` is" in fault


def test_each_milestone_needs_a_rate() -> None:
    assert Plan(milestones=(0.5,)).faults() == [
        "`milestones` and `step_rates` have 1 and 2 values: each milestone needs one rate"
    ]
    assert "`step_rates` is (0.1, 1.5)" in Plan(step_rates=(0.1, 1.5)).faults()[0]


def test_weight_decay_moves_along_a_cosine() -> None:
    plan = Plan(weight_decay=0.04, weight_decay_end=0.4)
    assert [plan.decay(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([0.04, 0.22, 0.4])
    assert Plan(weight_decay=0.04).decay(1.0) == 0.04


def test_faults_come_all_at_once() -> None:
    wrong = Plan(optimiser="sdg", schedule="cosin", lr=-1, warmup=2, betas=(0.9, 1.0), batch_size=0)
    text = "\n".join(wrong.faults())
    for part in (
        "did you mean `sgd`?",
        "did you mean `cosine`?",
        "`lr` is -1",
        "`warmup` is 2",
        "`betas`",
        "`batch_size`",
    ):
        assert part in text
    assert len(wrong.faults()) == 6
    assert Plan().faults() == []
    assert len(Plan(optimiser="lars", nesterov=True).faults()) == 1
    assert len(Plan(momentum=0.0, nesterov=True).faults()) == 1


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("name", ["sgd", "lars", "adam", "adamw"])
def test_what_rests_at_first_moves_afterwards_as_if_it_had_begun_then(name: str, nesterov: bool) -> None:
    """As prototypes do: without a gradient for two updates, then with one."""
    plan = Plan(optimiser=name, lr=0.1, weight_decay=0.1, nesterov=nesterov and name == "sgd")
    resting, other, alone = (nn.Parameter(torch.ones(3, 3)) for _ in range(3))
    both = make_optimiser([("resting", resting), ("other", other)], plan, 256)
    single = make_optimiser([("alone", alone)], plan, 256)
    for update in range(5):
        other.grad = torch.full((3, 3), 0.5)
        resting.grad = None if update < 2 else torch.eye(3) + update
        both.step()
        if update < 2:
            assert torch.equal(resting, torch.ones(3, 3))
        else:
            alone.grad = torch.eye(3) + update
            single.step()
            torch.testing.assert_close(resting, alone)


@pytest.mark.parametrize("name", ["sgd", "lars", "adam", "adamw"])
def test_matrices_are_decayed_and_vectors_are_not(name: str) -> None:
    model = network()
    plan = Plan(optimiser=name, weight_decay=0.1, lr=0.5, batch_size=512)
    optimiser = make_optimiser(model.named_parameters(), plan, 512)
    decayed, rest = optimiser.param_groups
    assert decayed["decayed"] is True and rest["decayed"] is False
    assert {id(p) for p in decayed["params"]} == {id(model[0].weight), id(model[3].weight)}
    assert len(rest["params"]) == 4
    assert decayed["weight_decay"] == 0.1 and rest["weight_decay"] == 0
    assert decayed["lr"] == rest["lr"] == 1.0
    if name == "lars":
        assert decayed["adapt"] and not rest["adapt"]


@pytest.mark.parametrize("name", ["sgd", "lars", "adam", "adamw"])
def test_vectors_may_be_decayed_too_and_are_still_not_rescaled(name: str) -> None:
    plan = Plan(optimiser=name, weight_decay=0.1, lr=0.5, lr_vectors=0.5, batch_size=512, decay_vectors=True)
    weights, vectors = make_optimiser(network().named_parameters(), plan, 512).param_groups
    assert weights["decayed"] and vectors["decayed"]
    assert weights["weight_decay"] == vectors["weight_decay"] == 0.1
    assert weights["lr"] == 1.0 and vectors["lr"] == 0.5
    if name == "lars":
        assert weights["adapt"] and not vectors["adapt"]


def test_frozen_parameters_are_left_out_and_empty_groups_too() -> None:
    model = network()
    for name, p in model.named_parameters():
        p.requires_grad_(name == "3.bias")
    (group,) = make_optimiser(model.named_parameters(), Plan(), 256).param_groups
    assert group["params"] == [model[3].bias] and not group["decayed"]
    model.requires_grad_(False)
    with pytest.raises(Fault):
        make_optimiser(model.named_parameters(), Plan(), 256)


@pytest.mark.parametrize("name", ["sgd", "lars", "adam", "adamw"])
def test_options_of_the_plan_reach_the_optimiser(name: str) -> None:
    """Three steps against torch's plain (unfused) optimisers, and our LARS by hand."""
    p = torch.randn(4, 3, dtype=torch.float64)
    ours, theirs = nn.Parameter(p.clone()), nn.Parameter(p.clone())
    plan = Plan(
        optimiser=name, lr=0.1, lr_per=None, weight_decay=0.2, momentum=0.7, nesterov=name == "sgd", betas=(0.6, 0.9)
    )
    mine = make_optimiser([("w", ours)], plan, 8)
    torchs = {
        "sgd": lambda: torch.optim.SGD([theirs], 0.1, 0.7, weight_decay=0.2, nesterov=True, foreach=False),
        "adam": lambda: torch.optim.Adam([theirs], 0.1, (0.6, 0.9), weight_decay=0.2, foreach=False),
        "adamw": lambda: torch.optim.AdamW([theirs], 0.1, (0.6, 0.9), weight_decay=0.2, foreach=False),
        "lars": lambda: LARS([theirs], lr=0.1, momentum=0.7, weight_decay=0.2),
    }[name]()
    for _ in range(3):
        gradient = torch.randn_like(p)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step(), torchs.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    assert not torch.equal(ours, p)


def test_vectors_may_have_a_rate_of_their_own() -> None:
    plan = Plan(lr=0.5, lr_per=None, lr_vectors=0.1)
    decayed, rest = make_optimiser(network().named_parameters(), plan, 256).param_groups
    assert decayed["lr"] == 0.5 and rest["lr"] == pytest.approx(0.05)
    assert "`lr_vectors` is -1" in Plan(lr_vectors=-1).faults()[0]


def test_parameters_may_be_marked_to_keep_their_rate() -> None:
    model = network()
    groups = make_optimiser(model.named_parameters(), Plan(), 256, steady=("3.",)).param_groups
    marks = [(group["decayed"], group["steady"], len(group["params"])) for group in groups]
    assert marks == [(True, False, 1), (False, False, 3), (True, True, 1), (False, True, 1)]
    assert groups[2]["params"] == [model[3].weight]
    assert not any(group["steady"] for group in make_optimiser(model.named_parameters(), Plan(), 256).param_groups)
