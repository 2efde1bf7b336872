"""Retrieval, clustering and corrupted images on the page, and nothing of them for evaluations without."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reporting.synthetic import evaluation, make_run, write_json
from tests.reporting.test_page import Page
from unlabel.reporting import write_report
from unlabel.reporting.further import further


def corrupted(clean: float) -> dict[str, Any]:
    names = ("gaussian_noise", "jpeg")
    by_name = {name: {"mean": clean - 9, "severities": [clean - i for i in (7, 8, 9, 10, 11)]} for name in names}
    return {"clean": clean, "corrupted": clean - 9, "corruptions": by_name}


FOUND = {
    "retrieval": {
        "protocol": {"version": 1, "candidates": 2_000, "queries": 400, "chance": "mean over all orders"},
        "run": {"mAP": 61.24, "recall@1": 70.0},
        "random": {"mAP": 20.0, "recall@1": None},
        "chance": {"mAP": 10.0, "recall@1": 10.0},
    },
    "clustering": {
        "protocol": {"version": 1, "clusters": 10},
        "run": {"NMI": 50.0, "ARI": 40.0, "accuracy": 62.5},
        "random": {"NMI": 9.0, "ARI": -0.01, "accuracy": 20.0},
        "pixels": {"NMI": 8.0, "ARI": -3.0, "accuracy": 19.0},
        "chance": {"NMI": 1.0, "ARI": 0.0, "accuracy": 14.0},
    },
    "robustness": {
        "protocol": {"version": 1, "images": 400, "severities": "1 to 5 as in CIFAR-10-C, at 32 px", "corruptions": {}},
        "linear": {"run": corrupted(80.0), "random": corrupted(40.0), "pixels": corrupted(30.0)},
        "knn": {"run": corrupted(75.0)},
    },
}


def test_each_stands_beside_its_controls_with_its_protocol() -> None:
    retrieval, clustering, robustness = further(FOUND)
    (table,) = retrieval.tables
    assert table.head == ["", "this run", "random weights", "raw pixels", "guessing"]
    assert table.rows == [["mAP", "61.2", "20.0", "–", "10.0"], ["recall@1", "70.0", "–", "–", "10.0"]]
    assert "candidates: 2,000" in retrieval.protocol and "queries: 400" in retrieval.protocol
    assert clustering.tables[0].rows[1] == ["ARI", "40.0", "0.0", "−3.0", "0.0"]
    linear, knn = robustness.tables
    assert [row[0] for row in linear.rows] == ["clean", "corrupted", "gaussian noise", "jpeg"]
    assert linear.rows[1][1:] == ["71.0", "31.0", "21.0"] and knn.rows[3][1:] == ["66.0", "–", "–"]
    assert "80.0 % of clean and on 71.0 % of corrupted" in robustness.caption and "CIFAR-10-C" in robustness.protocol


@pytest.mark.parametrize("damage", [None, "?", {}, {"run": None}, {"run": {"mAP": None}}])
def test_what_is_missing_or_damaged_is_left_out(damage: object) -> None:
    assert further({}) == []
    assert further(dict.fromkeys(("retrieval", "clustering", "robustness"), damage)) == []


def test_they_are_on_the_page_and_older_evaluations_have_a_page_still(tmp_path: Path) -> None:
    folder = make_run(tmp_path, queries=40, updates=20)
    before = Page(write_report(folder))
    assert not {"fig-retrieval", "fig-clustering", "fig-robustness"} & set(before.ids)
    write_json(folder / "evaluation.json", evaluation(np.random.default_rng(0), ["a", "b"], 40) | FOUND)
    page = Page(write_report(folder))
    assert {"fig-retrieval", "fig-clustering", "fig-robustness"} <= set(page.ids)
    for words in ("61.2", "guessing", "gaussian noise", "on 71.0 % of corrupted", "CIFAR-10-C"):
        assert words in page.text
    assert len(page.ids) == len(set(page.ids))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") and tags.count("figure") == tags.count("figcaption")
