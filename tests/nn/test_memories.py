"""Queue and bank: what goes in when, and what stays."""

import pytest
import torch

from unlabel.nn.bank import Bank
from unlabel.nn.queue import Queue


def rows(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None].repeat(1, 3)


def test_a_queue_is_first_in_first_out_and_wraps() -> None:
    queue = Queue(4, 3)
    for first in (0.0, 3.0):
        queue.see(rows(first, first + 1, first + 2))
        queue.move()
    assert queue.rows[:, 0].tolist() == [4, 5, 2, 3]
    assert queue.filled == 4 and int(queue.pushed) == 6


def test_a_queue_starts_as_unit_vectors_none_of_which_is_real() -> None:
    queue = Queue(5, 7)
    torch.testing.assert_close(queue.rows.norm(dim=1), torch.ones(5))
    assert queue.filled == 0


def test_what_a_queue_sees_does_not_go_in_before_the_move() -> None:
    queue = Queue(4, 3)
    before = queue.rows.clone()
    queue.see(rows(1.0))
    assert torch.equal(queue.rows, before)
    queue.move()
    assert queue.rows[0, 0] == 1 and queue.filled == 1
    queue.move()
    assert queue.filled == 1


def test_of_more_rows_than_fit_the_last_stay() -> None:
    queue = Queue(2, 3)
    queue.see(rows(1.0, 2.0, 3.0, 4.0, 5.0))
    queue.move()
    assert sorted(queue.rows[:, 0].tolist()) == [4, 5]


def test_a_queue_resumes_where_it_was() -> None:
    queue, other = Queue(4, 3), Queue(4, 3)
    queue.see(rows(1.0, 2.0, 3.0))
    queue.move()
    other.load_state_dict(queue.state_dict())
    for each in (queue, other):
        each.see(rows(7.0, 8.0))
        each.move()
    assert torch.equal(queue.rows, other.rows) and other.rows[0, 0] == 8


def test_a_bank_follows_by_its_momentum_and_keeps_length_one() -> None:
    bank = Bank(6, 4, momentum=0.25)
    before = bank.rows.clone()
    index, features = torch.tensor([4, 1]), torch.nn.functional.normalize(torch.randn(2, 4), dim=1)
    bank.see(index, features)
    assert torch.equal(bank.rows, before)
    bank.move()
    expected = torch.nn.functional.normalize(0.25 * before[index] + 0.75 * features, dim=1)
    torch.testing.assert_close(bank.rows[index], expected)
    others = torch.tensor([0, 2, 3, 5])
    assert torch.equal(bank.rows[others], before[others])


def test_a_banks_first_rows_have_length_about_one() -> None:
    bank = Bank(2000, 128)
    assert bank.rows.norm(dim=1).mean().item() == pytest.approx(1, abs=0.01)
    assert len(bank) == 2000
