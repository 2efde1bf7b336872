"""Runs side by side: what is one row, what is kept apart, what is refused."""

import json
import re
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest

from tests.reporting.several import classifier, many, small_run, translator
from unlabel.api import compare
from unlabel.errors import Fault
from unlabel.reporting.comparison import Comparison, comparison, rank_correlations
from unlabel.reporting.comparison_charts import charts, over_seeds
from unlabel.reporting.leaderboard import write_leaderboard
from unlabel.reporting.members import read_runs
from unlabel.reporting.topics import topics


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return comparison(read_runs([many(tmp_path_factory.mktemp("many"))]))


def test_seeds_are_one_row_with_mean_and_deviation(found: Comparison) -> None:
    (line,) = [line for line in found.sections[0].lines if line.row.name == "simclr, temperature 0.2"]
    assert line.row.numbers["knn"] == [60.0, 62.0, 64.0] and line.seeds == "3"
    assert line.row.mean("knn") == 62.0 and line.row.deviation("knn") == pytest.approx(2.0)
    assert line.row.cell("knn") == "62.0 ± 2.0" and line.row.cell("map") == "42.0 ± 2.0"
    assert line.row.mean("minutes") == pytest.approx(601 / 60)


def test_rows_are_named_by_what_differs_and_share_the_rest(found: Comparison) -> None:
    names = {line.row.name for line in found.sections[0].lines}
    assert {"simclr, temperature 0.5", "byol", "dino"} <= names
    assert [line.row.name for line in found.sections[1].lines] == ["simclr, limit 5000, temperature 0.2"]
    assert found.sections[0].usual == ["no limit"]
    assert found.common["batch_size"].text == "256"
    assert "temperature" not in found.common and "method" not in found.common


def test_other_images_have_a_section_and_controls_of_their_own(found: Comparison) -> None:
    features = [section for section in found.sections if section.kind == "features"]
    assert [section.title for section in features] == [
        "Frozen features, 12,800 images, 10,000 remembered", "Frozen features, 5,000 images, 5,000 remembered",
    ]  # fmt: skip
    assert [line.row.mean("knn") for line in features[1].lines] == [40.0]
    assert [row.name for row in features[1].controls] == ["raw pixels", "random weights, resnet18", "guessing"]
    (note,) = [note for note in found.notes if "measured alike" in note]
    assert "images" in note and "memory" in note and "2 tables" in note


def test_rows_stand_by_their_accuracy_and_those_without_numbers_last(found: Comparison) -> None:
    lines = found.sections[0].lines
    known = [line.row.mean("knn") for line in lines if line.row.mean("knn") is not None]
    assert known == sorted(known, reverse=True) and len(known) == 6
    assert {line.row.name: line.state for line in lines[6:]} == {
        "barlow_twins": "not evaluated", "dino": "not finished: 30 of 60 updates",
    }  # fmt: skip
    assert [line.seeds for line in lines[6:]] == ["0 of 1", "0 of 1"]


def test_other_kinds_have_tables_of_their_own(found: Comparison) -> None:
    by_kind = {section.kind: section for section in found.sections}
    tuned = by_kind["classification"]
    assert [(line.row.name, line.seeds, line.row.numbers["right1"]) for line in tuned.lines] == [
        ("finetune", "2", [80.0, 82.0])
    ]
    assert tuned.controls[0].name == "from scratch" and tuned.controls[0].mean("right1") == 40
    assert "knn" not in tuned.columns and topics(tuned)[""] == ["right1", "right5", "labels", "minutes"]
    cut = by_kind["translation"]
    assert cut.lines[0].row.numbers["fd"] == [90.0, 80.0] and cut.controls[0].name == "untouched inputs"
    assert "right1" not in by_kind["features"].columns and "fd" not in by_kind["features"].columns


def test_factors_are_columns(found: Comparison) -> None:
    section = found.sections[0]
    assert section.columns["factor shape"].title == "shape"
    numbers = {row.name: row.mean("factor shape") for row in section.rows}
    assert numbers["byol"] == 94.1 and numbers["raw pixels"] == 43.5 and numbers["guessing"] == 25.0


def test_rank_correlation_is_spearmans_over_five_rows_at_least(found: Comparison, tmp_path: Path) -> None:
    section = found.sections[0]
    ranks = rank_correlations(section)
    assert ranks["effective_rank"] == pytest.approx(1.0) and ranks["lidar"] == pytest.approx(-1.0)
    assert "spectral_decay" not in ranks  # the same in all
    for i, knn in enumerate((10.0, 20.0, 30.0, 40.0)):
        small_run(tmp_path / str(i), knn=knn, hyper={"temperature": i + 1})
    few = comparison(read_runs([tmp_path])).sections[0]
    assert rank_correlations(few) == {}
    small_run(tmp_path / "4", knn=50.0, hyper={"temperature": 5}, found={"effective_rank": 0.0})
    # Ranks 1 2 3 4 5 against 2 3 4 5 1: 1 - 6 (1 + 1 + 1 + 1 + 16) / (5 * 24) = 0.
    five = comparison(read_runs([tmp_path])).sections[0]
    assert rank_correlations(five)["effective_rank"] == pytest.approx(0.0)


def test_a_mean_curve_is_where_all_seeds_are_known() -> None:
    one = np.array([0.0, 10.0, 20.0]), np.array([0.0, 10.0, 20.0])
    other = np.array([5.0, 30.0]), np.array([7.0, 32.0])  # x + 2
    x, mean, deviation = over_seeds([one, other])
    assert x.tolist() == [5.0, 10.0, 20.0]
    np.testing.assert_allclose(mean, x + 1)
    np.testing.assert_allclose(deviation, statistics.stdev([0.0, 2.0]))
    assert over_seeds([one])[2] is None
    apart = over_seeds([one, (np.array([30.0, 40.0]), np.array([1.0, 2.0]))])
    assert apart[0].tolist() == [0.0, 10.0, 20.0] and apart[2] is None
    gap = over_seeds([(np.array([0.0, 1.0, 2.0]), np.array([0.0, np.nan, 2.0]))])
    assert gap[1].tolist() == [0.0, 2.0]


def test_charts_are_those_whose_numbers_exist(found: Comparison) -> None:
    drawn = charts(found.sections[0], 0)
    assert [chart.id for chart in drawn["curves"]] == ["knn-update-0", "knn-seconds-0"]
    assert {chart.id for chart in drawn["losses"]} >= {"loss-simclr-0", "loss-byol-0"}
    measures = {chart.id: chart.caption for chart in drawn["measures"]}
    assert "+1.00 over 6 rows" in measures["measure-effective-rank-0"] and "−1.00" in measures["measure-lidar-0"]
    (scores,) = drawn["scores"]
    entries = [trace for trace in scores.data if trace["marker"]["symbol"] == "circle"]
    assert entries[0]["error_x"]["array"][0] == pytest.approx(2.0) and entries[0]["x"][0] == 62.0
    simclr = next(chart for chart in drawn["losses"] if chart.id == "loss-simclr-0")
    assert len([trace for trace in simclr.data if trace.get("fill") == "toself"]) == 2  # a band for each row


def test_plain_values_hold_everything(found: Comparison) -> None:
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert told["runs"] == 17
    rows = told["sections"][0]["rows"]
    assert [row["control"] for row in rows[:4]] == [True, True, True, False]
    first = rows[3]
    assert first["numbers"]["knn"] == {"mean": 62.0, "std": 2.0, "values": [60.0, 62.0, 64.0]}
    assert first["seeds"] == [0, 1, 2] and first["settings"]["temperature"] == "0.2" and len(first["runs"]) == 3
    assert rows[6]["numbers"]["knn"]["std"] is None  # of a single seed


def test_one_run_is_a_comparison_of_one(tmp_path: Path) -> None:
    found = compare([small_run(tmp_path / "run")], out=tmp_path / "page.html")
    assert [line.row.name for line in found.sections[0].lines] == ["simclr"] and found.notes == []
    assert "<h1><bdi>simclr</bdi></h1>" in (tmp_path / "page.html").read_text()
    assert "One seed each" in (tmp_path / "page.html").read_text()


def test_a_run_with_segmentation_stands_in_both_tables(tmp_path: Path) -> None:
    place = small_run(tmp_path / "run")
    scores = {who: {"mIoU": 9.0, "mAcc": 5.0, "aAcc": 50.0} for who in ("run", "random", "colours", "constant")}
    (place / "segmentation.json").write_text(json.dumps({"protocol": {"size": [8, 8]}, **scores}))
    sections = comparison(read_runs([place])).sections
    assert [section.kind for section in sections] == ["features", "segmentation"]
    assert list(sections[1].columns)[:3] == ["miou", "macc", "aacc"]
    assert "miou" not in sections[0].columns and "knn" not in sections[1].columns


def test_each_way_of_segmentation_has_a_table_and_controls_of_its_own(tmp_path: Path) -> None:
    for place, better in ((small_run(tmp_path / "a"), 0.0), (small_run(tmp_path / "b", method="byol"), 1.0)):
        for i, way in enumerate(("", "-pspnet", "-pspnet-tuned")):
            who = ("run", "random", "colours", "constant")[: 4 - (i == 2)]
            scores = {w: {"mIoU": 9.0 - n + 10 * i, "mAcc": 5.0, "aAcc": 50.0} for n, w in enumerate(who)}
            scores["run"]["mIoU"] += better
            (place / f"segmentation{way}.json").write_text(json.dumps({"protocol": {"size": [8, 8]}, **scores}))
    found = compare(tmp_path, out=tmp_path / "page.html")
    assert [section.title for section in found.sections[1:]] == [
        "Segmentation by a linear layer", "Segmentation by a PSPNet on the frozen network",
        "Segmentation by a PSPNet, the network fine-tuned",
    ]  # fmt: skip
    for i, (section, name) in enumerate(zip(found.sections[1:], ("miou", "pspnet_miou", "tuned_miou"), strict=True)):
        assert [(line.row.name, line.row.mean(name)) for line in section.lines] == [
            ("byol", 10.0 + 10 * i), ("simclr", 9.0 + 10 * i),
        ]  # fmt: skip
        assert next(iter(section.columns)) == topics(section)[""][0] == name and len(topics(section)[""]) == 3
        controls = {row.name: row.mean(name) for row in section.controls}
        assert controls["random weights, resnet18"] == 8.0 + 10 * i and controls["colours alone"] == 7.0 + 10 * i
    assert not {"pspnet_miou", "tuned_miou"} & set(found.sections[0].columns)
    assert all("pspnet_miou" not in row.numbers for row in found.sections[0].rows)


def test_methods_with_and_without_a_teacher_stand_in_one_table(tmp_path: Path) -> None:
    small_run(tmp_path / "a"), small_run(tmp_path / "b", method="byol")
    found = comparison(read_runs([tmp_path]))
    assert [[line.row.name for line in section.lines] for section in found.sections] == [["simclr", "byol"]]
    assert any("the network's, which has no teacher: simclr; the student's: byol" in note for note in found.notes)


def test_a_seed_measured_otherwise_is_kept_apart(tmp_path: Path) -> None:
    small_run(tmp_path / "a"), small_run(tmp_path / "b", seed=1, protocol={"k": 5})
    found = comparison(read_runs([tmp_path]))
    assert [[line.seeds for line in section.lines] for section in found.sections] == [["1 of 2"], ["1 of 2"]]
    assert "k differ" in found.notes[0]


def test_a_part_with_another_protocol_of_its_own_is_left_out(tmp_path: Path) -> None:
    def retrieval(value: float, chance: float, **protocol: object) -> dict[str, object]:
        return {"protocol": protocol, "run": {"mAP": value}, "chance": {"mAP": chance}, "random": {"mAP": chance + 1}}

    old, new = {"version": 1, "queries": 9}, {"version": 2, "queries": 9}
    small_run(tmp_path / "a", found={"retrieval": retrieval(30.0, 10.0, **old, weights="x")})
    small_run(tmp_path / "b", seed=1, found={"retrieval": retrieval(32.0, 10.0, **old, weights="y")})
    small_run(tmp_path / "c", method="swav", found={"retrieval": retrieval(90.0, 50.0, **new)})
    small_run(tmp_path / "d", method="simsiam", knn=40.0)  # whose file says no protocol of retrieval
    (section,) = (found := comparison(read_runs([tmp_path]))).sections
    rows = {row.name: row.numbers for row in section.rows}
    assert rows["simclr"]["map"] == [30.0, 32.0] and rows["simsiam"]["map"] == [20.0]
    assert "map" not in rows["swav"] and rows["swav"]["knn"] == [60.0]
    assert rows["guessing"]["map"] == [10.0] and rows["random weights, resnet18"]["map"] == [11.0, 12.0]
    (note,) = [note for note in found.notes if "retrieval" in note]
    assert f"retrieval: measured by another protocol in {tmp_path / 'c'} (version differ)" in note


def test_of_as_many_runs_the_newer_protocol_stays_and_nested_parts_go_alone(tmp_path: Path) -> None:
    objects = {"pointing": {"run": 50.0, "chance": 20.0}, "swapped": {"knn": {"run": {"swapped": 30.0}}}}
    for i, version in enumerate((1, 2)):
        protocols = {"swapped": {"version": version}, "pointing": {"version": 1}}
        small_run(tmp_path / f"{i}", method=("swav", "byol")[i], found={"objects": objects, "protocols": protocols})
    (section,) = comparison(read_runs([tmp_path])).sections
    rows = {line.row.name: line.row.numbers for line in section.lines}
    assert "swapped_knn" not in rows["swav"] and rows["byol"]["swapped_knn"] == [30.0]
    assert rows["swav"]["pointing"] == rows["byol"]["pointing"] == [50.0]
    assert len(section.notes) == 1


def test_shape_and_live_knn_are_checked_by_protocols_of_their_own(tmp_path: Path) -> None:
    for name, version in (("swav", 1), ("byol", 1), ("dino", 2)):
        found = {"protocols": {"shape": {"version": version}, "lidar": {"version": 1}}}
        small_run(tmp_path / name, method=name, found=found, live={"version": version})
    small_run(tmp_path / "simsiam", method="simsiam")  # of an older version
    (section,) = comparison(read_runs([tmp_path])).sections
    rows = {line.row.name: line.row.numbers for line in section.lines}
    assert "effective_rank" not in rows["dino"] and {"lidar", "knn"} <= set(rows["dino"])
    assert all("effective_rank" in rows[name] for name in ("swav", "byol", "simsiam"))
    (by_update, *_) = charts(section, 0)["curves"]
    assert "dino" not in by_update.alt and "simsiam" in by_update.alt and len(section.notes) == 2


def test_a_leaderboard_leaves_the_same_out(tmp_path: Path) -> None:
    objects = {"pointing": {"run": 50.0, "chance": 20.0}}
    runs = {}
    for name, version in (("swav", 1), ("byol", 1), ("simsiam", 2)):
        found = {"objects": objects, "protocols": {"pointing": {"version": version}}}
        runs[name] = [small_run(tmp_path / f"{name}-0", method=name, run={"budget": None}, found=found)]
    far = small_run(tmp_path / "far-0", method="dino", images=500, run={"budget": None}, found=found)
    write_leaderboard(tmp_path, runs | {"far": [far]})
    told = json.loads((tmp_path / "leaderboard.json").read_text())
    rows = {row["name"]: row["numbers"] for row in told["rows"] if not row["control"]}
    assert "pointing" not in rows["simsiam"] and rows["swav"]["pointing"] == rows["byol"]["pointing"] == [50.0]
    assert rows["far"]["pointing"] == [50.0], "of other images, which is said elsewhere"
    assert "Pointing game: measured by another protocol in simsiam-0" in told["note"]


def test_what_a_reader_must_know_is_said(tmp_path: Path) -> None:
    small_run(tmp_path / "a", seed=3), small_run(tmp_path / "b", seed=3, unlabel="0.2.0", cost={"seconds": 1.0})
    small_run(tmp_path / "c", seed=4, machine={"processor": "other", "cores": 64})
    said = " ".join(comparison(read_runs([tmp_path])).notes)
    assert "a and b have the same seed, 3" in said
    assert "2 different machines" in said and "different versions of unlabel: 0.1.0 and 0.2.0" in said


def test_runs_of_which_nothing_is_measured_are_compared_too(tmp_path: Path) -> None:
    small_run(tmp_path / "a", evaluated=False), translator(tmp_path / "b"), classifier(tmp_path / "c")
    for name in ("b", "c"):
        (tmp_path / name / "evaluation.json").unlink()
    found = compare(tmp_path, out=tmp_path / "page.html")
    assert {section.kind: section.lines[0].state for section in found.sections} == dict.fromkeys(
        ("features", "classification", "translation"), "not evaluated"
    )
    assert found.sections[0].title == "Frozen features, without numbers"


SEGMENTED = [f"segmentation{way}.json" for way in ("", "-pspnet", "-pspnet-tuned")]


@pytest.mark.parametrize("name", ["run.json", "evaluation.json", *SEGMENTED, "backbone.json"])
def test_damaged_files_are_refused_by_name(tmp_path: Path, name: str) -> None:
    place = small_run(tmp_path / "run")
    for damaged in ("{", "[1]", '"text"'):
        (place / name).write_text(damaged)
        with pytest.raises(Fault, match=re.escape(name)) as caught:
            read_runs([place])
        assert "\n" not in str(caught.value)


def test_what_is_no_run_or_there_twice_is_refused(tmp_path: Path) -> None:
    place = small_run(tmp_path / "runs" / "run")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.html").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run.json").write_text('{"name": "of another program"}')
    for given, said in (
        ([], "no runs given"),
        ([tmp_path / "nowhere"], "there is no folder"),
        ([tmp_path / "empty"], "not a run folder"),
        ([tmp_path / "file.html"], "not a run folder"),
        ([tmp_path / "other"], "which method"),
        ([place, place], "given twice"),
        ([place, tmp_path / "runs"], "given twice"),
    ):
        with pytest.raises(Fault, match=said):
            read_runs(given)
    shutil.copytree(place, tmp_path / "runs" / "copy")
    with pytest.raises(Fault, match="is a copy of"):
        read_runs([tmp_path / "runs"])


def test_a_page_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    place = small_run(tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(Fault, match="cannot be written"):
        compare(place, out=tmp_path / "file" / "page.html")
