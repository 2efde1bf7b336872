"""A memory of all images: its draws, its normaliser, and what moves when."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from unlabel.errors import Fault
from unlabel.nn.instances import Instances


def made(negatives: int = 6, images: int = 20, width: int = 4) -> Instances:
    torch.manual_seed(0)
    memory = Instances(width, negatives=negatives)
    memory.prepare(images)
    return memory


def anchors(b: int = 3, width: int = 4) -> torch.Tensor:
    return F.normalize(torch.randn(b, width), dim=1)


def test_a_draw_is_a_function_of_the_update_and_the_seed() -> None:
    memory, same = made(), made()
    torch.manual_seed(99)
    for update in (0, 1, 7):
        assert torch.equal(memory.drawn(update), same.drawn(update))
    assert not torch.equal(memory.drawn(0), memory.drawn(1))
    same.seed += 1
    assert not torch.equal(memory.drawn(0), same.drawn(0))
    other = Instances(4, negatives=6)
    other.prepare(20)
    other.load_state_dict(memory.state_dict())
    assert torch.equal(memory.drawn(3), other.drawn(3))


def test_draws_are_uniform_with_replacement() -> None:
    memory = made(negatives=400, images=10)
    drawn = torch.cat([memory.drawn(update) for update in range(50)]).numpy()
    assert stats.chisquare(np.bincount(drawn, minlength=10)).pvalue > 0.001
    pairs = np.bincount(10 * drawn[:-1] + drawn[1:], minlength=100)
    assert stats.chisquare(pairs).pvalue > 0.001


def test_without_negatives_nothing_is_drawn() -> None:
    memory = made(negatives=0)
    assert memory.drawn(0) is None and memory.log_z(anchors(), None, temperature=0.1) is None


def test_the_normaliser_is_n_times_the_mean_of_exponentials() -> None:
    memory, f = made(), anchors()
    drawn = memory.drawn(0)
    mean = torch.stack([(a @ memory.rows[j] / 0.2).exp() for a in f for j in drawn]).mean()
    assert memory.log_z(f, drawn, temperature=0.2).item() == pytest.approx(math.log(20 * mean), rel=1e-5)


def test_the_normaliser_survives_low_temperatures() -> None:
    memory = made()
    memory.bank.rows.copy_(-F.normalize(torch.ones(20, 4), dim=1))
    far = F.normalize(torch.ones(3, 4), dim=1)
    found = memory.log_z(far, memory.drawn(0), temperature=0.001)
    assert found.item() == pytest.approx(math.log(20) - 1000, rel=1e-4)


def test_the_normaliser_is_set_once_and_never_again() -> None:
    memory = made()
    first, drawn = anchors(), memory.drawn(0)
    used = memory.log_z(first, drawn, temperature=0.2)
    assert torch.equal(memory.log_z(first, drawn, temperature=0.2), used)  # asked twice, noted never
    other = anchors()
    assert not torch.equal(memory.log_z(other, drawn, temperature=0.2), used)
    memory.move()  # nothing was seen
    assert torch.isinf(memory.constant)
    memory.see(torch.tensor([1, 2, 3]), first, used)
    assert torch.isinf(memory.constant)
    memory.move()
    assert torch.equal(memory.constant, used)
    for update in (1, 2):
        again = memory.log_z(other, memory.drawn(update), temperature=0.2)
        assert torch.equal(again, used)
        memory.see(torch.tensor([4, 5, 6]), other, again + 1)
        memory.move()
    assert torch.equal(memory.constant, used)
    resumed = Instances(4, negatives=6)
    resumed.prepare(20)
    resumed.load_state_dict(memory.state_dict())
    assert torch.equal(resumed.log_z(other, drawn, temperature=0.2), used)


def test_batches_of_one_update_share_the_mean_of_their_normalisers() -> None:
    memory = made()
    for value in (1.0, 3.0):
        memory.see(torch.tensor([0]), anchors(1), torch.tensor(value))
    memory.move()
    assert memory.constant.item() == pytest.approx(math.log((math.e + math.e**3) / 2), rel=1e-6)


def test_rows_follow_after_the_move() -> None:
    memory, f = made(), anchors(2)
    before = copy.deepcopy(memory.rows)
    memory.see(torch.tensor([7, 3]), f)
    assert torch.equal(memory.rows, before)
    memory.move()
    torch.testing.assert_close(memory.rows[[7, 3]], F.normalize(before[[7, 3]] + f, dim=1))
    others = [i for i in range(20) if i not in (3, 7)]
    assert torch.equal(memory.rows[others], before[others])


def test_before_it_is_prepared_it_says_what_to_do() -> None:
    memory = Instances(4, negatives=6)
    with pytest.raises(Fault, match="prepare"):
        memory.drawn(0)
