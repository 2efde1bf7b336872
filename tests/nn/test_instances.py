"""A bank of all images: its draws, its normaliser, and what moves when."""

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
    bank = Instances(width, negatives=negatives)
    bank.prepare(images)
    return bank


def anchors(b: int = 3, width: int = 4) -> torch.Tensor:
    return F.normalize(torch.randn(b, width), dim=1)


def test_a_draw_is_a_function_of_the_update_and_the_seed() -> None:
    bank, same = made(), made()
    torch.manual_seed(99)
    for update in (0, 1, 7):
        assert torch.equal(bank.drawn(update), same.drawn(update))
    assert not torch.equal(bank.drawn(0), bank.drawn(1))
    same.seed += 1
    assert not torch.equal(bank.drawn(0), same.drawn(0))
    other = Instances(4, negatives=6)
    other.prepare(20)
    other.load_state_dict(bank.state_dict())
    assert torch.equal(bank.drawn(3), other.drawn(3))


def test_draws_are_uniform_with_replacement() -> None:
    bank = made(negatives=400, images=10)
    drawn = torch.cat([bank.drawn(update) for update in range(50)]).numpy()
    assert stats.chisquare(np.bincount(drawn, minlength=10)).pvalue > 0.001
    pairs = np.bincount(10 * drawn[:-1] + drawn[1:], minlength=100)
    assert stats.chisquare(pairs).pvalue > 0.001


def test_without_negatives_nothing_is_drawn() -> None:
    bank = made(negatives=0)
    assert bank.drawn(0) is None and bank.log_z(anchors(), None, temperature=0.1) is None


def test_the_normaliser_is_n_times_the_mean_of_exponentials() -> None:
    bank, f = made(), anchors()
    drawn = bank.drawn(0)
    mean = torch.stack([(a @ bank.rows[j] / 0.2).exp() for a in f for j in drawn]).mean()
    assert bank.log_z(f, drawn, temperature=0.2).item() == pytest.approx(math.log(20 * mean), rel=1e-5)


def test_the_normaliser_survives_low_temperatures() -> None:
    bank = made()
    bank.rows.copy_(-F.normalize(torch.ones(20, 4), dim=1))
    far = F.normalize(torch.ones(3, 4), dim=1)
    found = bank.log_z(far, bank.drawn(0), temperature=0.001)
    assert found.item() == pytest.approx(math.log(20) - 1000, rel=1e-4)


def test_the_normaliser_is_set_once_and_never_again() -> None:
    bank = made()
    first, drawn = anchors(), bank.drawn(0)
    used = bank.log_z(first, drawn, temperature=0.2)
    assert torch.equal(bank.log_z(first, drawn, temperature=0.2), used)  # asked twice, noted never
    other = anchors()
    assert not torch.equal(bank.log_z(other, drawn, temperature=0.2), used)
    bank.move()  # nothing was seen
    assert torch.isinf(bank.constant)
    bank.see(torch.tensor([1, 2, 3]), first, used)
    assert torch.isinf(bank.constant)
    bank.move()
    assert torch.equal(bank.constant, used)
    for update in (1, 2):
        again = bank.log_z(other, bank.drawn(update), temperature=0.2)
        assert torch.equal(again, used)
        bank.see(torch.tensor([4, 5, 6]), other, again + 1)
        bank.move()
    assert torch.equal(bank.constant, used)
    resumed = Instances(4, negatives=6)
    resumed.prepare(20)
    resumed.load_state_dict(bank.state_dict())
    assert torch.equal(resumed.log_z(other, drawn, temperature=0.2), used)


def test_batches_of_one_update_share_the_mean_of_their_normalisers() -> None:
    bank = made()
    for value in (1.0, 3.0):
        bank.see(torch.tensor([0]), anchors(1), torch.tensor(value))
    bank.move()
    assert bank.constant.item() == pytest.approx(math.log((math.e + math.e**3) / 2), rel=1e-6)


def test_rows_follow_after_the_move() -> None:
    bank, f = made(), anchors(2)
    before = copy.deepcopy(bank.rows)
    bank.see(torch.tensor([7, 3]), f)
    assert torch.equal(bank.rows, before)
    bank.move()
    torch.testing.assert_close(bank.rows[[7, 3]], F.normalize(before[[7, 3]] + f, dim=1))
    others = [i for i in range(20) if i not in (3, 7)]
    assert torch.equal(bank.rows[others], before[others])


def test_before_it_is_prepared_it_says_what_to_do() -> None:
    bank = Instances(4, negatives=6)
    with pytest.raises(Fault, match="prepare"):
        bank.drawn(0)
