"""BYOL with two losses: BYOL bit for bit where it should be, the gate and its limits, every toggle."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.toy import Backbone, batch
from unlabel.data.loader import ViewLoader
from unlabel.data.shapes import Shapes
from unlabel.errors import Fault
from unlabel.methods.byol import BYOL
from unlabel.methods.byol_two_losses import BYOLTwoLosses, consistent, gate, inconsistent
from unlabel.views import DIFFERENCES, Batch, differences

SMALL = {"projector_width": 8, "projector_dim": 4}
UPDATED = 25


def method(**options) -> BYOLTwoLosses:
    torch.manual_seed(5)
    return moved(BYOLTwoLosses(Backbone(), **SMALL, **options).double())


def moved(learner: BYOL | BYOLTwoLosses) -> BYOL | BYOLTwoLosses:
    """With a teacher that differs from its student, as it does after a few updates."""
    torch.manual_seed(6)
    learner.total_updates, learner.updates = 100, UPDATED
    for name, p in learner.named_parameters():
        if name.startswith("backbone"):
            p.data += 0.3 * torch.randn_like(p)
    return learner


def features(learner: BYOLTwoLosses, given: Batch) -> tuple[list[Tensor], list[Tensor]]:
    """Online and target features of both views."""
    return [learner.backbone(v) for v in given.views], [learner.teacher["backbone"](v) for v in given.views]


def byol_of(h: list[Tensor], g: list[Tensor], projector, predictor, target) -> float:
    """The regression with lightly's cosine."""
    cosine = pytest.importorskip("lightly.loss").NegativeCosineSimilarity()
    q, z = [predictor(projector(x)) for x in h], [target(x) for x in g]
    return float(4 + 2 * cosine(q[0], z[1]) + 2 * cosine(q[1], z[0]))


# ------------------------------------------------------------------ it is BYOL


def test_without_the_second_loss_it_is_byol_bit_for_bit() -> None:
    torch.manual_seed(5)
    byol = moved(BYOL(Backbone(), **SMALL).double())
    two = method(second_loss="off")
    losses = []
    for learner in (byol, two):
        torch.manual_seed(7)
        loss = learner.total(learner.loss(batch()))
        loss.backward()
        learner.after_update()
        losses.append(loss)
    assert torch.equal(*losses)
    for name in ("backbone", "projector", "predictor"):
        ours, theirs = two.get_submodule(name), byol.get_submodule(name)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(p, q) and torch.equal(p.grad, q.grad)
        for p, q in zip(ours.buffers(), theirs.buffers(), strict=True):
            assert torch.equal(p, q)
    for ours, theirs in ((two.teacher["backbone"], byol.teacher[0]), (two.teacher["projector"], byol.teacher[1])):
        for p, q in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
            assert torch.equal(p, q)


def test_a_gate_that_is_open_everywhere_makes_the_second_loss_byol_bit_for_bit() -> None:
    two, given = method(gate_temperature=1e30), batch()
    for name in ("projector", "predictor"):
        two.get_submodule(f"second_{name}").load_state_dict(two.get_submodule(name).state_dict())
    two.teacher["second_projector"].load_state_dict(two.teacher["projector"].state_dict())
    terms = two.loss(given)
    assert torch.equal(terms["first"], terms["second"])


def test_consistent_features_of_an_open_gate_are_byols_up_to_batch_norms_epsilon() -> None:
    given = batch()
    plain = method(second_loss="off").loss(given)["first"].item()
    assert method(first_loss="gated", second_loss="off", gate_temperature=1e30).loss(given)["first"].item() == (
        pytest.approx(plain, rel=1e-3)
    )


# ------------------------------------------------------------------ the algorithm box


def test_losses_are_byols_regression_on_gated_features() -> None:
    two, given = method(first_weight=0.7, second_weight=0.3), batch()
    h, g = features(two, given)
    apart = (g[0] - g[1]).abs()
    a = (-apart / apart.mean()).exp()
    terms = two.loss(given)
    first = byol_of(h, g, two.projector, two.predictor, two.teacher["projector"])
    assert terms["first"].item() == pytest.approx(0.7 * first, rel=1e-10)
    h, g = ([(2 - a) * x for x in some] for some in (h, g))
    second = byol_of(h, g, two.second_projector, two.second_predictor, two.teacher["second_projector"])
    assert terms["second"].item() == pytest.approx(0.3 * second, rel=1e-10)


def test_gated_first_loss_and_absolute_scale_and_mean() -> None:
    options = {"first_loss": "gated", "gate_scale": "absolute", "gate_temperature": 0.2, "reduction": "mean"}
    two, given = method(**options), batch()
    h, g = features(two, given)
    a = (-(g[0] - g[1]).abs() / 0.2).exp()
    terms = two.loss(given)
    h, g = ([(1 + a) * x for x in some] for some in (h, g))
    first = byol_of(h, g, two.projector, two.predictor, two.teacher["projector"])
    assert terms["first"].item() == pytest.approx(first / 2, rel=1e-10)


def test_only_what_is_on_exists() -> None:
    parts = {name.split(".")[0] for name, _ in method(first_loss="off").named_parameters()}
    assert parts == {"backbone", "second_projector", "second_predictor", "teacher"}
    assert set(method(first_loss="off").loss(batch())) == {"second"}
    assert set(method(second_loss="off").teacher) == {"backbone", "projector"}
    with pytest.raises(Fault, match="both off"):
        method(first_loss="off", second_loss="off")


def test_only_the_online_networks_learn_and_the_teacher_follows_all_of_them() -> None:
    two = method(teacher_momentum=0.0)
    sum(two.loss(batch()).values()).backward()
    assert all(p.grad is None for p in two.teacher.parameters())
    assert all(p.grad is not None for name, p in two.named_parameters() if not name.startswith("teacher"))
    two.updates = 0
    two.after_update()
    for name in ("backbone", "projector", "second_projector"):
        for p, q in zip(two.teacher[name].parameters(), two.get_submodule(name).parameters(), strict=True):
            assert torch.equal(p, q)


# ------------------------------------------------------------------ the gate


def test_consistent_and_inconsistent_add_up_to_three() -> None:
    x, a = torch.randn(5, 6, dtype=torch.float64), torch.rand(5, 6, dtype=torch.float64)
    torch.testing.assert_close(consistent(x, a) + inconsistent(x, a), 3 * x, rtol=1e-15, atol=1e-15)


def test_limits_of_the_temperature() -> None:
    x = torch.randn(5, 6, dtype=torch.float64)
    apart = torch.rand(5, 6, dtype=torch.float64) + 0.01
    apart[2, 3] = 0.0
    hot, cold = (gate(apart, torch.tensor(t, dtype=torch.float64)) for t in (1e30, 1e-6))
    assert (hot == 1).all() and torch.equal(inconsistent(x, hot), x) and torch.equal(consistent(x, hot), 2 * x)
    assert torch.equal(cold, (apart == 0).double())
    off = apart > 0
    assert torch.equal(consistent(x, cold)[off], x[off]) and torch.equal(inconsistent(x, cold)[off], 2 * x[off])


@pytest.mark.parametrize("scale", ["relative", "absolute"])
def test_equal_views_open_the_gate_and_it_is_symmetric_and_without_a_gradient(scale: str) -> None:
    two = method(gate_scale=scale)
    g1, g2 = (torch.randn(5, 6, dtype=torch.float64) for _ in range(2))
    assert (two._gate(g1, g1) == 1).all()
    assert torch.equal(two._gate(g1, g2), two._gate(g2, g1))
    _, (t1, t2) = features(two, batch())
    assert not two._gate(t1.detach(), t2.detach()).requires_grad
    assert ((two._gate(g1, g2) > 0) & (two._gate(g1, g2) <= 1)).all()


def test_no_gradient_reaches_the_network_through_the_gate() -> None:
    """The gradient is that of a loss whose gate is a constant."""
    two, given = method(first_loss="off"), batch()
    sum(two.loss(given).values()).backward()
    found = [p.grad.clone() for p in two.backbone.parameters()]
    _, g = features(two, given)
    fixed = two._gate(*[x.detach() for x in g])
    two._gate = lambda g1, g2: fixed
    two.zero_grad()
    sum(two.loss(given).values()).backward()
    for p, q in zip(found, two.backbone.parameters(), strict=True):
        torch.testing.assert_close(p, q.grad, rtol=1e-12, atol=1e-15)


def test_a_scalar_gate_turns_nothing() -> None:
    two = method(granularity="scalar")
    g1, g2 = (torch.randn(5, 6, dtype=torch.float64) for _ in range(2))
    a = two._gate(g1, g2)
    assert a.shape == (5, 1) and a.std() > 0.01
    for change in (consistent, inconsistent):
        torch.testing.assert_close(F.normalize(change(g1, a), dim=1), F.normalize(g1, dim=1), rtol=1e-14, atol=1e-15)


# ------------------------------------------------------------------ how the views differ


def drawn() -> Batch:
    two = method()
    loader = ViewLoader([Shapes(64)], two.views(16), 16, seed=0, stop=1, threads=0)
    found = loader.batch(0)
    found.views = [v.double() for v in found.views]
    return found


def test_regression_is_the_squared_error_of_standardised_differences() -> None:
    two, given = method(first_loss="off", second_loss="regress", second_weight=0.5), drawn()
    h, g = features(two, given)
    told = two.regressor(torch.cat([inconsistent(x, two._gate(*g)) for x in h], dim=1))
    true = torch.from_numpy(differences(*given.records)).double()
    true = (true - true.mean(dim=0)) / true.std(dim=0)
    assert two.loss(given)["regress"].item() == pytest.approx(0.5 * (told - true).square().mean().item(), rel=1e-6)
    assert told.shape == (16, len(DIFFERENCES))


def test_what_never_differs_costs_only_what_is_told_of_it() -> None:
    two, given = method(first_loss="off", second_loss="regress"), drawn()
    given.records = [given.records[0], given.records[0].copy()]
    for p in two.regressor[-1].parameters():
        p.data.zero_()
    assert two.loss(given)["regress"].item() == pytest.approx(0, abs=1e-12)


def test_regression_moves_its_head_and_the_backbone() -> None:
    two, given = method(first_loss="off", second_loss="regress"), drawn()
    sum(two.loss(given).values()).backward()
    assert all(p.grad.abs().max() > 0 for p in two.regressor.parameters())
    assert any(p.grad.abs().max() > 0 for p in two.backbone.parameters())


def test_every_toggle_is_finite() -> None:
    given = drawn()
    for first in ("plain", "gated", "off"):
        for second in ("inc", "regress", "off"):
            if first == second == "off":
                continue
            two = method(first_loss=first, second_loss=second)
            assert all(torch.isfinite(term) for term in two.loss(given).values())
            assert np.isfinite(two.project(torch.randn(4, 6, dtype=torch.float64)).detach().numpy()).all()


@pytest.mark.parametrize("layers", [1, 3])
def test_both_projectors_have_as_many_layers_as_wanted(layers: int) -> None:
    two = method(projector_layers=layers)
    own = [two.projector, two.second_projector, two.teacher["projector"], two.teacher["second_projector"]]
    for head in own:
        assert [type(m).__name__ for m in head] == ["Linear", "BatchNorm1d", "ReLU"] * (layers - 1) + ["Linear"]
    assert len(two.predictor) == len(two.second_predictor) == 4
