"""The momentum of a teacher goes from a beginning to an end, both of which are the user's."""

import pytest
import torch
from torch import nn

from tests.methods.toy import toy_method
from unlabel import methods
from unlabel.engine.options import hyperparameters

RISING = tuple(n for n in methods.available() if "teacher_momentum_end" in hyperparameters(methods.get(n)))


def moved(name: str, progress: float, **momenta: float) -> tuple[list[nn.Parameter], list[torch.Tensor]]:
    """The teacher's parameters after one update at this progress and before it; the student is 1 ahead of it."""
    method = toy_method(name, **momenta)
    method.total_updates, method.updates = 1000, round(1000 * progress)
    teacher, student = method.followed()
    before = [p.detach().clone() for p in teacher.parameters()]
    with torch.no_grad():
        for p in student.parameters():
            p.add_(1.0)
    method.after_update()
    return list(teacher.parameters()), before


def test_the_methods_whose_papers_have_a_ramp_have_one() -> None:
    assert set(RISING) == {"byol", "byol_two_losses", "dino", "moco_v3", "pixcontrast", "pixpro"}
    for name in RISING:
        assert hyperparameters(methods.get(name))["teacher_momentum_end"].default == 1.0


@pytest.mark.parametrize("name", RISING)
@pytest.mark.parametrize(("progress", "share"), [(0.0, 0.4), (0.5, 0.3), (1.0, 0.2)])
def test_the_teacher_goes_a_share_of_the_way_that_falls_along_a_cosine(
    name: str, progress: float, share: float
) -> None:
    after, before = moved(name, progress, teacher_momentum=0.6, teacher_momentum_end=0.8)
    for p, old in zip(after, before, strict=True):
        torch.testing.assert_close(p - old, torch.full_like(p, share), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", RISING)
def test_a_momentum_that_ends_where_it_began_stays(name: str) -> None:
    for progress in (0.0, 0.7, 1.0):
        after, before = moved(name, progress, teacher_momentum=0.6, teacher_momentum_end=0.6)
        for p, old in zip(after, before, strict=True):
            torch.testing.assert_close(p - old, torch.full_like(p, 0.4), rtol=1e-5, atol=1e-5)
