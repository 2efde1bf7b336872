"""Masks of objects from the first command to the last: made, trained with, and evaluated by."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import unlabel
from unlabel.data.folder import Folder
from unlabel.data.saliency import WithMasks
from unlabel.engine.folder import RunFolder
from unlabel.errors import Fault

SHORT = {"epochs": 1, "monitors": 0, "device": "cpu", "recipe": "small", "size": 32, "backbone": "tiny_resnet"}
cv2 = pytest.importorskip("cv2")


@pytest.fixture(scope="module")
def photographs(shared_data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four of the photographs with true masks, in two class folders."""
    given = shared_data("scenes_saliency") / "saliency"
    root = tmp_path_factory.mktemp("photographs")
    for number, image in enumerate(sorted((given / "images").iterdir())[:24]):
        for kind, file in (("data", image), ("true", given / "masks" / f"{image.stem}.png")):
            folder = root / kind / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder)
    return root


def overlap(one: torch.Tensor, two: torch.Tensor) -> float:
    one, two = one > 0, two > 0
    return float((one & two).sum() / (one | two).sum())


def test_masks_are_better_than_the_midst(photographs: Path, tmp_path: Path) -> None:
    """In mean overlap with the true masks of photographs; the midst is a disc of the objects' mean area."""
    data = photographs / "data"
    count, skipped = unlabel.saliency(data, out=tmp_path)
    assert count == 24 and not skipped
    true, made = (WithMasks(Folder(data), str(folder), str(data)) for folder in (photographs / "true", tmp_path))
    assert true.known.all() and made.known.all()
    found, midst = [], []
    for i in range(24):
        mask = true.mask(i)
        height, width = mask.shape[1:]
        y, x = np.mgrid[:height, :width]
        disc = ((y + 0.5) / height - 0.5) ** 2 + ((x + 0.5) / width - 0.5) ** 2 <= 0.3**2
        found.append(overlap(made.mask(i), mask))
        midst.append(overlap(torch.from_numpy(disc)[None], mask))
    assert np.mean(found) > np.mean(midst) + 0.03, (np.mean(found), np.mean(midst))


def test_a_file_is_no_folder_for_masks(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Fault, match="cannot be written: it is a file"):
        unlabel.saliency(tmp_path, out=tmp_path / "file")


def test_no_picture_is_replaced_by_its_mask(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(file := tmp_path / "1.png")
    before = file.read_bytes()
    with pytest.raises(Fault, match="would be taken for pictures"):
        unlabel.saliency(tmp_path, out=tmp_path)
    assert file.read_bytes() == before and [*tmp_path.iterdir()] == [file]


def test_a_run_with_masks_from_files(photographs: Path, tmp_path: Path) -> None:
    data, masks = str(photographs / "data"), str(photographs / "true")
    result = unlabel.pretrain(
        "cast", data=data, saliency=masks, out=tmp_path / "run", queue_length=32, batch_size=8, **SHORT
    )
    stored = json.loads(RunFolder(tmp_path / "run").evaluation.read_text())
    objects = stored["objects"]
    assert objects["pointing"]["images"] == 2 and set(objects["swapped"]["knn"]) == {"run", "random", "pixels"}
    assert (tmp_path / "run/artifacts/attention.png").exists() and result.report.exists()


def test_data_without_masks_is_refused_before_anything_is_written(photographs: Path, tmp_path: Path) -> None:
    data = str(photographs / "data")
    with pytest.raises(Fault, match="unlabel saliency DIR"):
        unlabel.pretrain("cast", data=data, out=tmp_path / "run", **SHORT)
    for policy in ({"background": "swap"}, {"crops": "salient"}):
        with pytest.raises(Fault, match="unlabel saliency DIR"):
            unlabel.pretrain("simclr", data=data, out=tmp_path / "run", **policy, **SHORT)
    (tmp_path / "empty").mkdir()
    with pytest.raises(Fault, match=r"that of .*/a/.*\.jpg would be .*/empty/a/.*\.png"):
        unlabel.pretrain("cast", data=data, saliency=str(tmp_path / "empty"), out=tmp_path / "run", **SHORT)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("simclr", {"background": "swap", "background_share": 0.5, "projector_width": 32}),
        ("byol", {"background": "random", "crops": "salient", "projector_width": 32}),
    ],
)
def test_policies_train_and_are_evaluated(method: str, options: dict[str, object], tmp_path: Path) -> None:
    unlabel.pretrain(method, data="shapes:48", out=tmp_path / "run", batch_size=16, **options, **SHORT)
    stored = json.loads(RunFolder(tmp_path / "run").evaluation.read_text())
    assert stored["objects"]["pointing"]["images"] == stored["objects"]["swapped"]["images"] == 9


def test_the_command_writes_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    import sys

    from unlabel.cli import main

    (tmp_path / "data").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)).save(tmp_path / "data/1.jpg")
    (tmp_path / "data/2.jpg").write_bytes(b"broken")
    monkeypatch.setattr(sys, "argv", ["unlabel", "saliency", str(tmp_path / "data"), "-o", str(tmp_path / "masks")])
    main()
    said = capsys.readouterr().out
    assert "1 masks" in said and "left out" in said and "2.jpg" in said
    assert Image.open(tmp_path / "masks/1.png").size == (30, 20)
