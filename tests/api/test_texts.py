"""Zero-shot classification and retrieval with a short run on the shapes, in Python and on the command line."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import unlabel
from unlabel.cli import main
from unlabel.data import open_source
from unlabel.data.tokens import Tokeniser
from unlabel.engine.folder import RunFolder
from unlabel.engine.keep import load_method
from unlabel.engine.towers import load_towers
from unlabel.errors import Fault

SHORT = {"epochs": 1, "monitors": 0, "device": "cpu", "evaluate": False}


@pytest.fixture(scope="module")
def clip_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighty updates: few, but enough to find things by."""
    out = tmp_path_factory.mktemp("runs") / "clip"
    unlabel.pretrain("clip", data="shapes:1000", recipe="shapes", batch_size=50, out=out, **{**SHORT, "epochs": 4})
    return out


def test_few_updates_find_images_and_texts_far_more_often_than_chance(clip_run: Path) -> None:
    found = unlabel.retrieve(clip_run)
    for way in (found.text_to_image, found.image_to_text):
        assert way.at[10] > 3 * way.chance[10], way


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures in two class folders, texts beside all but the last, and one file that is no picture."""
    folder = tmp_path_factory.mktemp("captioned")
    source = open_source("shapes:40", captions=True)
    for i in range(40):
        file = folder / ("even" if i % 2 == 0 else "odd") / f"{i:02d}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(source.image(i).permute(1, 2, 0).numpy()).save(file)
        if i < 39:
            file.with_suffix(".txt").write_text("\n".join(source.captions(i)))
    (folder / "even" / "x.png").write_bytes(b"no picture")
    (folder / "even" / "x.txt").write_text("nothing to see")
    return folder


def test_both_networks_and_the_tokeniser_are_kept_and_load_without_the_checkpoint(
    clip_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(clip_run, run)
    shutil.rmtree(run / "checkpoints")
    towers, (_, method) = load_towers(run), load_method(clip_run)
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(towers.reads.image_vectors(x), method.image_vectors(x))
        expected = method.text_vectors(towers.tokenise(["a red star", "a ring"]))
    assert torch.equal(towers.texts(["a red star", "a ring"]), expected)
    assert torch.equal(unlabel.load(run)(x), method.backbone(x))
    stored = Tokeniser.read(run / "tokenizer.json")
    assert stored.size <= 2048 and stored.context == 16


def test_a_run_on_a_folder_skips_what_has_no_text_and_says_so(captioned: Path, tmp_path: Path) -> None:
    result = unlabel.pretrain("clip", data=str(captioned), recipe="small", batch_size=8, out=tmp_path / "run", **SHORT)
    listed = [json.loads(line) for line in (result.folder / "skipped.jsonl").read_text().splitlines()]
    reasons = {Path(entry["path"]).name: entry["reason"] for entry in listed}
    assert set(reasons) <= {"39.png", "x.png"} and "no caption" in reasons.get("39.png", "no caption")


def test_zeroshot_measures_the_test_split_against_chance(clip_run: Path) -> None:
    found = unlabel.zeroshot(clip_run)
    assert found.images == 200 and found.classes == 8 and found.chance1 == 12.5 and found.chance5 == 62.5
    assert 0 <= found.top1 <= found.top5 <= 100
    again = unlabel.zeroshot(clip_run, data="shapes:1000", templates=["a {}", "a red {}"])
    assert again.images == 200 and unlabel.zeroshot(clip_run, templates=["a {}"]) == found


def test_the_evaluation_of_a_run_says_the_same(clip_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(clip_run, run)
    unlabel.evaluate(run)
    unlabel.report(run)
    texts = json.loads((run / "evaluation.json").read_text())["texts"]
    asked, found = unlabel.retrieve(clip_run), texts["retrieval"]
    assert texts["zeroshot"]["top1"] == pytest.approx(unlabel.zeroshot(clip_run).top1)
    assert found["text_to_image"]["at"]["1"] == pytest.approx(asked.text_to_image.at[1])
    assert found["image_to_text"]["chance"]["5"] == pytest.approx(asked.image_to_text.chance[5])
    page = (run / "report.html").read_text()
    assert "Zero-shot, top-1" in page and "Image found first by its text" in page


def test_zeroshot_takes_other_names_in_the_order_of_the_classes(clip_run: Path, captioned: Path) -> None:
    found = unlabel.zeroshot(clip_run, data=str(captioned), classes=["a cross", "a ring"], templates=["{}"])
    swapped = unlabel.zeroshot(clip_run, data=str(captioned), classes=["a ring", "a cross"], templates=["{}"])
    assert found.images == 40 and found.top1 + swapped.top1 == pytest.approx(100)


def test_retrieve_measures_both_directions(clip_run: Path, captioned: Path) -> None:
    found = unlabel.retrieve(clip_run)
    assert found.text_to_image.candidates == found.image_to_text.queries == 200
    assert found.text_to_image.chance[10] >= 5 and 0 <= found.image_to_text.at[1] <= found.image_to_text.at[10] <= 100
    other = unlabel.retrieve(clip_run, data=str(captioned))
    assert other.text_to_image.candidates == 39 and other.text_to_image.queries <= 3 * 39


def test_retrieve_finds_images_by_a_text_and_texts_by_an_image(clip_run: Path, captioned: Path, tmp_path: Path) -> None:
    found = unlabel.retrieve(clip_run, "a red ring", data=str(captioned), k=5, out=tmp_path / "found.png")
    assert len(found) == 5 and all(Path(name).exists() for name, _ in found)
    assert [c for _, c in found] == sorted((c for _, c in found), reverse=True)
    assert Image.open(tmp_path / "found.png").size[0] > 100
    said = unlabel.retrieve(clip_run, captioned / "even" / "00.png", data=str(captioned), k=3)
    texts = {line for file in captioned.rglob("*.txt") for line in file.read_text().splitlines()}
    assert len(said) == 3 and {text for text, _ in said} <= texts


def test_what_is_searched_is_the_same_whatever_the_query(clip_run: Path, captioned: Path) -> None:
    """The cosine of a picture and its text, found from both sides."""
    file = captioned / "odd" / "01.png"
    text = file.with_suffix(".txt").read_text().splitlines()[0]
    by_text = dict(unlabel.retrieve(clip_run, text, data=str(captioned), k=50))
    by_image = dict(unlabel.retrieve(clip_run, file, data=str(captioned), k=200))
    assert by_text[str(file)] == pytest.approx(by_image[text], abs=1e-5)


@pytest.mark.parametrize("damage", ["towers.json", "towers.safetensors", "tokenizer.json", "half"])
def test_damaged_folders_are_faults(clip_run: Path, tmp_path: Path, damage: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(clip_run, run)
    if damage == "half":
        file = RunFolder(run).towers
        file.write_bytes(file.read_bytes()[:5000])
    else:
        (run / damage).unlink()
    with pytest.raises(Fault, match=r"finish the run|missing, damaged|no tokeniser"):
        unlabel.zeroshot(run)


# ------------------------------------------------------------------------------- the command line


def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["unlabel", *words])
    status = 0
    try:
        main()
    except SystemExit as stop:
        status = int(stop.code or 0)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_commands_print_numbers_beside_chance(clip_run, captioned, tmp_path, monkeypatch, capsys) -> None:
    status, out, _ = command(monkeypatch, capsys, "zeroshot", str(clip_run))
    assert status == 0 and "chance" in out and "12.5" in out and "8 classes" in out
    (tmp_path / "names.txt").write_text("cross\nring\n")
    words = (
        "--data",
        str(captioned),
        "--classes",
        str(tmp_path / "names.txt"),
        "--templates",
        "a {}",
        "--templates",
        "{}",
    )
    status, out, _ = command(monkeypatch, capsys, "zeroshot", str(clip_run), *words)
    assert status == 0 and "2 classes" in out and "top-5" not in out
    status, out, _ = command(monkeypatch, capsys, "retrieve", str(clip_run))
    assert status == 0 and "@10" in out and out.count("│ chance") == 2 and "200 images" in out and "protocol 1: " in out
    words = ("a red ring", "--data", str(captioned), "-k", "2", "-o", str(tmp_path / "o.png"))
    status, out, _ = command(monkeypatch, capsys, "retrieve", str(clip_run), *words)
    assert status == 0 and out.count(".png") == 3 and (tmp_path / "o.png").exists()


def test_mistakes_end_with_status_2_and_a_sentence(clip_run, cnn_run, captioned, tmp_path, monkeypatch, capsys) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "flat.png")
    run, data = str(clip_run), ("--data", str(captioned))
    for words, sentence in (
        (("zeroshot", "/does/not/exist"), "is not a run folder"),
        (("zeroshot", str(cnn_run)), "simclr run, which knows no texts"),
        (("retrieve", str(cnn_run)), "simclr run, which knows no texts"),
        (("zeroshot", run, "--templates", "a photo"), "must have {} once"),
        (("zeroshot", run, "--templates", "{} or {}"), "must have {} once"),
        (("zeroshot", run, "--classes", "cat"), "has 8 classes (disc, triangle"),
        (("zeroshot", run, "--data", str(tmp_path)), "has no classes"),
        (("zeroshot", run, "--data", "/does/not/exist"), "there is no folder"),
        (("retrieve", run, "--data", str(tmp_path)), "has no captions"),
        (("retrieve", run, str(tmp_path / "flat.png"), "--data", str(tmp_path)), "has no captions"),
        (("retrieve", run, "gone.jpg", *data), "the query gone.jpg cannot be read"),
        (("retrieve", run, *data, "-o", "x.png"), "give a text"),
        (("retrieve", run, str(tmp_path / "flat.png"), *data, "-o", "x.png"), "give a text"),
        (("retrieve", run, "a ring", "-k", "0"), "0"),
        (("pretrain", "clip", "--data", str(tmp_path)), "has no captions"),
        (("pretrain", "clip", "--data", "shapes", "vocabulary=10"), "between 259 and"),
        (("pretrain", "clip", "--data", "shapes", "text_heads=3", f"out={tmp_path / 'r'}"), "must be a multiple"),
    ):
        status, out, err = command(monkeypatch, capsys, *words)
        said = " ".join(err.split())
        assert status == 2 and sentence in said and "Traceback" not in said, (words, out, err)
    assert not (tmp_path / "r").exists()


def test_a_run_without_a_test_split_wants_other_data(clip_run: Path, captioned: Path, tmp_path: Path) -> None:
    shutil.copytree(clip_run, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    folder.update(run={**folder.read()["run"], "data": str(captioned)})
    with pytest.raises(Fault, match="has no test split: say by --data"):
        unlabel.retrieve(tmp_path / "run")


def test_what_was_found_can_be_drawn_or_it_is_told_before(
    clip_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlabel.api.texts.vectors_of", None)
    (tmp_path / "file").write_text("mine")
    for out, words in (("x.xyz", "is to be a picture"), ("file/x.png", "file is no folder")):
        with pytest.raises(Fault, match=words):
            unlabel.retrieve(clip_run, "a red circle", out=tmp_path / out)


def test_facts_of_both_networks_that_lack_something_are_a_fault(clip_run: Path, tmp_path: Path) -> None:
    shutil.copytree(clip_run, tmp_path / "run")
    (tmp_path / "run" / "towers.json").write_text("{}")
    with pytest.raises(Fault, match=r"towers\.json is damaged, it lacks name, size"):
        load_towers(tmp_path / "run")
