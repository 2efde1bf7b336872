"""The protocols below a table of several runs: one line each, with whose weights where rows differ in it."""

import json
from pathlib import Path
from typing import Any

from tests.reporting.several import small_run, translator
from unlabel.api import compare
from unlabel.reporting.comparison import comparison
from unlabel.reporting.leaderboard import write_leaderboard
from unlabel.reporting.members import read_runs
from unlabel.reporting.rows import ALL
from unlabel.reporting.stated import stated, together

NETWORK = "the network's, which has no teacher"


def test_what_all_rows_share_is_said_once_and_weights_by_row() -> None:
    both = {"version": 1, "data": "/home/me/cifar10/test", "k": 20, "nested": {"l2": 1}, "seconds_per_image": 0.1}
    rows = [("simclr", NETWORK), ("byol", "the student's"), ("byol", "the student's"), ("swav", NETWORK)]
    rows += [("simsiam", NETWORK)]
    said = together([(name, both | {"weights": whose}) for name, whose in rows])
    assert said == f"protocol 1: data cifar10/test; k 20; weights the student's (byol) or else {NETWORK}"
    assert together([("a", {"version": 1, "k": 5}), ("b", {"version": 2, "k": 5, "weights": "x"})]) == (
        "protocol 1 or 2: k 5; weights not said (a) or else x"
    )
    assert together([("", {"size": 64, "seconds_per_image": 0.1})]) == "protocol ?: size 64"


def test_every_column_has_its_own_protocol_and_cost_has_none() -> None:
    found: dict[str, Any] = {
        "protocol": {"version": 1, "of": "features"},
        "retrieval": {"protocol": {"version": 1, "of": "retrieval"}, "run": {"mAP": 1.0}},
        "clustering": {"protocol": {"version": 1, "of": "clustering"}, "run": {"NMI": 1.0}},
        "effective_rank": 3.0,
        "lidar": None,
        "texts": {"zeroshot": {"top1": 1.0}, "retrieval": None},
        "protocols": {kind: {"version": 2, "of": kind} for kind in ("shape", "lidar", "zeroshot", "captions")},
        "segmentation": {"protocol": {"version": 1, "of": "pixels"}},
    }
    columns = ("knn", "top1", "map", "nmi", "zeroshot", "images_by_text", "effective_rank", "projection_rank", "lidar",
               "miou", "minutes", "labels")  # fmt: skip
    assert stated([("a", found)], [ALL[name] for name in columns]) == [
        "frozen features: protocol 1: of features",
        "retrieval: protocol 1: of retrieval",
        "clustering: protocol 1: of clustering",
        "zero-shot classification: protocol 2: of zeroshot",
        "shape of the embeddings: protocol 2: of shape",
        "segmentation by a linear layer: protocol 1: of pixels",
    ]
    assert stated([("a", {"knn": {"run": 1.0}})], [ALL["knn"]]) == []  # of an older version, which does not say it


def test_a_comparison_says_those_of_its_tables_on_the_page_too(tmp_path: Path) -> None:
    def more(whose: str, version: int) -> dict[str, Any]:
        seen = {"version": version, "weights": whose, "images": 300}
        return {"protocols": {"shape": seen, "factors": {"version": 1, "probe": "ridge regression"}}}

    live = {"version": 1, "k": 7, "weights": NETWORK}
    small_run(tmp_path / "a", found=more(NETWORK, 1), live=live)
    small_run(tmp_path / "b", method="byol", found=more("the student's", 1), live=live)
    small_run(tmp_path / "c", method="swav", found=more("nobody's", 2), live=live)  # its shape is left out
    translator(tmp_path / "cut")
    found = compare(tmp_path, out=tmp_path / "page.html")
    features, cut = found.sections
    (knn,) = features.protocols(["knn", "top1", "minutes"])
    assert knn.startswith("frozen features: protocol 1: data cifar10; ") and "temperature 0.07" in knn
    assert "layer what the method's `embed` returns" in knn and "view largest central square" in knn
    assert f"weights the student's (byol) or else {NETWORK}" in knn
    (shape,) = features.protocols(["effective_rank", "uniformity"])
    assert "shape of the embeddings: protocol 1: " in shape and "images 300" in shape and "nobody" not in shape
    (factors,) = features.protocols(["factor shape"])
    assert factors == "factors: protocol 1: probe ridge regression"
    assert features.live_protocol == f"live kNN: protocol 1: k 7; weights {NETWORK}"
    assert cut.protocols(["fd"]) == ["image translation: protocol ?: images x 100"]
    told = found.as_dict()["sections"]
    assert {knn, shape, factors, features.live_protocol} <= set(told[0]["protocols"])
    page = (tmp_path / "page.html").read_text().replace("&#39;", "'")
    for line in (knn, shape, factors, features.live_protocol, *told[1]["protocols"]):
        assert line in page
    assert page.count(knn) == 1


def test_a_run_without_numbers_has_no_protocol(tmp_path: Path) -> None:
    small_run(tmp_path / "a", evaluated=False)
    (section,) = comparison(read_runs([tmp_path])).sections
    assert section.protocols(list(section.columns)) == [] and section.live_protocol == ""


def test_a_leaderboard_says_them_below_the_table(tmp_path: Path) -> None:
    runs = {name: [small_run(tmp_path / f"{name}-0", method=name, run={"budget": None})] for name in ("simclr", "byol")}
    page = write_leaderboard(tmp_path, runs)
    (line,) = json.loads((tmp_path / "leaderboard.json").read_text())["protocols"]
    assert line.startswith("frozen features: protocol 1: ") and "temperature 0.07" in line
    assert f"weights {NETWORK} (simclr) or else the student's" in line
    assert "layer what" in line and "view largest" in line
    assert f"\n\n- {line}\n" in (tmp_path / "leaderboard.md").read_text()
    assert line in page.read_text().replace("&#39;", "'")
    write_leaderboard(tmp_path, {})
    assert json.loads((tmp_path / "leaderboard.json").read_text())["protocols"] == []
