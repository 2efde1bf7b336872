"""`unlabel segment`: a run's features against three controls, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unlabel
from unlabel.data.scenes import IGNORED, mask_files, open_scenes
from unlabel.errors import Fault


@pytest.fixture(scope="module")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Green below a line, blue above it, a red box on it; one corner has no class. Beside the masks are other files."""
    root, rng = tmp_path_factory.mktemp("roads"), np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 8)):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for i in range(count):
            mask = np.zeros((32, 48), np.uint8)
            mask[rng.integers(10, 22) :] = 1
            x, y = rng.integers(2, 30), rng.integers(2, 18)
            mask[y : y + 10, x : x + 12] = 2
            image = np.array([(60, 90, 200), (50, 160, 60), (200, 60, 50)], np.uint8)[mask]
            noisy = np.clip(image + rng.normal(0, 20, image.shape), 0, 255).astype(np.uint8)
            mask[:4, :4] = 11
            Image.fromarray(noisy).save(root / split / "images" / f"{i}.png")
            Image.fromarray(mask).save(root / split / "masks" / f"{i}.png")
        (root / split / "masks" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
        (root / split / "masks" / "0.txt").write_text("a red box")
    return root


def test_a_run_is_compared_with_its_controls(cnn_run: Path, roads: Path) -> None:
    found = unlabel.segment(cnn_run, data=roads, ignore=[11], epochs=20)
    assert json.loads((cnn_run / "segmentation.json").read_text()) == json.loads(json.dumps(found))
    assert found["classes"] == 3 and found["protocol"]["size"] == [32, 48]
    assert set(found) == {"protocol", "classes", "run", "random", "colours", "constant"}
    assert found["colours"]["mIoU"] > 80  # colours tell everything here
    assert found["constant"]["mIoU"] < 30 and found["constant"]["IoU"].count(0.0) == 2
    assert found["run"]["mIoU"] > found["constant"]["mIoU"]


def test_a_pspnet_frozen_and_fine_tuned(cnn_run: Path, roads: Path) -> None:
    frozen = unlabel.segment(cnn_run, data=roads, ignore=[11], size=(48, 64), head="pspnet", epochs=6)
    assert json.loads((cnn_run / "segmentation-pspnet.json").read_text()) == json.loads(json.dumps(frozen))
    assert set(frozen) == {"protocol", "classes", "run", "random", "colours", "constant"}
    assert frozen["protocol"]["stride"] == 8 and frozen["protocol"]["epochs"] == 6
    assert "6 x 8 places" in frozen["protocol"]["layer"] and "frozen" in frozen["protocol"]["weights"]
    assert "no teacher" in frozen["protocol"]["weights"]
    assert frozen["run"]["mIoU"] > frozen["constant"]["mIoU"]
    tuned = unlabel.segment(cnn_run, data=roads, ignore=[11], size=(48, 64), head="pspnet", fine_tune=True, epochs=1)
    assert (cnn_run / "segmentation-pspnet-tuned.json").exists()
    assert set(tuned) == {"protocol", "classes", "run", "random", "constant"}
    assert "fine-tuned" in tuned["protocol"]["weights"] and "mirrored" in tuned["protocol"]["view"]
    page = (cnn_run / "report.html").read_text()
    assert 'id="fig-segmentation-pspnet"' in page and 'id="fig-segmentation-pspnet-tuned"' in page
    with pytest.raises(Fault, match="4 x 6 places and pyramid pooling needs 6 x 6"):
        unlabel.segment(cnn_run, data=roads, ignore=[11], head="pspnet")
    with pytest.raises(Fault, match="did you mean `pspnet`"):
        unlabel.segment(cnn_run, data=roads, head="pspent")
    with pytest.raises(Fault, match="head pspnet only"):
        unlabel.segment(cnn_run, data=roads, fine_tune=True)
    with pytest.raises(Fault, match="8 or 16 pixels, not 4"):
        unlabel.segment(cnn_run, data=roads, stride=4)


def test_mistakes_are_sentences(cnn_run: Path, roads: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no masks in"):
        unlabel.segment(cnn_run, data=tmp_path)
    (tmp_path / "train" / "images").mkdir(parents=True)
    (tmp_path / "train" / "masks").mkdir()
    Image.new("RGB", (48, 32)).save(tmp_path / "train" / "images" / "a.png")
    Image.new("L", (48, 32)).save(tmp_path / "train" / "masks" / "b.png")
    with pytest.raises(Fault, match=r"needs a file a\.png"):
        unlabel.segment(cnn_run, data=tmp_path)
    Image.new("RGB", (48, 32)).save(tmp_path / "train" / "masks" / "a.png")
    with pytest.raises(Fault, match="not one whose values are classes"):
        unlabel.segment(cnn_run, data=tmp_path)
    Image.new("L", (48, 32)).save(tmp_path / "train" / "masks" / "a.png")
    with pytest.raises(Fault, match="test"):
        unlabel.segment(cnn_run, data=tmp_path)


def test_other_files_beside_masks_are_passed_over(roads: Path) -> None:
    assert len(mask_files(roads / "test" / "masks")) == 8
    images, masks = open_scenes(roads / "test", (32, 48), ignored=[11])
    assert images.shape == (8, 3, 32, 48) and masks.shape == (8, 32, 48)


def test_masks_that_cannot_be_read_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "a.png")
    mask = tmp_path / "masks" / "a.png"
    # EPS, behind which stands an interpreter
    mask.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    with pytest.raises(Fault, match=r"a\.png cannot be read as a mask: cannot identify"):
        open_scenes(tmp_path, (8, 8), ignored=[])
    Image.new("L", (48, 32)).save(mask)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Fault, match=r"a\.png cannot be read as a mask: .*1536 pixels"):
        open_scenes(tmp_path, (8, 8), ignored=[])


def test_labels_that_are_no_class_are_refused_unless_they_are_ignored(
    cnn_run: Path, roads: Path, tmp_path: Path
) -> None:
    shutil.copytree(roads, tmp_path / "roads")
    mask = tmp_path / "roads" / "test" / "masks" / "0.png"
    labels = np.asarray(Image.open(mask)).astype(np.int32)
    labels[-1] = 7
    Image.fromarray(labels.astype(np.uint8)).save(mask)
    with pytest.raises(Fault, match=r"has classes that .* lacks: name them by `ignore`"):
        unlabel.segment(cnn_run, data=tmp_path / "roads", ignore=[11])
    labels[-1] = -1
    mask.unlink()
    Image.fromarray(labels).save(mask.with_suffix(".tif"))  # PNG holds no negative numbers
    with pytest.raises(Fault, match=r"0\.tif has the label -1, .* name it by `ignore`"):
        open_scenes(tmp_path / "roads" / "test", (32, 48), ignored=[11])
    _, masks = open_scenes(tmp_path / "roads" / "test", (32, 48), ignored=[11, -1])
    assert (masks[0, -1] == IGNORED).all() and set(masks[0].unique().tolist()) <= {0, 1, 2, IGNORED}
