"""A run whose backbone sees images through a grid of patches is kept, loaded, exported and fine-tuned as such."""

import json
from pathlib import Path

import pytest
import torch

import unlabel
from unlabel.engine.keep import load_method
from unlabel.errors import Fault
from unlabel.nn.patch_grid import PatchGrid

SHORT = {"epochs": 1, "monitors": 1, "device": "cpu", "recipe": "small", "batch_size": 16}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "cpc"
    unlabel.pretrain("cpc", data="shapes:64", out=out, context_width=16, **SHORT)
    return out


def test_load_returns_the_grid_with_its_weights(run: Path) -> None:
    backbone = unlabel.load(run)
    assert isinstance(backbone, PatchGrid) and (backbone.grid, backbone.overlap) == (5, 0.5)
    facts = json.loads((run / "backbone.json").read_text())
    assert (facts["grid"], facts["overlap"]) == (5, 0.5) and "class PatchGrid" in facts["in_plain_timm"]
    _, method = load_method(run)
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(backbone(x), method.embed(x)) and backbone(x).shape == (3, backbone.num_features)


def test_it_is_evaluated_beside_a_grid_with_random_weights(run: Path) -> None:
    found = json.loads((run / "evaluation.json").read_text())
    assert found["knn"].keys() == {"run", "random", "pixels"} and found["dimensions"] == 128


@pytest.mark.parametrize("to", ["timm", "onnx"])
def test_exports_give_the_same_features(run: Path, tmp_path: Path, to: str) -> None:
    written = unlabel.export(run, to=to, out=tmp_path / to)  # reads back and compares by itself
    if to == "timm":
        assert "import unlabel" not in (written / "load.py").read_text()


def test_torchvision_has_no_such_network(run: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="torchvision has no"):
        unlabel.export(run, to="torchvision", out=tmp_path / "t")


def test_it_can_be_fine_tuned(run: Path, tmp_path: Path) -> None:
    result = unlabel.finetune(run, labels=0.5, out=tmp_path / "run", evaluate=False, **SHORT)
    assert isinstance(unlabel.load(result.folder), PatchGrid)


def test_a_grid_too_fine_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="lower `grid` or raise `size`"):
        unlabel.pretrain("cpc", data="shapes:64", out=tmp_path / "run", grid=30, **SHORT)
    assert not (tmp_path / "run").exists()
