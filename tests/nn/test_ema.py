import pytest
import torch
from torch import nn

from unlabel.nn.ema import ema_update, teacher_of, without_graph


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2, bias=False))


def shaken(student: nn.Module) -> nn.Module:
    with torch.no_grad():
        for p in student.parameters():
            p.add_(torch.randn_like(p))
    return student


def test_a_teacher_is_an_equal_copy_without_gradient() -> None:
    student = network()
    teacher = teacher_of(student)
    x = torch.randn(5, 3)
    assert torch.equal(teacher(x), student(x))
    assert not any(p.requires_grad for p in teacher.parameters())
    assert all(p.requires_grad for p in student.parameters())
    assert not {p.data_ptr() for p in teacher.parameters()} & {p.data_ptr() for p in student.parameters()}


def test_one_step_of_arithmetic() -> None:
    student = network().double()
    teacher = teacher_of(student)
    before = {n: p.clone() for n, p in teacher.named_parameters()}
    ema_update(teacher, shaken(student), 0.9)
    for name, p in teacher.named_parameters():
        expected = 0.9 * before[name] + 0.1 * student.get_parameter(name)
        torch.testing.assert_close(p, expected.detach(), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_ends_are_exact(momentum: float) -> None:
    student = network()
    teacher = teacher_of(student)
    before = [p.clone() for p in teacher.parameters()]
    ema_update(teacher, shaken(student), momentum)
    expected = before if momentum == 1 else list(student.parameters())
    assert all(torch.equal(p, e) for p, e in zip(teacher.parameters(), expected, strict=True))


def test_running_averages_are_the_teachers_own() -> None:
    student = network()
    teacher = teacher_of(student)
    student(5 + torch.randn(8, 3))  # moves the student's running mean
    ema_update(teacher, student, 0.0)
    assert teacher[1].running_mean.abs().max() == 0
    assert student[1].running_mean.abs().max() > 0


def test_a_hundred_steps_converge_to_a_resting_student() -> None:
    student = network().double()
    teacher = teacher_of(student)
    start = teacher[0].weight.clone()
    shaken(student)
    gap = start - student[0].weight
    for _ in range(100):
        ema_update(teacher, student, 0.95)
    torch.testing.assert_close(teacher[0].weight - student[0].weight, gap.detach() * 0.95**100, rtol=1e-10, atol=1e-15)


def test_networks_must_match() -> None:
    with pytest.raises(ValueError, match=r"2\.bias"):
        ema_update(network(), nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), 0.9)
    with pytest.raises(ValueError, match="shapes"):
        ema_update(nn.Linear(3, 4), nn.Linear(3, 1), 0.9)


def test_what_a_teacher_says_may_stand_in_a_loss() -> None:
    teacher = teacher_of(network())
    x, w = torch.randn(5, 3), torch.randn(5, 2, requires_grad=True)
    said = without_graph(teacher, x)
    assert torch.equal(said, teacher(x)) and not said.requires_grad and not said.is_inference()
    (w * said).sum().backward()  # saved for backward, which a tensor of inference mode cannot be
    assert torch.equal(w.grad, said)
    assert teacher[1].num_batches_tracked == 2  # batch norm keeps counting
