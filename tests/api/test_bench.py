"""Several methods side by side: what is run, what is kept, what is refused."""

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import unlabel
from unlabel.api import benching
from unlabel.data.ahead import cores
from unlabel.engine.controls import measured_controls
from unlabel.engine.folder import RunFolder, alone
from unlabel.engine.run import KINDS, convert
from unlabel.errors import Fault, Faults
from unlabel.reporting.leaderboard import markdown, write_leaderboard
from unlabel.reporting.rows import Row

OPTIONS = {"data": "shapes:96", "size": 16, "epochs": 1, "batch_size": 32, "monitors": 0}


class InThisProcess:
    """A run as `bench` starts it, without the seconds that another process takes to import everything."""

    returncode = 0

    def __init__(self, run: benching._Run, share: object) -> None:
        unlabel.pretrain(run.method, **run.options, out=run.place)

    def poll(self) -> int:
        return self.returncode


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benching, "_start", InThisProcess)
        unlabel.bench(["simclr", "simclr  objective=dcl"], seeds=[0, 1], out=out, **OPTIONS)
    return out


def test_every_entry_has_a_run_for_each_seed_and_a_row(done: Path) -> None:
    names = {"simclr-0", "simclr-1", "simclr-objective-dcl-0", "simclr-objective-dcl-1"}
    assert {path.parent.name for path in done.glob("*/run.json")} == names
    board = json.loads((done / "leaderboard.json").read_text())
    entries = [row for row in board["rows"] if not row["control"]]
    assert {row["name"] for row in entries} == {"simclr", "simclr objective=dcl"}
    for row in entries:
        assert len(row["numbers"]["knn"]) == len(row["numbers"]["peak_memory_mb"]) == 2
    stored = json.loads((done / "simclr-objective-dcl-1" / "run.json").read_text())
    assert stored["hyper"]["objective"] == "dcl" and stored["run"]["seed"] == 1


def test_controls_come_first_and_entries_by_knn(done: Path) -> None:
    rows = json.loads((done / "leaderboard.json").read_text())["rows"]
    assert [row["control"] for row in rows] == [True, True, False, False]
    means = [sum(row["numbers"]["knn"]) / 2 for row in rows[2:]]
    assert means == sorted(means, reverse=True)
    lines = (done / "leaderboard.md").read_text().splitlines()
    assert lines[2].startswith("| *raw pixels*") and "±" in lines[4]
    assert "tolerance" in lines[0] and "FD" not in lines[0]  # columns that nobody has numbers for are left out
    assert "leaderboard" in (done / "leaderboard.html").read_text()


def test_controls_are_measured_once_for_each_backbone(done: Path) -> None:
    """Those of the first run are the others', to the last bit; with other images they would be measured anew."""
    found = [
        json.loads((done / name / "evaluation.json").read_text()) for name in ("simclr-0", "simclr-objective-dcl-1")
    ]
    for key in ("knn", "linear", "factors"):
        assert found[0][key].keys() == found[1][key].keys()
    assert {**found[0]["knn"], "run": 0} == {**found[1]["knn"], "run": 0}
    assert found[0]["untrained"] == found[1]["untrained"] is not None
    assert found[0]["factors"]["shape"]["pixels"] == found[1]["factors"]["shape"]["pixels"]


def test_finished_runs_are_kept_and_remarks_shown(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (done / "remarks.json").write_text(json.dumps({"simclr": "a <b>remark</b>"}))
    monkeypatch.setattr(benching, "_start", lambda *_: pytest.fail("a finished run was repeated"))
    page = unlabel.bench(["simclr"], seeds=[0, 1], out=done, **OPTIONS)
    text = page.read_text()
    assert "a &lt;b&gt;remark&lt;/b&gt;" in text and "objective=dcl" not in text


def test_runs_kept_as_evidence_give_the_same_leaderboard_in_another_place(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks" / "evidence"))
    kept = importlib.import_module("kept")
    monkeypatch.setattr(kept, "KEPT", tmp_path / "kept")
    told = {"epochs": 1, "jobs": 1}
    kept.keep("study", done, {"cifar10": None}, told, kept.FILES[:3])
    text = (tmp_path / "kept" / "study.jsonl").read_text()
    assert len(text.splitlines()) == 4 and str(done) not in text and "{runs}" in text
    out = tmp_path / "elsewhere"
    kept.restore("study", out, {"cifar10": None}, told | {"epochs": 2})
    assert not out.exists()  # what was trained for longer or shorter is no part of the study any more
    kept.restore("study", out, {"cifar10": None}, told)
    assert all(benching._finished(place) for place in out.iterdir())
    entries = {name: [out / f"{name}-{seed}" for seed in (0, 1)] for name in ("simclr", "simclr-objective-dcl")}
    write_leaderboard(out, entries)
    write_leaderboard(there := tmp_path / "original", {n: [done / p.name for p in e] for n, e in entries.items()})
    assert (out / "leaderboard.md").read_text() == (there / "leaderboard.md").read_text()


def test_another_comparison_does_not_mix_with_this_one(done: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="another epochs"):
        unlabel.bench(["simclr"], out=done, **OPTIONS | {"epochs": 2})
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(Fault, match="no bench"):
        unlabel.bench(["simclr"], out=tmp_path, **OPTIONS)


def test_all_mistakes_are_told_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(Faults) as caught:
        unlabel.bench(["simclr temprature=1", "bioll"], out=tmp_path / "x", seeds=[1, 1], jobs=0, seed=3, **OPTIONS)
    said = "\n".join(caught.value.faults)
    for part in ("temperature", "byol", "seeds must be different", "`seed` is not for a bench", "jobs must be from 1"):
        assert part in said
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("name", "value"), [("lr_per", None), ("betas", (0.9, 0.95)), ("log", ("tensorboard",))])
def test_values_of_python_reach_the_runs(name: str, value: object) -> None:
    word = benching._as_word(value)
    assert convert(word, KINDS[name]) == value


def test_every_entry_has_a_folder_of_its_own() -> None:
    entries = [
        "simclr data=фото",
        "simclr data=猫",
        "a lr=-0.5",
        "a lr=0.5",
        "a data=x/a",
        "a data=x-a",
        "a b=" + 300 * "c",
    ]
    names = [benching._folder_name(entry, 0) for entry in entries]
    assert len(set(names)) == len(names) and all(len(name) < 200 and name.isascii() for name in names)
    assert benching._folder_name("simclr objective=dcl", 1) == "simclr-objective-dcl-1"


def test_an_open_quotation_mark_and_a_file_as_folder_are_faults(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="a quotation mark that it does not close"):
        unlabel.bench(["simclr objective='dcl"], out=tmp_path / "x", **OPTIONS)
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Fault, match=r"cannot be written: .*file"):
            unlabel.bench(["simclr"], out=out, **OPTIONS)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_entry_is_a_method_a_method_with_options_or_a_family() -> None:
    assert {"simclr", "byol"} <= set(benching._expanded(["joint-embedding", "simclr"]))
    assert benching._own_options("simclr --projector-dim=8 objective=dcl") == (
        "simclr", {"projector_dim": "8", "objective": "dcl"},
    )  # fmt: skip
    given = {"backbone": "tiny_resnet", "epochs": 3}
    assert benching._options_of("simclr epochs=2", given) == ("simclr", {"backbone": "tiny_resnet", "epochs": "2"})
    assert benching._options_of("amdim", given) == ("amdim", {"epochs": 3})  # it brings its own network
    with pytest.raises(Fault, match="name=value"):
        benching._own_options("simclr dcl")
    with pytest.raises(Fault, match="no entries"):
        benching._expanded([])


def test_runs_are_processes_and_one_that_fails_leaves_its_reason(tmp_path: Path) -> None:
    out, diverging = tmp_path / "out", "simclr lr=1e30 optimiser=sgd"
    before = cores()
    jobs = min(2, before)
    unlabel.bench([diverging, "simclr"], seeds=[0], out=out, jobs=jobs, **OPTIONS | {"evaluate": False})
    rows = {row["name"]: row for row in json.loads((out / "leaderboard.json").read_text())["rows"]}
    (reason,) = rows[diverging]["remarks"]
    assert "did not finish" in reason and "loss" in reason
    stored = json.loads((out / "simclr-0" / "run.json").read_text())
    assert stored["finished"] and stored["machine"]["cores"] == cores() // jobs  # its share, the same for every run
    assert cores() == before
    with pytest.raises(Fault, match="another jobs"):  # in which a time budget means something else
        unlabel.bench([diverging, "simclr"], seeds=[0], out=out, jobs=3 - jobs, **OPTIONS | {"evaluate": False})


def test_a_bench_that_is_told_to_stop_tells_its_run_which_goes_on_later(tmp_path: Path) -> None:
    """As `kill` does it, or a terminal that is closed: no training is left behind."""
    out = tmp_path / "out"
    words = [f"--{name.replace('_', '-')}={value}" for name, value in (OPTIONS | {"epochs": 400}).items()]
    command = [sys.executable, "-m", "unlabel", "bench", "simclr", "--seeds", "0", "--out", str(out), *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as bench:
        metrics = out / "simclr-0" / "metrics.jsonl"
        while not (metrics.exists() and metrics.stat().st_size) and bench.poll() is None:
            time.sleep(0.1)
        bench.terminate()
        said = bench.communicate(timeout=60)[1]
    assert "the same command goes on" in said, said
    stored = json.loads((out / "simclr-0" / "run.json").read_text())
    assert not stored["finished"] and (out / "simclr-0" / "checkpoints" / "last.ckpt").exists()


def test_cells_are_mean_and_deviation() -> None:
    row = Row("x")
    row.add(knn=40.0, alignment=None)
    row.add(knn=42.0, alignment=float("nan"))
    assert row.cell("knn") == "41.0 ± 1.4" and row.cell("alignment") == "–"


def stored(place: Path, evaluation: dict) -> Path:
    place.mkdir()
    run = {"run": {"method": "x", "budget": "1m", "data": "d"}, "backbone": None, "finished": True, "cost": {"seconds": 60},
           "updates": 30, "updates_per_epoch": 20, "machine": {"processor": "p", "cores": 2}, "versions": {"torch": "t"}}  # fmt: skip
    (place / "run.json").write_text(json.dumps(run))
    (place / "evaluation.json").write_text(json.dumps(evaluation))
    return place


def test_entries_have_the_random_weights_of_the_network_they_keep(tmp_path: Path) -> None:
    networks = {
        "whole": {"name": "n", "timm": "resnet18", "kwargs": {}, "stem": "timm", "size": 32},
        "patches": {"name": "n", "timm": "resnet18", "kwargs": {}, "stem": "timm", "size": 32, "grid": 5},
        "pair": {"name": "n", "timm": "resnet18", "kwargs": {}, "stem": "timm", "size": 32, "lab": True},
        "own": {"name": "the network of X", "size": 32, "hyper": {}},
    }
    runs = {}
    for random, (name, facts) in enumerate(networks.items()):
        place = stored(tmp_path / name, {"knn": {"run": 50.0, "random": float(random)}})
        (place / "backbone.json").write_text(json.dumps(facts))
        runs[name] = [place]
    write_leaderboard(tmp_path, runs)
    rows = {row["name"]: Row(**row) for row in json.loads((tmp_path / "leaderboard.json").read_text())["rows"]}
    names = ("n", "n on 5 x 5 patches", "two n for lightness and colour", "the network of X")
    assert [rows[f"random weights, {name}"].mean("knn") for name in names] == [0, 1, 2, 3]
    assert [rows[entry].setup["network"] for entry in networks] == list(names)


def test_controls_of_a_method_with_its_own_network_are_measured_once_too(tmp_path: Path) -> None:
    facts, same = {"name": "the network of X", "size": 32, "hyper": {"width": 8}}, {"fingerprint": ["f"]}
    versions = {"unlabel": "1", "versions": {}, "data": same}
    for name, network in {"a": facts, "b": facts | {"method": "y"}, "c": facts | {"hyper": {"width": 9}}}.items():
        place = stored(tmp_path / name, {"knn": {"random": 1.0, "who": name}})
        (place / "run.json").write_text(json.dumps(json.loads((place / "run.json").read_text()) | versions))
        (place / "backbone.json").write_text(json.dumps(network))
    found = {name: measured_controls(str(tmp_path), RunFolder(tmp_path / name)) for name in "abc"}
    assert found["a"]["knn"]["who"] == "b" and found["b"]["knn"]["who"] == "a" and found["c"] is None


def test_controls_of_other_images_are_named_apart(tmp_path: Path) -> None:
    split = "queries: the evaluation data; memory: the training images"
    runs = {}
    for name, images, pixels in (("x", 50_000, 44.7), ("x limit=5000", 5_000, 41.6)):
        protocol = {
            "memory": min(images, 20_000),
            "queries": 10,
            "k": 20,
            "split": split,
            "linear": {"classifier": "c"},
        }
        place = stored(tmp_path / name, {"protocol": protocol, "knn": {"run": 50.0, "random": 20.0, "pixels": pixels}})
        told = json.loads((place / "run.json").read_text())
        told["data"] = {"images": [images], "fingerprint": [name], "spec": "d"}
        (place / "run.json").write_text(json.dumps(told))
        (place / "backbone.json").write_text(json.dumps({"name": "n", "size": 32}))
        runs[name] = [place]
    write_leaderboard(tmp_path, runs)
    board = json.loads((tmp_path / "leaderboard.json").read_text())
    controls = {row["name"]: row["numbers"]["knn"] for row in board["rows"] if row["control"]}
    assert controls == {
        "raw pixels, 50,000 images": [44.7], "raw pixels, 5,000 images": [41.6], "random weights, n": [20.0],
    }  # fmt: skip
    rows = {row["name"]: row for row in board["rows"]}
    assert rows["x limit=5000"]["setup"]["controls"]["raw pixels"] == "raw pixels, 5,000 images"
    assert "20,000 or 5,000 remembered" in board["note"]
    assert "images and memory differ" in board["note"] and "controls of its own" in board["note"]
    del runs["x limit=5000"]
    write_leaderboard(tmp_path, runs)
    board = json.loads((tmp_path / "leaderboard.json").read_text())
    assert [row["name"] for row in board["rows"]] == ["raw pixels", "random weights, n", "x"]
    assert "differ" not in board["note"]


def test_translations_are_compared_by_their_distance_and_readers_with_guessing(tmp_path: Path) -> None:
    def translated(fd: float) -> dict:
        rows = {
            "translation": {"fd": fd, "psnr": 12.0, "ssim": 0.1},
            "identity": {"fd": 100.0, "psnr": 7.0, "ssim": 0.0},
        }
        return {"translation": {**rows, "protocol": {}}}

    far, near = (stored(tmp_path / str(fd), translated(fd)) for fd in (80, 60))
    names = {"zeroshot": {"top1": 30.0, "chance1": 10.0}}
    reads = stored(tmp_path / "reads", {"texts": names, "protocol": {}})
    write_leaderboard(tmp_path, {"far": [far], "near": [near], "reads": [reads]})
    board = json.loads((tmp_path / "leaderboard.json").read_text())
    rows = {row["name"]: Row(**row) for row in board["rows"]}
    assert [name for name in rows if name in ("far", "near")] == ["near", "far"]
    assert rows["untouched inputs"].control and rows["untouched inputs"].mean("fd") == 100
    assert rows["guessing"].mean("zeroshot") == 10 and rows["reads"].mean("zeroshot") == 30
    assert rows["near"].mean("epochs") == 1.5 and rows["near"].mean("minutes") == 1
    assert "| near | 1 | – | 60.00 |" in markdown(list(rows.values()))


def test_the_runs_of_a_bench_are_trained_by_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benching, "_start", InThisProcess)
    benching.same_bench(tmp_path, OPTIONS)
    with alone(tmp_path / "bench.json", ""), pytest.raises(Fault, match="another bench trains the runs in"):
        unlabel.bench(["simclr"], out=tmp_path, **OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]


def test_a_bench_json_that_is_no_object_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text("[]")
    with pytest.raises(Fault, match=r"bench\.json is damaged: choose another --out"):
        unlabel.bench(["simclr"], out=tmp_path, **OPTIONS)
