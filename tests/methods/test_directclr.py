"""DirectCLR: the loss sees a slice, across the views, and the rest of the representation gets no gradient from it."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.toy import Backbone, batch
from unlabel.errors import Fault
from unlabel.losses import nt_xent
from unlabel.methods.directclr import DirectCLR
from unlabel.views import Batch


def method(**options) -> DirectCLR:
    return DirectCLR(Backbone(), **{"dimensions": 4} | options).double()


def represented(directclr: DirectCLR, given: Batch) -> list[Tensor]:
    return [directclr.backbone(view) for view in given.views]


def across(r1: Tensor, r2: Tensor, d0: int, temperature: float) -> Tensor:
    """The authors' loss: two cross-entropies over the other view's rows."""
    z1, z2 = F.normalize(r1[:, :d0], dim=1), F.normalize(r2[:, :d0], dim=1)
    own = torch.arange(len(z1))
    return F.cross_entropy(z1 @ z2.T / temperature, own) / 2 + F.cross_entropy(z2 @ z1.T / temperature, own) / 2


@pytest.mark.parametrize(("d0", "temperature"), [(1, 0.5), (4, 0.1), (6, 0.2)])
def test_loss_is_two_cross_entropies_of_a_slice(d0: int, temperature: float) -> None:
    directclr, given = method(dimensions=d0, temperature=temperature), batch()
    expected = across(*represented(copy.deepcopy(directclr), given), d0, temperature)
    assert directclr.loss(given).item() == pytest.approx(expected.item(), rel=1e-10)


class Given(torch.nn.Module):
    """Hands out what it was given, so that gradients stop at representations."""

    num_features = 6

    def __init__(self, *rows: Tensor) -> None:
        super().__init__()
        self.rows = list(rows)

    def forward(self, x: Tensor) -> Tensor:
        return self.rows[int(x[0, 0, 0, 0])]


def given_rows() -> tuple[list[Tensor], Batch]:
    rows = [torch.randn(5, 6, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    views = [torch.full((5, 3, 2, 2), float(v)) for v in range(2)]
    return rows, Batch(views=views, index=torch.arange(5), records=[])


@pytest.mark.parametrize("same_view", [False, True])
def test_channels_beyond_the_slice_get_exactly_no_gradient(same_view: bool) -> None:
    rows, given = given_rows()
    DirectCLR(Given(*rows), dimensions=4, same_view_negatives=same_view).loss(given).backward()
    for r in rows:
        assert (r.grad[:, 4:] == 0).all() and r.grad[:, :4].abs().min() > 0


def test_all_channels_are_simclr_without_a_projector() -> None:
    rows, given = given_rows()
    whole = DirectCLR(Given(*rows), dimensions=6, temperature=0.2)
    assert whole.loss(given).item() == pytest.approx(across(*rows, 6, 0.2).item(), rel=1e-12)
    simclr = DirectCLR(Given(*rows), dimensions=6, temperature=0.2, same_view_negatives=True)
    assert simclr.loss(given).item() == pytest.approx(nt_xent(*rows, temperature=0.2).item(), rel=1e-12)


def test_lightlys_form_has_the_negatives_of_the_same_view() -> None:
    lightly = pytest.importorskip("lightly.loss")
    rows, given = given_rows()
    theirs = lightly.DirectCLRLoss(loss_dim=4, temperature=0.1)(*rows).item()
    with_them = DirectCLR(Given(*rows), dimensions=4, same_view_negatives=True).loss(given).item()
    assert with_them == pytest.approx(theirs, rel=1e-10)
    assert DirectCLR(Given(*rows), dimensions=4).loss(given).item() < theirs - 1e-6  # fewer negatives cost less


def test_more_dimensions_than_there_are_is_a_fault() -> None:
    with pytest.raises(Fault, match="`dimensions` is 7, but the backbone's features have 6"):
        method(dimensions=7)


def test_there_is_no_projector_and_project_is_the_slice() -> None:
    directclr = method()
    assert {name.split(".")[0] for name, _ in directclr.named_parameters()} == {"backbone"}
    h = torch.randn(3, 6)
    assert torch.equal(directclr.project(h), h[:, :4])


def test_the_plan_is_the_papers() -> None:
    plan = DirectCLR.plan
    assert plan.peak(4096) == pytest.approx(4.8) and plan.rate(1.0, 4096) == pytest.approx(4.8e-3)
