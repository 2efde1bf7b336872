"""A run of a method that brings its own network and embeds with it: kept, loaded, evaluated and exported like a backbone."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import unlabel
from unlabel.errors import Fault

NARROW = {"encoder_width": 4, "encoder_depth": 1, "embedding_dim": 16}


@pytest.fixture(scope="module")
def own_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AMDIM with a very narrow encoder on a few shapes, evaluated."""
    out = tmp_path_factory.mktemp("runs") / "amdim"
    unlabel.pretrain(
        "amdim", data="shapes:128", batch_size=32, epochs=1, monitors=0, device="cpu", recipe="small", out=out, **NARROW
    )
    return out


def test_its_weights_are_kept_and_load_into_the_same_network(own_run: Path, tmp_path: Path) -> None:
    facts = json.loads((own_run / "backbone.json").read_text())
    assert facts["method"] == "amdim" and facts["size"] == 32 and facts["hyper"].items() >= NARROW.items()
    assert facts["mean"] == [0.485, 0.456, 0.406] and "timm" not in facts
    network = unlabel.load(own_run)
    assert not network.training and network(torch.zeros(2, 3, 32, 32)).shape == (2, 16)
    unlabel.embed(own_run, data="shapes:10", out=tmp_path / "e.parquet")
    vectors = np.stack(pq.read_table(tmp_path / "e.parquet")["vector"].to_numpy())
    assert vectors.shape == (10, 16) and np.isfinite(vectors).all() and vectors.std() > 0


def test_it_is_evaluated_beside_itself_with_random_weights(own_run: Path) -> None:
    found = json.loads((own_run / "evaluation.json").read_text())
    assert set(found["knn"]) == {"run", "random", "pixels"}
    assert found["dimensions"] == found["untrained"]["dimensions"] == 16
    assert (own_run / "report.html").exists()


def test_it_is_exported_to_onnx_and_to_no_library_that_does_not_have_it(own_run: Path, tmp_path: Path) -> None:
    assert unlabel.export(own_run, to="onnx", out=tmp_path / "net.onnx").exists()  # reads back and compares by itself
    for library in ("timm", "torchvision"):
        with pytest.raises(Fault, match=f"{library} does not have the network of AMDIM: export to onnx"):
            unlabel.export(own_run, to=library, out=tmp_path / library)


def test_a_size_it_has_no_network_for_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="32, 64 or 128 pixels, not 48"):
        unlabel.pretrain("amdim", data="shapes:64", size=48, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
