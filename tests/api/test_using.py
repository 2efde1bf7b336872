"""What one does with a finished run."""

import importlib.util
import io
import json
import py_compile
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from rich.console import Console

import unlabel
from unlabel.engine.folder import RunFolder, write_json
from unlabel.engine.keep import backbone_facts
from unlabel.errors import Fault


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures of several sizes and kinds, one of them broken."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number, shape in enumerate([(40, 52, 3), (32, 32, 3), (61, 33, 3), (48, 48), (33, 70, 3)]):
        Image.fromarray(rng.integers(0, 255, shape, np.uint8)).save(folder / f"{number}.png")
    (folder / "broken.jpg").write_bytes(b"not a picture")
    return folder


def test_a_run_folder_is_complete(cnn_run: Path) -> None:
    files = {str(path.relative_to(cnn_run)) for path in cnn_run.rglob("*") if path.is_file()}
    assert {
        "run.json", "metrics.jsonl", "evaluation.json", "embeddings.parquet", "report.html", "skipped.jsonl",
        "backbone.safetensors", "backbone.json", "checkpoints/last.ckpt", "artifacts/views.png", "artifacts/thumbnails.jpg",
    } <= files  # fmt: skip
    assert any(name.startswith("events/") for name in files)
    stored = json.loads((cnn_run / "run.json").read_text())
    assert stored["finished"] and stored["updates"] == 6 and stored["data"]["fingerprint"]
    assert stored["cost"]["images_per_second"] > 0 and stored["cost"]["peak_memory_mb"] > 0
    assert {"run", "plan", "hyper", "backbone", "settings", "versions", "machine", "protocol"} <= set(stored)
    assert stored["hyper"]["projector_width"] == 64 and stored["plan"]["batch_size"] == 64


def test_evaluation_has_controls_factors_and_a_verdict(cnn_run: Path) -> None:
    found = json.loads((cnn_run / "evaluation.json").read_text())
    for who in ("run", "random", "pixels"):
        assert 0 <= found["knn"][who] <= 100
        assert found["linear"][who]["top1"] <= found["linear"][who]["top5"]
    assert found["protocol"]["k"] and found["protocol"]["temperature"]
    assert {"shape", "scale", "x", "texture"} <= set(found["factors"])
    assert found["verdict"]["sentence"] and found["verdict"]["advice"]


def test_load_returns_what_embed_wrote(cnn_run: Path, pictures: Path, tmp_path: Path) -> None:
    assert unlabel.embed(cnn_run, data=str(pictures), out=tmp_path / "e.parquet") == 5
    table = pq.read_table(tmp_path / "e.parquet").to_pydict()
    assert sorted(Path(p).name for p in table["path"]) == [f"{i}.png" for i in range(5)]
    assert set(table["label"]) == {-1}
    backbone = unlabel.load(cnn_run)
    assert not backbone.training
    vectors = torch.tensor(table["vector"])
    assert vectors.shape == (5, backbone.num_features) and torch.isfinite(vectors).all()


def test_neighbors_finds_the_picture_itself_first(cnn_run: Path, pictures: Path, tmp_path: Path) -> None:
    found = unlabel.neighbors(cnn_run, query=pictures / "2.png", data=str(pictures), out=tmp_path / "n.png", k=3)
    assert Path(found[0][0]).name == "2.png" and found[0][1] == pytest.approx(0, abs=1e-5)
    assert [d for _, d in found] == sorted(d for _, d in found)
    assert Image.open(tmp_path / "n.png").size[0] > 100


def test_a_query_that_is_no_picture_is_a_fault(cnn_run: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"query .*broken\.jpg cannot be read"):
        unlabel.neighbors(cnn_run, query=pictures / "broken.jpg", data=str(pictures), out=tmp_path / "n.png")


def test_a_folder_where_nothing_can_be_read_is_a_fault(cnn_run: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "zero.png").touch()
    with pytest.raises(Fault, match="none of the 1 pictures"):
        unlabel.embed(cnn_run, data=str(tmp_path), out=tmp_path / "e.parquet")
    with pytest.raises(Fault, match="none of the 1 pictures"):
        unlabel.neighbors(cnn_run, query=pictures / "2.png", data=str(tmp_path), out=tmp_path / "n.png")


def test_where_nothing_can_be_written_is_told_before_anything_is_embedded(
    cnn_run: Path, cut_run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for work in ("using.vectors_of", "using.write_embeddings", "using._translate_one", "looking.write_masks"):
        monkeypatch.setattr(f"unlabel.api.{work}", None)
    monkeypatch.setattr("unlabel.engine.export.load_backbone", None)
    (file := tmp_path / "file").write_text("mine")
    looked_up = {"query": pictures / "2.png", "data": str(pictures)}
    for folder in (file, file / "below"):
        with pytest.raises(Fault, match=r"e\.parquet cannot be written: .*file is no folder"):
            unlabel.embed(cnn_run, data=str(pictures), out=folder / "e.parquet")
        with pytest.raises(Fault, match=r"n\.png cannot be written: .*file is no folder"):
            unlabel.neighbors(cnn_run, **looked_up, out=folder / "n.png")
        with pytest.raises(Fault, match=r"cannot be written: .*file"):
            unlabel.translate(cut_run, data=str(pictures), out=folder)
        with pytest.raises(Fault, match=r"cannot be written: .*file"):
            unlabel.saliency(pictures, out=folder)
        with pytest.raises(Fault, match=r"cannot be written: .*file"):
            unlabel.export(cnn_run, to="timm", out=folder)
        with pytest.raises(Fault, match=r"backbone\.onnx cannot be written: .*file is no folder"):
            unlabel.export(cnn_run, to="onnx", out=folder)
    for name in ("n.xyz", "n"):
        with pytest.raises(Fault, match=rf"{name} is to be a picture: .* ends in one of \.png, \.jpg"):
            unlabel.neighbors(cnn_run, **looked_up, out=tmp_path / name)
    (tmp_path / "t.parquet").touch()
    with pytest.raises(Fault, match=r"t\.parquet cannot be written: it is what was given to be read"):
        unlabel.embed(cnn_run, data=str(tmp_path / "t.parquet"), out=tmp_path / "t.parquet")
    (tmp_path / "t.parquet").unlink()
    with pytest.raises(Fault, match=r"2\.png cannot be written: it is what was given to be read"):
        unlabel.neighbors(cnn_run, **looked_up, out=pictures / "2.png")
    with pytest.raises(Fault, match=r"e\.csv is to be a parquet table: .* ends in \.parquet$"):
        unlabel.embed(cnn_run, data=str(pictures), out=tmp_path / "e.csv")
    assert file.read_text() == "mine" and [*tmp_path.iterdir()] == [file]


def test_translating_nothing_that_can_be_read_is_a_fault(cut_run: Path, tmp_path: Path) -> None:
    (tmp_path / "zero.png").touch()
    with pytest.raises(Fault, match="none of the 1 pictures"):
        unlabel.translate(cut_run, data=str(tmp_path), out=tmp_path / "out")


def test_broken_lines_of_the_journal_are_passed_over(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.metrics.write_bytes(b'{"update": 1}\n{"upd\n\xff\n3\n{"update": 2}\n{"update"')
    assert list(folder.readings()) == [{"update": 1}, {"update": 2}]


@pytest.mark.parametrize("to", ["timm", "onnx"])
def test_export_of_a_cnn_gives_the_same_features(cnn_run: Path, tmp_path: Path, to: str) -> None:
    written = unlabel.export(cnn_run, to=to, out=tmp_path / to)  # reads back and compares by itself
    assert written.exists()
    if to == "timm":
        text = (written / "load.py").read_text()
        assert "unlabel" not in text and "timm" in text


def test_export_runs_no_code_that_a_run_folder_holds(cnn_run: Path, tmp_path: Path) -> None:
    folder = RunFolder(shutil.copytree(cnn_run, tmp_path / "run"))
    (code := tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nmodel = None\n")
    write_json(folder.backbone, backbone_facts(folder) | {"in_plain_timm": code.read_text()})
    left = importlib.util.cache_from_source(str(folder.path / "export-timm" / "load.py"))
    py_compile.compile(str(code), left, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    written = unlabel.export(folder.path, to="timm")
    assert not (tmp_path / "ran").exists()
    assert "timm.create_model('resnet18'" in (written / "load.py").read_text()


def test_export_of_a_vit(vit_run: Path, tmp_path: Path) -> None:
    assert (unlabel.export(vit_run, to="timm", out=tmp_path / "timm") / "model.safetensors").exists()
    with pytest.raises(Fault, match="class token"):
        unlabel.export(vit_run, to="torchvision", out=tmp_path / "torchvision")


def test_export_to_torchvision_of_networks_it_has(tmp_path: Path) -> None:
    common = {"data": "shapes:32", "epochs": 1, "batch_size": 32, "monitors": 0, "evaluate": False, "recipe": "small"}
    unlabel.pretrain("rotation", backbone="resnet18", out=tmp_path / "resnet", **common)
    unlabel.pretrain("rotation", backbone="tiny_vit", out=tmp_path / "vit", **common)
    for name in ("resnet", "vit"):
        written = unlabel.export(tmp_path / name, to="torchvision", out=tmp_path / f"{name}-torchvision")
        assert "timm" not in (written / "load.py").read_text()


def test_export_says_what_it_cannot(cnn_run: Path, cut_run: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="did you mean `onnx`"):
        unlabel.export(cnn_run, to="onxx")
    with pytest.raises(Fault, match="torchvision has no ResNet of first width"):
        unlabel.export(cnn_run, to="torchvision", out=tmp_path / "t")
    with pytest.raises(Fault, match="has no backbone"):
        unlabel.export(cut_run, to="timm")


def test_translate_writes_a_picture_of_each(cut_run: Path, cnn_run: Path, pictures: Path, tmp_path: Path) -> None:
    assert unlabel.translate(cut_run, data=str(pictures), out=tmp_path / "out") == 5
    sizes = {Image.open(path).size for path in (tmp_path / "out").glob("*.png")}
    assert (52, 40) in sizes and (32, 60) in sizes  # multiples of four
    with pytest.raises(Fault, match="only image translation"):
        unlabel.translate(cnn_run, data=str(pictures), out=tmp_path / "no")


def test_pictures_too_small_to_translate_are_left_out(cut_run: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, size in (("a", (7, 20)), ("b", (8, 9)), ("c", (20, 11))):
        Image.new("RGB", size).save(tmp_path / "in" / f"{name}.png")
    told = Console(file=io.StringIO(), width=500)
    assert unlabel.translate(cut_run, data=str(tmp_path / "in"), out=tmp_path / "out", console=told) == 2
    assert {Image.open(path).size for path in (tmp_path / "out").iterdir()} == {(8, 8), (20, 8)}
    assert "1 of 3 images were left out, such as" in told.file.getvalue()
    assert "a.png: 7 x 20 pixels, and translation takes 8 a side at least" in told.file.getvalue()


def test_translation_is_evaluated_against_its_input(cut_run: Path) -> None:
    found = json.loads((cut_run / "evaluation.json").read_text())["translation"]
    assert {"identity", "translation", "closer"} <= set(found)
    assert (cut_run / "artifacts" / "translations.png").exists() and (cut_run / "report.html").exists()


def test_one_domain_is_too_little_to_evaluate_a_translation(cut_run: Path, pictures: Path) -> None:
    before = (cut_run / "evaluation.json").read_bytes()
    with pytest.raises(Fault, match="two domains"):
        unlabel.evaluate(cut_run, data=str(pictures))
    assert (cut_run / "evaluation.json").read_bytes() == before


def test_mae_draws_reconstructions(vit_run: Path) -> None:
    assert Image.open(vit_run / "artifacts" / "reconstructions.png").size[0] > 32


def test_evaluate_on_other_data_renews_the_report(cnn_run: Path) -> None:
    before = (cnn_run / "report.html").stat().st_mtime_ns
    result = unlabel.evaluate(cnn_run, data="shapes:200")
    assert result.evaluation["protocol"]["queries"] <= 200
    assert (cnn_run / "report.html").stat().st_mtime_ns > before


def test_everything_is_evaluated_where_it_is_asked_for(cnn_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(cnn_run, run)
    before = json.loads((run / "evaluation.json").read_text())
    assert before["retrieval"]["run"]["mAP"] > 0 and before["clustering"] is before["robustness"] is None
    found = unlabel.evaluate(run, data="shapes:200", all=True).evaluation
    assert set(found["clustering"]) == {"protocol", "run", "random", "pixels", "chance"}
    for probe in ("linear", "knn"):
        assert set(found["robustness"][probe]) == {"run", "random", "pixels"}
    assert found["robustness"]["protocol"]["severities"].endswith("CIFAR-10-C, at 32 px")
    page = (run / "report.html").read_text()
    names = ["retrieval", "clustering", "robustness", "swapped"]
    assert all(f'id="fig-{name}"' in page for name in names)
    assert set(found["subject"]) == {"weights", "memory", "queries"} and found["remarks"] == []
    assert found["protocols"]["factors"]["weights"] == found["protocol"]["weights"] != ""
    # Again without: kept, for weights, images and protocols are the same; of other images: told that it is gone.
    again = unlabel.evaluate(run, data="shapes:200").evaluation
    assert again["kept"] == ["clustering", "robustness", "objects"] and again["robustness"] == found["robustness"]
    assert again["objects"] == found["objects"] and again["protocols"]["swapped"] == found["protocols"]["swapped"]
    assert "as measured before" in again["remarks"][0] and again["remarks"][0] in (run / "report.html").read_text()
    other = unlabel.evaluate(run, data="shapes:220").evaluation
    assert (
        other["clustering"] is other["robustness"] is None
        and "objects" not in other
        and "other weights or images" in other["remarks"][0]
    )


def test_everything_needs_labels_and_a_representation(cnn_run: Path, cut_run: Path, pictures: Path) -> None:
    before = (cnn_run / "evaluation.json").read_bytes()
    with pytest.raises(Fault, match=r"has no labels .* `--all`"):
        unlabel.evaluate(cnn_run, data=str(pictures), all=True)
    assert (cnn_run / "evaluation.json").read_bytes() == before
    with pytest.raises(Fault, match="that translates: `--all`"):
        unlabel.evaluate(cut_run, all=True)


@pytest.mark.parametrize("damage", ["missing", "no run.json", "half a checkpoint", "weights of another network"])
def test_damaged_run_folders_are_faults(cnn_run: Path, tmp_path: Path, damage: str) -> None:
    run = tmp_path / "run"
    if damage != "missing":
        shutil.copytree(cnn_run, run)
    folder = RunFolder(run)
    if damage == "no run.json":
        folder.run_json.unlink()
    if damage == "half a checkpoint":
        folder.checkpoint.write_bytes(folder.checkpoint.read_bytes()[:1000])
        with pytest.raises(Fault, match="damaged"):
            unlabel.evaluate(run)
        return
    if damage == "weights of another network":
        folder.weights.write_bytes(folder.weights.read_bytes()[:5000])
    with pytest.raises(Fault):
        unlabel.load(run)


def test_resume_of_a_finished_run_says_so_and_changes_nothing(cnn_run: Path) -> None:
    before = RunFolder(cnn_run).checkpoint.read_bytes()
    assert unlabel.pretrain(resume=cnn_run).folder == cnn_run
    assert RunFolder(cnn_run).checkpoint.read_bytes() == before
    with pytest.raises(Fault, match="no other options"):
        unlabel.pretrain(resume=cnn_run, epochs=3)
