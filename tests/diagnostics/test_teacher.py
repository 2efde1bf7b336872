import copy
import math

import pytest
import torch
from torch import nn

from unlabel.diagnostics import embedding_divergence, parameter_distance
from unlabel.nn.ema import ema_update, teacher_of


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_distance_by_hand():
    teacher, student = nn.Linear(2, 1), nn.Linear(2, 1)
    for part, weight, bias in ((teacher, [3.0, 0.0], 1.0), (student, [0.0, 4.0], 1.0)):
        part.weight.data, part.bias.data = torch.tensor([weight]), torch.tensor([bias])
    assert parameter_distance(teacher, student) == pytest.approx(5 / math.sqrt(17))


def test_a_copy_is_near_whatever_its_buffers_hold():
    student = network()
    teacher = teacher_of(student)
    teacher[1].running_mean += 5
    assert parameter_distance(teacher, student) == 0
    for part in teacher.parameters():
        part.data.zero_()
    assert parameter_distance(teacher, student) == pytest.approx(1)


def test_following_shortens_the_distance_by_the_momentum():
    student, teacher = network(), network()
    before = parameter_distance(teacher, student)
    ema_update(teacher, student, 0.9)
    assert parameter_distance(teacher, student) == pytest.approx(0.9 * before, rel=1e-5)


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match="teacher and student differ"):
        parameter_distance(network(), nn.Linear(3, 4))
    wider = copy.deepcopy(network())
    wider[2] = nn.Linear(4, 3)
    with pytest.raises(ValueError, match="shapes"):
        parameter_distance(wider, network())


def test_divergence_by_hand():
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    y = torch.tensor([[5.0, 0.0], [0.0, -1.0], [1.0, -1.0]])
    assert embedding_divergence(x, y) == pytest.approx((0 + 2 + 1) / 3)
    assert embedding_divergence(x, 3 * x) == pytest.approx(0, abs=1e-12)
