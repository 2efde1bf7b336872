import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.toy import Backbone
from unlabel.engine.options import chosen_views
from unlabel.errors import Fault
from unlabel.losses import queue_info_nce
from unlabel.methods.clsa import CLSA
from unlabel.views import Batch, named


def method(**options) -> CLSA:
    small = {"projector_width": 8, "projector_dim": 4, "queue_length": 12, "bn_splits": 1}
    clsa = CLSA(Backbone(), **small | options).double()
    for p in clsa.teacher.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return clsa


def batch(b: int = 5) -> Batch:
    """Key, weak and strong view; the strong one is smaller."""
    views = [torch.randn(b, 3, side, side, dtype=torch.float64) for side in (8, 8, 6)]
    return Batch(views=views, index=torch.arange(b), records=[np.zeros(b)] * 3)


def logits(clsa: CLSA, given: Batch) -> tuple[Tensor, Tensor]:
    """Cosines of weak and strong queries with all candidates, [B, B + K] each."""
    x, *others = given.views
    candidates = torch.cat([F.normalize(clsa.teacher(x), dim=1), clsa.queue.rows])
    weak, strong = (F.normalize(clsa.projector(clsa.backbone(v)), dim=1) @ candidates.T for v in others)
    return weak, strong


def test_loss_is_the_algorithm_box() -> None:
    clsa, given = method(temperature=0.3, strong_temperature=0.1, beta=0.7), batch()
    weak, strong = logits(clsa, given)
    target = (weak / 0.1).softmax(dim=1).detach()
    contrastive = F.cross_entropy(weak / 0.3, torch.arange(5))
    distributional = -(target * (strong / 0.1).log_softmax(dim=1)).sum(dim=1).mean()
    terms = clsa.loss(given)
    assert terms["nce"].item() == pytest.approx(contrastive.item(), rel=1e-11)
    assert (terms["divergence"] + terms["entropy"]).item() == pytest.approx(0.7 * distributional.item(), rel=1e-11)
    entropy = torch.special.entr(target).sum(dim=1).mean()
    assert terms["entropy"].item() == pytest.approx(0.7 * entropy.item(), rel=1e-10)


def test_no_gradient_reaches_the_weak_view_through_the_divergence() -> None:
    clsa, given = method(), batch()
    for view in given.views:
        view.requires_grad_()
    terms = clsa.loss(given)
    torch.stack([terms["divergence"], terms["entropy"]]).sum().backward()
    key, weak, strong = given.views
    assert key.grad is None and (weak.grad is None or weak.grad.abs().max() == 0)
    assert strong.grad.abs().max() > 0
    assert all(p.grad is None for p in clsa.teacher.parameters())


def test_without_beta_it_is_moco_with_the_other_keys_of_the_batch() -> None:
    clsa, given = method(beta=0.0), batch(1)  # of one image there are none
    key, weak, _ = given.views
    queries, keys = clsa.projector(clsa.backbone(weak)), clsa.teacher(key)
    expected = queue_info_nce(queries, keys, clsa.queue.rows, temperature=0.2)
    terms = clsa.loss(given)
    assert torch.stack(list(terms.values())).sum().item() == pytest.approx(expected.item(), rel=1e-11)
    assert terms["divergence"] == terms["entropy"] == 0


def test_a_strong_view_that_is_the_weak_one_diverges_by_nothing() -> None:
    clsa, given = method(temperature=0.4), batch()
    given.views[2] = given.views[1]
    assert clsa.loss(given)["divergence"].item() == pytest.approx(0, abs=1e-13)


def test_not_distributional_the_strong_view_is_pulled_to_its_key() -> None:
    clsa, given = method(distributional=False, strong_temperature=0.5, beta=2.0), batch()
    _, strong = logits(clsa, given)
    terms = clsa.loss(given)
    assert set(terms) == {"nce", "strong_nce"}
    expected = 2 * F.cross_entropy(strong / 0.5, torch.arange(5))
    assert terms["strong_nce"].item() == pytest.approx(expected.item(), rel=1e-11)


def test_keys_enter_the_queue_after_the_update_and_once() -> None:
    clsa, given = method(), batch()
    keys = F.normalize(clsa.teacher(given.views[0]), dim=1)
    clsa.loss(given)
    assert clsa.queue.filled == 0
    clsa.advance()
    assert clsa.queue.filled == 5
    torch.testing.assert_close(clsa.queue.rows[:5], keys.detach(), rtol=1e-9, atol=1e-11)
    clsa.eval().loss(given)
    clsa.advance()
    assert clsa.queue.filled == 5


def test_splits_of_batch_norm_leave_the_loss_defined_for_small_strong_views() -> None:
    terms = method(bn_splits=2).loss(batch(6))
    assert all(torch.isfinite(term) for term in terms.values())


def test_views_and_defaults_are_the_papers() -> None:
    clsa = CLSA(Backbone(), queue_length=8)
    assert (clsa.temperature, clsa.strong_temperature, clsa.beta, clsa.teacher_momentum) == (0.2, 0.2, 1.0, 0.999)
    assert clsa.views(224) == named("clsa", 224)


def test_two_views_are_too_few() -> None:
    assert len(chosen_views("instdisc", 32, CLSA).views) == 3
    with pytest.raises(Fault, match="make 2 views of an image, but CLSA takes 3"):
        chosen_views("moco2", 32, CLSA)
    with pytest.raises(Fault, match="make 10 views of an image, but CLSA takes 3"):
        chosen_views("dino", 32, CLSA)
