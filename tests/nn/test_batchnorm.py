"""In one process; tests/test_distributed.py runs it on two ranks."""

import copy

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from unlabel.nn.batchnorm import GlobalBatchNorm, convert_batchnorm


def network() -> nn.Sequential:
    offsetless = nn.BatchNorm1d(6)
    offsetless.register_parameter("bias", None)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4, momentum=0.3),
        nn.Conv2d(4, 4, 3),
        BatchNormAct2d(4),
        nn.Flatten(),
        nn.Linear(4 * 16, 6),
        nn.Sequential(nn.BatchNorm1d(6, affine=False), offsetless),
    ).double()


def test_every_batch_norm_is_replaced_and_the_state_dict_is_not() -> None:
    plain = network()
    keys, parameters = list(plain.state_dict()), list(plain.parameters())
    converted = convert_batchnorm(plain)
    assert converted is plain
    assert not [m for m in converted.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert sum(isinstance(m, GlobalBatchNorm) for m in converted.modules()) == 4
    assert list(converted.state_dict()) == keys
    assert all(a is b for a, b in zip(converted.parameters(), parameters, strict=True))


@pytest.mark.parametrize("momentum", [0.1, None])
def test_alone_it_is_torchs_batch_norm(momentum: float | None) -> None:
    plain = network()
    plain[1].momentum = momentum
    converted = convert_batchnorm(copy.deepcopy(plain))
    for _ in range(2):
        x = torch.randn(5, 3, 8, 8, dtype=torch.float64)
        assert torch.equal(converted(x), plain(x))
    for a, b in zip(converted.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    plain.eval(), converted.eval()
    assert torch.equal(converted(x), plain(x))


def test_a_batch_norm_itself_is_replaced() -> None:
    assert isinstance(convert_batchnorm(nn.BatchNorm1d(3)), GlobalBatchNorm)
