"""Compiled networks compute what they computed, and their weights keep their names."""

import shutil

import pytest
import torch
from torch import Tensor

from tests.methods.toy import toy_batch, toy_method
from unlabel import methods
from unlabel.engine.compiling import compile_networks
from unlabel.errors import Fault


def losses(method: methods.Method, name: str) -> Tensor:
    torch.manual_seed(1)
    loss = method.loss(toy_batch(name, method))
    return torch.stack(list(loss.values())) if isinstance(loss, dict) else loss[None]


QUICK = ("simclr", "mae")  # a network called as a whole, and one called piece by piece; tracing all takes a minute


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in methods.available()]
)
def test_a_compiled_method_has_the_same_loss_and_the_same_names(name: str) -> None:
    plain, compiled = toy_method(name), toy_method(name)
    compile_networks(compiled, "cpu", backend="aot_eager")  # traced forward and backward, without a C++ compiler
    assert sum(module._compiled_call_impl is not None for module in compiled.modules()) >= 1
    found = losses(compiled, name)
    torch.testing.assert_close(found, losses(plain, name), rtol=1e-4, atol=1e-5)
    found.sum().backward()
    assert list(compiled.state_dict()) == list(plain.state_dict())


def test_a_missing_compiler_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Fault, match=r"needs a C\+\+ compiler"):
        compile_networks(toy_method("simclr"), "cpu")


@pytest.mark.slow
def test_a_run_with_compiled_networks(tmp_path) -> None:
    import numpy as np

    import unlabel

    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (32, 16, 16, 3), np.uint8))
    options = {"data": str(tmp_path / "images.npy"), "batch_size": 8, "epochs": 1, "evaluate": False, "monitors": 0}
    runs = [unlabel.pretrain("simclr", **options, compile=on, out=tmp_path / f"{on}") for on in (True, False)]
    weights = [torch.cat([p.flatten() for p in run.backbone().parameters()]) for run in runs]
    torch.testing.assert_close(*weights, rtol=1e-2, atol=1e-3)
