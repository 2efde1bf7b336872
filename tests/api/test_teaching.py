"""Fine-tuning and distillation from end to end: what they leave behind, resume, and say when they cannot."""

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import unlabel
from unlabel.engine import checkpoint
from unlabel.engine.callbacks import Beside
from unlabel.engine.folder import RunFolder
from unlabel.engine.keep import load_method
from unlabel.errors import Fault, Faults, Interrupted

SHORT = {"device": "cpu", "monitors": 1, "recipe": "small", "batch_size": 16}
DATA = "shapes:160"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of SimCLR v2 on a few shapes, not evaluated."""
    out = tmp_path_factory.mktemp("runs") / "simclr_v2"
    unlabel.pretrain("simclr_v2", data=DATA, out=out, epochs=1, evaluate=False, projector_width=16, **SHORT)
    return out


@pytest.fixture(scope="module")
def tuned(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "finetune"
    unlabel.finetune(before, labels=0.2, from_head=1, out=out, epochs=3, **SHORT)
    return out


@pytest.fixture(scope="module")
def student(tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "distil"
    unlabel.distil(tuned, out=out, epochs=1, alpha=0.5, temperature=2, **SHORT)
    return out


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def test_a_fine_tuned_run_is_a_run_folder(tuned: Path) -> None:
    files = {str(path.relative_to(tuned)) for path in tuned.rglob("*") if path.is_file()}
    assert {
        "run.json", "metrics.jsonl", "evaluation.json", "report.html", "skipped.jsonl", "backbone.safetensors",
        "backbone.json", "classifier.safetensors", "checkpoints/last.ckpt", "artifacts/views.png", "control/run.json",
        "control/metrics.jsonl", "control/checkpoints/last.ckpt",
    } <= files  # fmt: skip
    stored = read(tuned / "run.json")
    assert stored["finished"] and stored["updates"] == 6 and stored["images"] == 32
    assert stored["labels"] == {
        "images": 32, "share": 0.2, "seed": 0, "data": DATA, "classes": stored["data"]["classes"],
    }  # fmt: skip
    lines = [json.loads(line) for line in (tuned / "metrics.jsonl").read_text().splitlines()]
    assert max(line["update"] for line in lines) == 6 and any("monitor" in line for line in lines)
    assert set(load_file(tuned / "classifier.safetensors")) >= {"0.weight", "1.running_mean", "3.weight", "3.bias"}


def test_the_control_had_the_same_labels_and_updates(tuned: Path) -> None:
    ours, control = read(tuned / "run.json"), read(tuned / "control" / "run.json")
    assert control["finished"] and control["hyper"]["scratch"] and not ours["hyper"]["scratch"]
    for name in ("updates", "images", "plan"):
        assert control[name] == ours[name]
    assert control["data"]["fingerprint"] == ours["data"]["fingerprint"]


def test_accuracies_stand_beside_those_of_the_control_and_the_teacher(tuned: Path, student: Path) -> None:
    for run, who in ((tuned, {"run", "scratch"}), (student, {"run", "scratch", "teacher"})):
        found = read(run / "evaluation.json")
        assert set(found["classification"]) == who
        for scores in found["classification"].values():
            assert 0 <= scores["top1"] <= scores["top5"] <= 100
        assert found["protocol"]["queries"] == 32 and found["verdict"]["sentence"]
        assert found["labels"]["images"] == 32
    page = (student / "report.html").read_text()
    assert "Distillation on" in page and "its teacher" in page and "Nearest images" not in page


def test_the_teachers_accuracy_is_that_of_its_own_run(tuned: Path, student: Path) -> None:
    ours, theirs = (read(run / "evaluation.json")["classification"] for run in (student, tuned))
    assert ours["teacher"] == theirs["run"]


def test_what_is_kept_loads_exports_and_classifies(tuned: Path, tmp_path: Path) -> None:
    backbone = unlabel.load(tuned)
    _, method = load_method(tuned)
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(backbone(x), method.embed(x))
        head = copy.deepcopy(method.head)
        for p in (*head.parameters(), *head.buffers()):
            p.zero_()
        head.load_state_dict(load_file(tuned / "classifier.safetensors"))
        assert torch.equal(head(backbone(x)), method.classify(x))
    assert (unlabel.export(tuned, to="timm", out=tmp_path / "timm") / "load.py").exists()


def test_evaluate_asks_again(tuned: Path) -> None:
    before = read(tuned / "evaluation.json")["classification"]
    assert unlabel.evaluate(tuned).evaluation["classification"] == before
    with pytest.raises(Fault, match="that classifies: `--all`"):
        unlabel.evaluate(tuned, all=True)


def test_a_student_of_another_kind_learns_from_other_images(tuned: Path, tmp_path: Path) -> None:
    import numpy as np

    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), np.uint8))
    options = {"data": str(tmp_path / "images.npy"), "backbone": "tiny_vit", "epochs": 1, "evaluate": False, **SHORT}
    result = unlabel.distil(tuned, out=tmp_path / "run", **options)
    assert read(tmp_path / "run" / "backbone.json")["name"] == "tiny_vit" and result.evaluation is None
    assert unlabel.load(result.folder).num_features == 192
    assert "scratch" not in unlabel.evaluate(result.folder).evaluation["classification"]  # asks the teacher's queries
    with pytest.raises(Fault, match="other images than the teacher had labels of"):
        unlabel.distil(tuned, out=tmp_path / "none", alpha=0.5, **options)


# ------------------------------------------------------------------ stop and go on


def stop_after(monkeypatch: pytest.MonkeyPatch, update: int, folder: str = "") -> None:
    """Somebody presses Ctrl-C during this update (of the run in a folder of that name)."""
    whole = Beside.on_train_batch_end

    def end(self: Beside, trainer, method, *rest) -> None:
        if method.updates == update and (not folder or self.folder.path.name == folder):
            self.signals.asked = True
        whole(self, trainer, method, *rest)

    monkeypatch.setattr(Beside, "on_train_batch_end", end)


def weights(run: Path) -> dict:
    return checkpoint.load(RunFolder(run).checkpoint).method


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
        for name, value in one.items()
    )


def test_a_stopped_fine_tuning_goes_on_to_the_bit(
    before: Path, tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(Interrupted, match=r"unlabel finetune --resume"):
            unlabel.finetune(before, labels=0.2, from_head=1, out=tmp_path / "run", epochs=3, **SHORT)
    with monkeypatch.context() as patch:
        stop_after(patch, 4, "control")
        with pytest.raises(Interrupted, match=rf"the control; .*unlabel finetune --resume {tmp_path / 'run'}`"):
            unlabel.finetune(resume=tmp_path / "run")
    result = unlabel.finetune(resume=tmp_path / "run")
    assert same(weights(tmp_path / "run"), weights(tuned))
    assert same(weights(tmp_path / "run" / "control"), weights(tuned / "control"))
    assert result.evaluation["classification"] == read(tuned / "evaluation.json")["classification"]
    assert unlabel.finetune(resume=tmp_path / "run").folder == tmp_path / "run"  # finished: says so


def test_a_stopped_distillation_goes_on_to_the_bit(
    tuned: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Interrupted, match=r"unlabel distil --resume"):
            unlabel.distil(tuned, out=tmp_path / "run", epochs=1, alpha=0.5, temperature=2, **SHORT)
    unlabel.distil(resume=tmp_path / "run")
    assert same(weights(tmp_path / "run"), weights(student))


# ------------------------------------------------------------------ mistakes


def test_the_method_of_the_run_says_where_fine_tuning_begins(before: Path, vit_run: Path, tmp_path: Path) -> None:
    options = {"labels": 0.2, "epochs": 1, "evaluate": False, **SHORT}
    for name, run, own, layers in (
        ("paper", before, {}, 1), ("asked", before, {"from_head": 0}, 0), ("other", vit_run, {}, 0),
    ):  # fmt: skip
        unlabel.finetune(run, out=tmp_path / name, **own, **options)
        assert read(tmp_path / name / "run.json")["hyper"]["from_head"] == layers


def test_mistakes_are_sentences(before: Path, tuned: Path, cut_run: Path, tmp_path: Path) -> None:
    out = {"out": tmp_path / "never"}
    with pytest.raises(Fault, match="classifies nothing: `unlabel finetune"):
        unlabel.distil(before, **out)
    with pytest.raises(Fault, match="has no backbone"):
        unlabel.finetune(cut_run, **out)
    with pytest.raises(Fault, match="is not a run folder"):
        unlabel.finetune(tmp_path / "missing", **out)
    with pytest.raises(Faults, match="did you mean `labels`"):
        unlabel.finetune(before, label=0.1, **out)
    with pytest.raises(Faults, match="must be between"):
        unlabel.finetune(before, labels=1.5, **out)
    with pytest.raises(Fault, match="leave out the option `backbone`"):
        unlabel.finetune(before, backbone="resnet18", **out)
    with pytest.raises(Fault, match="saw images of 32 px, not 64"):
        unlabel.finetune(before, size=64, **out)
    with pytest.raises(Fault, match="the head has 3 layers, not 5"):
        unlabel.finetune(before, from_head=5, **out)
    with pytest.raises(Fault, match="student like its teacher"):
        unlabel.distil(tuned, backbone="tiny_vit", from_teacher=True, **out)
    with pytest.raises(Fault, match="no run given"):
        unlabel.finetune()
    with pytest.raises(Fault, match="no other options"):
        unlabel.finetune(resume=tuned, epochs=3)
    with pytest.raises(Fault, match="unlabel finetune --resume"):
        unlabel.distil(resume=tuned)
    with pytest.raises(Fault, match="unlabel finetune --resume"):
        unlabel.pretrain(resume=tuned)
    with pytest.raises(Fault, match="goes on from a run"):
        unlabel.pretrain("finetune", data=DATA, **out)
    assert not (tmp_path / "never").exists()


def test_fine_tuning_a_transformer_that_was_taught_by_masks(vit_run: Path, tmp_path: Path) -> None:
    """Any method's run will do; this one has no projector."""
    options = {"labels": 0.5, "epochs": 1, "evaluate": False, **SHORT}
    result = unlabel.finetune(vit_run, out=tmp_path / "run", **options)
    assert unlabel.load(result.folder).num_features == 192
    with pytest.raises(Fault, match="no projector to fine-tune from"):
        unlabel.finetune(vit_run, out=tmp_path / "other", from_head=1, **options)
