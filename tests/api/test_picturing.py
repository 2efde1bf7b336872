import json
from pathlib import Path

import pytest
from PIL import Image

import unlabel
from unlabel.engine.folder import RunFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of a transformer with prototypes."""
    out = tmp_path_factory.mktemp("run") / "dino"
    unlabel.pretrain(
        "dino", data="shapes:64", eval_data="shapes:48", backbone="tiny_vit", batch_size=16, epochs=1, monitors=0,
        device="cpu", recipe="small", prototypes=32, head_width=32, bottleneck=16, out=out,
    )  # fmt: skip
    return RunFolder(out)


def test_an_evaluation_looks_inside(folder: RunFolder) -> None:
    facts = json.loads((folder.artifacts / "inside.json").read_text())
    assert len(facts["images"]) == 8 and facts["asks"] == "class token" and facts["heads"] == 3
    assert facts["figures"] == {
        "attention": ["image", "mean", "head 1", "head 2", "head 3"], "colours": ["image", "components"],
    }  # fmt: skip
    with Image.open(folder.artifacts / "inside-attention.jpg") as sheet:
        assert sheet.size == (5 * 128, 8 * 128)
    prototypes = facts["prototypes"]
    assert prototypes["count"] == 32 and prototypes["images"] > 8 and 1 <= prototypes["used"] <= 32
    assert len(prototypes["most"]) == min(12, prototypes["used"])
    shares = [one["share"] for one in prototypes["most"]]
    assert shares == sorted(shares, reverse=True) and sum(shares) <= 1 + 1e-9
    for one in prototypes["most"]:
        likely = [image["likely"] for image in one["images"]]
        assert len(likely) == 8 and likely == sorted(likely, reverse=True)


def test_the_report_needs_no_network(folder: RunFolder) -> None:
    folder.weights.unlink()
    folder.checkpoint.unlink()
    page = unlabel.report(folder.path).read_text(encoding="utf-8")
    assert all(f'id="fig-{name}"' in page for name in ("inside-attention", "inside-colours", "prototypes"))
    assert "No Grad-CAM" in page


def test_an_evaluation_of_the_same_images_looks_the_same(folder: RunFolder, tmp_path: Path) -> None:
    again = unlabel.pretrain(
        "dino", data="shapes:64", eval_data="shapes:48", backbone="tiny_vit", batch_size=16, epochs=1, monitors=0,
        device="cpu", recipe="small", prototypes=32, head_width=32, bottleneck=16, out=tmp_path / "again",
    )  # fmt: skip
    one, other = ((path / "artifacts" / "inside-attention.jpg").read_bytes() for path in (folder.path, again.folder))
    assert one == other
