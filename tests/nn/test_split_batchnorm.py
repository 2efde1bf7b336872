"""In one process; tests/methods/test_contract.py compares two ranks with one process."""

import copy

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from unlabel.errors import Fault
from unlabel.nn.batchnorm import convert_batchnorm
from unlabel.nn.split_batchnorm import SplitBatchNorm, apart, split_batchnorm


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4, momentum=0.3),
        nn.Conv2d(4, 4, 3),
        BatchNormAct2d(4),
        nn.Flatten(),
        nn.Sequential(nn.Linear(64, 6), nn.BatchNorm1d(6, affine=False)),
    ).double()


def images(n: int) -> torch.Tensor:
    return torch.randn(n, 3, 8, 8, dtype=torch.float64)


@pytest.mark.parametrize("n", [12, 13])
def test_each_split_is_normalised_as_a_batch_of_its_own(n: int) -> None:
    plain, x = network(), images(n)
    split = split_batchnorm(copy.deepcopy(plain), 3)
    alone = [copy.deepcopy(plain) for _ in range(3)]
    expected = [each(part) for each, part in zip(alone, x.tensor_split(3), strict=True)]
    torch.testing.assert_close(split(x), torch.cat(expected), rtol=1e-12, atol=1e-13)
    for name, buffer in split.named_buffers():  # what each saw counts equally in the running averages
        seen = torch.stack([each.get_buffer(name).double() for each in alone]).mean(dim=0)
        torch.testing.assert_close(buffer.double(), seen, rtol=1e-12, atol=1e-14)


def test_gradients_are_those_of_the_splits() -> None:
    plain, x = network(), images(8)
    split = split_batchnorm(copy.deepcopy(plain), 2)
    weights = torch.randn(8, 6, dtype=torch.float64)
    (split(x) * weights).sum().backward()
    sum((plain(part) * w).sum() for part, w in zip(x.chunk(2), weights.chunk(2), strict=True)).backward()
    for a, b in zip(split.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-10, atol=1e-11)


def test_evaluation_and_the_state_dict_are_those_of_the_plain_network() -> None:
    plain = network()
    split = split_batchnorm(copy.deepcopy(plain), 2)
    split(images(6))
    assert list(split.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(split.state_dict())
    x = images(3)
    assert torch.equal(split.eval()(x), plain.eval()(x))


def test_one_split_is_the_network_as_it_is_and_several_are_left_to_themselves() -> None:
    plain = network()
    kinds = [type(part) for part in plain.modules()]
    assert split_batchnorm(plain, 1) is plain and [type(part) for part in plain.modules()] == kinds
    split = split_batchnorm(plain, 2)
    assert sum(isinstance(part, SplitBatchNorm) for part in split.modules()) == 3
    assert sum(type(part) is SplitBatchNorm for part in convert_batchnorm(split).modules()) == 3


def test_batches_too_small_for_their_splits_are_explained() -> None:
    with pytest.raises(Fault, match="`bn_splits` 4 does not suit 7 images"):
        split_batchnorm(network(), 4)(images(7))


@pytest.mark.parametrize(("n", "splits"), [(256, 8), (64, 8), (8, 2), (12, 4), (13, 3), (5, 1), (7, 7)])
def test_an_order_apart_mixes_the_splits_evenly(n: int, splits: int) -> None:
    order = apart(n, splits)
    assert torch.equal(order.sort().values, torch.arange(n))
    assert torch.equal(order[order.argsort()], torch.arange(n))
    before = torch.arange(n).tensor_split(splits)
    for part in order.tensor_split(splits):
        shared = [len(set(part.tolist()) & set(old.tolist())) for old in before]
        assert max(shared) - min(shared) <= 1
    if splits == 1:
        assert torch.equal(order, torch.arange(n))
