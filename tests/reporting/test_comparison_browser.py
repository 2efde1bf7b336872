"""The page of a comparison in a real browser: it fits phone and desktop, its charts are drawn, its tables sort."""

from pathlib import Path
from typing import Any

import pytest

from tests.reporting.several import many, small_run
from tests.reporting.test_browser import OVERFLOW, PHONE, WIDE, browser, pytestmark, requested, show  # noqa: F401
from unlabel.api import compare


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = many(tmp_path_factory.mktemp("many"))
    hostile = "<img src=x onerror=window.pwned=1>" + "_without_a_space" * 6
    small_run(
        root / "hostile", method=hostile, run={"data": "</script><b>"}, found={"factors": {hostile: {"run": 1.0}}}
    )
    found = compare(root, out=root / "compare.html")
    assert found.page is not None
    return found.page


@pytest.mark.parametrize(("size", "dark"), [(WIDE, False), (WIDE, True), (PHONE, False), (PHONE, True)])
def test_it_fits_and_every_chart_is_drawn(browser: Any, page: Path, size: tuple[int, int], dark: bool) -> None:  # noqa: F811
    show(browser, page, size, dark=dark, finger=size == PHONE)
    assert browser.execute_script(OVERFLOW) == 0
    charts = browser.execute_script(
        """return [...document.querySelectorAll(".plot")].map((plot) => {
            const svg = plot.querySelector("svg.main-svg"), box = plot.getBoundingClientRect();
            return {id: plot.dataset.chart, width: box.width, svg: svg ? svg.clientWidth : 0, right: box.right,
                    marks: plot.querySelectorAll(".scatterlayer path").length}; })"""
    )
    assert {"scores-0", "knn-update-0", "knn-seconds-0", "loss-simclr-0", "measure-effective-rank-0"} <= {
        chart["id"] for chart in charts
    }
    for chart in charts:
        assert 100 < chart["svg"] <= chart["width"] and chart["right"] <= size[0] and chart["marks"] > 0, chart
    inside = browser.execute_script(
        """const plot = document.querySelector('[data-chart="scores-0"]'), box = plot.getBoundingClientRect();
           return [...plot.querySelectorAll(".annotation-text")].map((text) => {
               const own = text.getBoundingClientRect(); return own.left >= box.left && own.right <= box.right; })"""
    )
    assert len(inside) >= 8 and all(inside)
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == dark
    assert browser.execute_script("return window.pwned") is None
    assert browser.get_log("browser") == [] and requested(browser) == [page.as_uri()]


def test_a_heading_sorts_its_own_table_and_controls_stay(browser: Any, page: Path) -> None:  # noqa: F811
    show(browser, page)
    names = "return [...document.querySelectorAll('table.board')[{}].tBodies[0].rows].map((r) => r.cells[0].innerText)"
    before, other = (browser.execute_script(names.format(table)) for table in (0, 1))
    browser.execute_script("document.querySelector('table.board th[data-column=\"0\"] button').click()")
    browser.execute_script("document.querySelector('table.board th[data-column=\"0\"] button').click()")
    after = browser.execute_script(names.format(0))
    assert after[:2] == before[:2] == ["raw pixels", "random weights, resnet18"]
    known = [name for name in before[3:] if name not in ("barlow_twins", "dino")]
    assert after[3 : 3 + len(known)][0] == known[-1] and set(after) == set(before)
    assert after[-2:] == before[-2:]  # of which nothing is known
    assert browser.execute_script(names.format(1)) == other


def test_it_prints_with_everything_open(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    from selenium.webdriver.common.print_page_options import PrintOptions

    for seed in (0, 1):
        small_run(tmp_path / str(seed), seed=seed)
    found = compare(tmp_path, out=tmp_path / "compare.html")
    assert found.page is not None
    show(browser, found.page, dark=True)
    assert len(browser.print_page(PrintOptions())) > 50_000
    assert browser.get_log("browser") == []


def test_its_links_lead_to_the_reports(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    place = small_run(tmp_path / "a run & more")
    (place / "report.html").write_text("<title>the report</title>")
    (tmp_path / "pages").mkdir()
    found = compare(place, out=tmp_path / "pages" / "compare.html")
    assert found.page is not None
    show(browser, found.page)
    browser.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
    browser.execute_script("document.querySelector('table.runs a').click()")
    assert browser.title == "the report"
