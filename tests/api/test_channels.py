"""Images of other than three channels, from an array to a report, and what cannot be done with them."""

from pathlib import Path

import numpy as np
import pytest
import torch

import unlabel
from unlabel.data.arrays import Arrays
from unlabel.data.pack import Pack, write_pack
from unlabel.errors import Fault

OPTIONS = {"batch_size": 16, "epochs": 1, "monitors": 1}


@pytest.fixture(scope="module")
def bands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 images of five bands, of two kinds: in one the bands rise, in the other they fall."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 60, (48, 16, 16, 5))
    labels = np.arange(48) % 2
    images += 30 * np.where(labels[:, None] == 0, np.arange(5), np.arange(5)[::-1])[:, None, None, :]
    file = tmp_path_factory.mktemp("bands") / "bands.npz"
    np.savez(file, images=images.astype(np.uint8), labels=labels)
    return file


@pytest.mark.parametrize("method, options", [("simclr", {}), ("mae", {"size": 16}), ("dino", {"prototypes": 16})])
def test_five_bands_from_array_to_report(bands: Path, tmp_path: Path, method: str, options: dict) -> None:
    done = unlabel.pretrain(method, data=bands, out=tmp_path / "run", **OPTIONS, **options)
    assert done.report is not None and done.evaluation is not None and done.evaluation["knn"]["run"] > 0
    backbone = unlabel.load(tmp_path / "run")
    assert backbone(torch.randn(2, 5, 16, 16)).shape[0] == 2
    assert unlabel.embed(tmp_path / "run", data=str(bands), out=tmp_path / "e.parquet") == 48
    assert unlabel.export(tmp_path / "run", to="timm").exists()
    with pytest.raises(Fault, match=r"3 channels and those of the run .* 5"):
        unlabel.embed(tmp_path / "run", data="shapes:8", out=tmp_path / "f.parquet")


def test_what_needs_rgb_says_so(bands: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"CUT is for RGB images, and those of .* have 5 channels"):
        unlabel.pretrain("cut", data=bands, data_b=bands, out=tmp_path / "cut")
    with pytest.raises(Fault, match="they must agree"):
        unlabel.pretrain("simclr", data=bands, eval_data="shapes:20", out=tmp_path / "other")
    assert not (tmp_path / "cut").exists() and not (tmp_path / "other").exists()


def test_bands_are_packed_raw(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 20, 30, 6), np.uint8)
    with pytest.raises(Fault, match="6 channels: pack them raw"):
        write_pack(Arrays(images), tmp_path / "b.pack", size=64)
    write_pack(Arrays(images), tmp_path / "b.pack", size=64, quality=None)
    pack = Pack(tmp_path / "b.pack")
    assert pack.channels == 6 and np.array_equal(pack.image(2).permute(1, 2, 0).numpy(), images[2])
    write_pack(Arrays(images), tmp_path / "small.pack", size=10, quality=None)
    assert Pack(tmp_path / "small.pack").image(0).shape == (6, 10, 15)
