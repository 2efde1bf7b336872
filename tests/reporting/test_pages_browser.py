"""Pages and parts that the other tests in a browser do not meet: they fit phone and desktop and ask nobody."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.reporting.several import classifier, small_run, translator
from tests.reporting.synthetic import make_run, write_json
from tests.reporting.test_browser import OVERFLOW, PHONE, WIDE, browser, pytestmark, requested, show  # noqa: F401
from tests.reporting.test_further import FOUND
from unlabel.catalogue import entry
from unlabel.catalogue.html import document
from unlabel.catalogue.page import page as described
from unlabel.reporting import write_report
from unlabel.reporting.leaderboard import write_leaderboard
from unlabel.reporting.shares_page import write_shares

SIZES = pytest.mark.parametrize("size", [WIDE, PHONE], ids=["desk", "phone"])
OBJECTS_AND_TEXTS = {
    "objects": {
        "pointing": {"run": 55.0, "random": 30.0, "centre": 40.0, "chance": 20.0},
        "swapped": {"knn": {"run": {"original": 60.0, "swapped": 31.0}, "random": {"original": 30.0, "swapped": 20.0}}},
    },
    "texts": {
        "zeroshot": {"top1": 41.0, "top5": 80.0, "chance1": 10.0, "chance5": 50.0},
        "retrieval": {"text_to_image": {"queries": 400, "at": {"1": 20.0, "5": 55.0}, "chance": {"1": 1.0, "5": 5.0}}},
    },
    "protocols": {
        "pointing": {"version": 1, "weights": "the student's", "map": "Grad-CAM of the last feature map " * 3},
        "zeroshot": {"version": 1, "templates": ["a photo of a {}"]},
    },
}


def opened(browser: Any, page: Path, size: tuple[int, int], *, charts: bool = True) -> list[str]:  # noqa: F811
    """Opens a page, which must fit and be quiet; the ids of its figures. charts: it says when all are drawn."""
    show(browser, page, size, charts=charts)
    assert browser.execute_script(OVERFLOW) == 0
    assert browser.get_log("browser") == [] and requested(browser) == [page.as_uri()]
    ids: list[str] = browser.execute_script("return [...document.querySelectorAll('[id^=fig-]')].map((f) => f.id)")
    return ids


@SIZES
def test_a_report_with_everything_that_can_be_measured(browser: Any, tmp_path: Path, size: tuple[int, int]) -> None:  # noqa: F811
    folder = make_run(tmp_path / "run", queries=40, updates=20)
    path = folder / "evaluation.json"
    write_json(path, json.loads(path.read_text()) | FOUND | OBJECTS_AND_TEXTS)
    found = opened(browser, write_report(folder), size)
    expected = {"retrieval", "clustering", "robustness", "swapped", "pointing", "zeroshot", "captions"}
    assert {f"fig-{name}" for name in expected} <= set(found)


@SIZES
def test_reports_of_a_translation_and_of_a_classifier(browser: Any, tmp_path: Path, size: tuple[int, int]) -> None:  # noqa: F811
    assert "fig-translation" in opened(browser, write_report(translator(tmp_path / "cut")), size)
    opened(browser, write_report(classifier(tmp_path / "fine")), size)
    assert "80.0 %" in browser.execute_script("return document.body.innerText")


@SIZES
def test_a_leaderboard(browser: Any, tmp_path: Path, size: tuple[int, int]) -> None:  # noqa: F811
    names = ("simclr objective=hard_negatives projector_width=2048", "byol", "dino")
    runs = {
        name: [small_run(tmp_path / f"{place}-{seed}", method=name.split()[0], seed=seed) for seed in range(2)]
        for place, name in enumerate(names)
    }
    opened(browser, write_leaderboard(tmp_path, runs), size, charts=False)
    text = browser.execute_script("return document.body.innerText")
    assert all(name in text for name in names) and "raw pixels" in text


@SIZES
def test_fine_tuning_with_several_shares(browser: Any, tmp_path: Path, size: tuple[int, int]) -> None:  # noqa: F811
    scores = {"run": {"top1": 60.0, "top5": 95.0}, "scratch": {"top1": 41.5, "top5": 90.0}}
    rows = [
        {"share": share, "labels": round(50_000 * share), "updates": 390, "classification": scores, "folder": f"{share}",
         "protocol": {"version": 1, "weights": "the student's", "trained": "backbone and a linear layer " * 4}}
        for share in (0.01, 0.1, 1.0)
    ]  # fmt: skip
    page = write_shares(tmp_path / "report.html", {"run": "runs/simclr-1", "asked": [0.01, 0.1, 1.0], "shares": rows})
    opened(browser, page, size, charts=False)
    assert "+18.5" in browser.execute_script("return document.body.innerText")


@SIZES
@pytest.mark.parametrize("name", ["dino", "byol_two_losses", "cut"])
def test_what_is_explained_of_a_method(browser: Any, tmp_path: Path, size: tuple[int, int], name: str) -> None:  # noqa: F811
    page = tmp_path / f"{name}.html"
    page.write_text(document(described(entry(name))), encoding="utf-8")
    opened(browser, page, size, charts=False)
    assert entry(name).title in browser.execute_script("return document.body.innerText")
