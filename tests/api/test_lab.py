"""A method that keeps two networks made of the given one: its run folder loads, embeds, exports and evaluates."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

import unlabel
from unlabel.engine.keep import load_method
from unlabel.errors import Fault
from unlabel.nn.lab import LabPair


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "cmc"
    unlabel.pretrain(
        "cmc", data="shapes:128", batch_size=32, epochs=1, monitors=1, recipe="small", device="cpu", out=out
    )
    return out


def test_what_is_loaded_is_what_was_kept(run: Path) -> None:
    backbone, (_, method) = unlabel.load(run), load_method(run)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert isinstance(backbone, LabPair) and torch.equal(backbone(x), method.embed(x))
    assert backbone(x).shape == (2, backbone.num_features) == (2, 256)


def test_its_control_has_the_same_shape(run: Path) -> None:
    found = json.loads((run / "evaluation.json").read_text())
    assert found["dimensions"] == 256 and 0 <= found["knn"]["random"] <= 100
    assert json.loads((run / "backbone.json").read_text())["lab"] is True


def test_it_embeds_and_exports(run: Path, tmp_path: Path) -> None:
    assert unlabel.embed(run, data="shapes:10", out=tmp_path / "e.parquet") == 10
    assert len(pq.read_table(tmp_path / "e.parquet")["vector"][0]) == 256
    written = unlabel.export(run, to="timm", out=tmp_path / "timm")  # reads back and compares by itself
    assert "import unlabel" not in (written / "load.py").read_text()
    with pytest.raises(Fault, match="export to timm or onnx"):
        unlabel.export(run, to="torchvision", out=tmp_path / "torchvision")
