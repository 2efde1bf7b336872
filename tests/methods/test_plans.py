"""The plans of the papers: when the rate falls, and what is decayed."""

import json
from pathlib import Path

import pytest

from tests.methods.toy import toy_method
from unlabel import methods
from unlabel.engine.job import Job
from unlabel.optim import Plan

STEPS = {  # method: {after so many epochs: the rate, as a fraction of the peak}
    "instdisc": {1: 1, 119: 1, 121: 0.1, 161: 0.01, 199: 0.01},
    "moco": {1: 1, 119: 1, 121: 0.1, 161: 0.01, 199: 0.01},
    "cmc": {1: 1, 119: 1, 121: 0.1, 161: 0.01, 201: 0.001, 239: 0.001},
    "invaspread": {1: 1, 119: 1, 121: 0.1, 161: 0.05, 201: 0.01, 300: 0.01},
    "amdim": {3: 1, 249: 1, 251: 0.2, 281: 0.04, 299: 0.04},
}
DECAY_ALL = (
    "amdim", "cast", "clsa", "cmc", "instdisc", "invaspread", "moco", "moco_v2", "moco_v3", "simsiam", "swav"
)  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_rates_fall_in_steps_after_the_papers_epochs(name: str) -> None:
    plan = methods.get(name).plan
    for epoch, share in STEPS[name].items():
        rate = plan.rate(epoch / plan.epochs, plan.batch_size)
        assert rate / plan.peak(plan.batch_size) == pytest.approx(share), epoch


@pytest.mark.parametrize("name", DECAY_ALL)
def test_gains_and_biases_are_decayed_where_the_authors_decay_them(name: str) -> None:
    method = toy_method(name)
    (optimiser,) = method.configure_optimizers()
    assert any(group["params"][0].ndim < 2 for group in optimiser.param_groups)
    assert {group["weight_decay"] for group in optimiser.param_groups} == {method.plan.weight_decay}


def test_decayed_vectors_follow_the_decay_and_keep_a_rate_of_their_own() -> None:
    method = toy_method("simclr")
    method.plan = Plan(lr_vectors=0.1, weight_decay=0.1, weight_decay_end=0.5, decay_vectors=True)
    (optimiser,) = method.configure_optimizers()
    method.updates = 40
    method.set_rates([optimiser])
    weights, vectors = optimiser.param_groups
    assert weights["weight_decay"] == vectors["weight_decay"] == pytest.approx(method.plan.decay(0.405))
    assert vectors["lr"] == pytest.approx(0.1 * weights["lr"])


def test_a_run_of_before_there_were_steps_is_read_as_it_was_made() -> None:
    lines = Path(__file__).parents[2] / "benchmarks/evidence/runs/joint-embedding.jsonl"
    with lines.open() as file:
        stored = next(run for run in (json.loads(line)["run.json"] for line in file) if run["run"]["method"] == "moco")
    for name in ("decay_vectors", "milestones", "step_rates"):
        stored["plan"].pop(name, None)
    plan = Job.from_dict(stored).plan
    assert plan.schedule == "cosine" and not plan.decay_vectors
    assert plan.faults() == []
