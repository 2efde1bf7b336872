"""Two gloo processes against one, in loss and gradient. The processes are started once for all checks."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from unlabel.distributed import all_mean, gather, mine, rank, world
from unlabel.losses import cosine_regression, info_nce, nt_xent
from unlabel.nn.batchnorm import convert_batchnorm
from unlabel.nn.split_batchnorm import split_batchnorm

RANKS, ROWS = 2, 3  # rows of each rank


def two_views() -> tuple[Tensor, Tensor]:
    """The whole batch: [RANKS · ROWS, 3, 8, 8] twice; rank r has rows r·ROWS … (r + 1)·ROWS − 1."""
    pixels = torch.Generator().manual_seed(1)
    shape = (2, RANKS * ROWS, 3, 8, 8)
    v1, v2 = torch.randn(shape, generator=pixels, dtype=torch.float64)
    return v1, v2


def network(*, norm: bool, splits: int = 1) -> nn.Module:
    torch.manual_seed(2)
    maps: list[nn.Module] = [nn.BatchNorm2d(4)] if norm else []
    acting: nn.Module = BatchNormAct2d(4) if norm else nn.ReLU()
    vectors: list[nn.Module] = [nn.BatchNorm1d(5)] if norm else []
    layers = [nn.Conv2d(3, 4, 3), *maps, nn.Tanh(), nn.Conv2d(4, 4, 3), acting, nn.Flatten(), nn.Linear(64, 5)]
    return convert_batchnorm(split_batchnorm(nn.Sequential(*layers, *vectors).double(), splits))


class Loss(nn.Module):
    """A network under a loss of two views; the forward pass gives the loss, as data-parallel training wants it."""

    def __init__(self, kind: str, *, norm: bool) -> None:
        super().__init__()
        self.kind = kind
        self.network = network(norm=norm, splits=RANKS if "splits" in kind else 1)

    def forward(self, v1: Tensor, v2: Tensor) -> Tensor:
        z1, z2 = self.network(v1), self.network(v2)
        match self.kind:
            case "every rank computes the full loss":
                return nt_xent(gather(z1), gather(z2), temperature=0.3)
            case "every rank computes its own anchors":
                position = mine(torch.arange(len(z1) * world()))
                return info_nce(z1, gather(z2), position, temperature=0.3).mean()
            case "every rank weighs the rows differently":
                return (gather(z1) * gather(z2)).sin().sum(dim=1).mean() + (z1 * gather(z2)[:1]).sum(dim=1).mean()
            case "a mean over the batch" | "a mean over the batch, normalised in splits":
                return cosine_regression(z1, z2)
        raise ValueError(self.kind)


CASES = [
    ("every rank computes the full loss", False),
    ("every rank computes the full loss", True),
    ("every rank computes its own anchors", True),
    ("every rank weighs the rows differently", True),
    ("a mean over the batch", True),
    ("a mean over the batch, normalised in splits", True),
]


def outcome(module: nn.Module, loss: Callable[..., Tensor], views: tuple[Tensor, Tensor]) -> dict[str, Any]:
    value = loss(*views)
    value.backward()
    gradients = {n.removeprefix("module."): p.grad for n, p in module.named_parameters()}
    return {"loss": all_mean(value), "gradients": gradients, "buffers": dict(module.named_buffers())}


def one_rank(number: int, folder: str) -> None:
    """What each process does; its findings go to a file."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=number, world_size=RANKS)
    views = tuple(mine(v) for v in two_views())
    found: dict[str, Any] = {"rank": rank(), "world": world()}
    x = torch.arange(4.0).view(2, 2) + 10 * number
    x.requires_grad_()
    gathered = gather(x)
    (gathered * torch.arange(8.0).view(4, 2) * (number + 1)).sum().backward()
    found |= {"gathered": gathered.detach(), "gradient": x.grad, "mine": torch.equal(mine(gathered), x)}
    found |= {"integers": gather(torch.tensor([number])), "strided": gather((x.detach() + 0).T)}
    found |= {"mean": all_mean(torch.tensor([1.0, 3.0]) * number), "mean takes gradient": all_mean(x).requires_grad}
    for case in CASES:
        module = Loss(case[0], norm=case[1])
        parallel = DistributedDataParallel(module, broadcast_buffers=False)
        found[str(case)] = outcome(module, parallel, views)
    module = network(norm=True).eval()
    found["evaluation"] = module(views[0]).detach()
    torch.save(found, Path(folder) / f"rank{number}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    mp.spawn(one_rank, args=(str(folder),), nprocs=RANKS)
    return [torch.load(folder / f"rank{r}.pt") for r in range(RANKS)]


def test_alone_everything_is_the_identity() -> None:
    x = torch.randn(4, 2, requires_grad=True)
    assert (rank(), world()) == (0, 1)
    assert gather(x) is x
    assert torch.equal(mine(x), x)
    assert torch.equal(all_mean(x), x) and not all_mean(x).requires_grad


def test_ranks_know_themselves(ranks: list[dict[str, Any]]) -> None:
    assert [(found["rank"], found["world"]) for found in ranks] == [(0, 2), (1, 2)]


def test_gather_keeps_the_order_of_ranks(ranks: list[dict[str, Any]]) -> None:
    own = torch.arange(4.0).view(2, 2)
    for found in ranks:
        assert torch.equal(found["gathered"], torch.cat([own, own + 10]))
        assert found["mine"]
        assert found["integers"].tolist() == [0, 1]
        assert torch.equal(found["strided"], torch.cat([own.T, own.T + 10]))


def test_gather_hands_back_the_sum_of_all_ranks_gradients(ranks: list[dict[str, Any]]) -> None:
    """Rank s weighs row entries by (s + 1)·0 … (s + 1)·7, so each entry's gradient is 3 times its number."""
    for r, found in enumerate(ranks):
        assert torch.equal(found["gradient"], 3 * torch.arange(8.0).view(4, 2)[2 * r : 2 * r + 2])


def test_all_mean(ranks: list[dict[str, Any]]) -> None:
    for found in ranks:
        assert found["mean"].tolist() == [0.5, 1.5]
        assert not found["mean takes gradient"]


@pytest.mark.parametrize("case", [c for c in CASES if "weighs" not in c[0]], ids=str)
def test_two_ranks_equal_one_process(case: tuple[str, bool], ranks: list[dict[str, Any]]) -> None:
    module = Loss(case[0], norm=case[1])
    whole = outcome(module, module, two_views())
    assert len(whole["gradients"]) == 6 + 6 * case[1] and (len(whole["buffers"]) == 9 * case[1])
    for found in (found[str(case)] for found in ranks):
        torch.testing.assert_close(found["loss"], whole["loss"], rtol=1e-12, atol=0)
        torch.testing.assert_close(found["gradients"], whole["gradients"], rtol=1e-9, atol=1e-13)
        torch.testing.assert_close(found["buffers"], whole["buffers"], rtol=1e-12, atol=1e-14)


def test_losses_that_differ_between_ranks_are_averaged(ranks: list[dict[str, Any]]) -> None:
    """What each rank adds of its own rows against everybody's first: the gradient is that of the mean over ranks."""
    case = ("every rank weighs the rows differently", True)
    module = Loss(*case[:1], norm=True)
    v1, v2 = two_views()
    z1, z2 = module.network(v1), module.network(v2)
    loss = (z1 * z2).sin().sum(dim=1).mean() + (z1 * z2[:1]).sum(dim=1).mean()
    loss.backward()
    for found in (found[str(case)] for found in ranks):
        torch.testing.assert_close(found["loss"], loss.detach(), rtol=1e-12, atol=0)
        expected = {n: p.grad for n, p in module.named_parameters()}
        torch.testing.assert_close(found["gradients"], expected, rtol=1e-9, atol=1e-13)


def test_evaluation_is_local(ranks: list[dict[str, Any]]) -> None:
    with torch.no_grad():
        expected = network(norm=True).eval()(two_views()[0])
    torch.testing.assert_close(torch.cat([found["evaluation"] for found in ranks]), expected, rtol=1e-12, atol=1e-14)
