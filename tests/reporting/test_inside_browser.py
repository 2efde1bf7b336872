"""The section "Inside" in a real browser, on a phone and on a desk, by day and by night, and on paper."""

from pathlib import Path
from typing import Any

import pytest

from tests.reporting.looks import make_album, make_looked_into
from tests.reporting.test_browser import OVERFLOW, PHONE, WIDE, browser, pytestmark, requested, show  # noqa: F401
from unlabel.reporting import write_report

FIGURES = """
    return [...document.querySelectorAll("#inside figure")].map((figure) => {
        const box = figure.getBoundingClientRect(), pictures = [...figure.querySelectorAll("img")];
        const widths = pictures.map((p) => p.getBoundingClientRect().width);
        return {id: figure.id, left: box.left, right: box.right, pictures: pictures.length,
                loaded: pictures.every((p) => p.complete && p.naturalWidth > 0), least: Math.min(...widths),
                across: new Set(pictures.map((p) => Math.round(p.getBoundingClientRect().left))).size};
    });
"""


@pytest.mark.parametrize("vit", [True, False])
@pytest.mark.parametrize(("size", "dark"), [(WIDE, False), (PHONE, True)])
def test_it_fits_and_is_large_enough_to_see(
    browser: Any,  # noqa: F811
    tmp_path: Path,
    vit: bool,
    size: tuple[int, int],
    dark: bool,
) -> None:
    folder = make_looked_into(tmp_path, vit=vit)
    make_album(folder, "translations", wide=144)
    page = write_report(folder)
    show(browser, page, size, dark=dark)
    figures = {figure["id"]: figure for figure in browser.execute_script(FIGURES)}
    own = "fig-inside-attention" if vit else "fig-inside-heat"
    assert set(figures) == {
        own, "fig-inside-colours", "fig-over-time-reconstructions", "fig-over-time-translations", "fig-prototypes",
    }  # fmt: skip
    for figure in figures.values():
        assert figure["loaded"] and figure["pictures"] >= 16
        assert figure["least"] >= 40, figure
        assert figure["left"] >= 0 and figure["right"] <= size[0], figure
    assert figures["fig-over-time-reconstructions"]["across"] == 10  # a column for each moment, on a phone too
    if vit:
        assert figures[own]["across"] == (8 if size == WIDE else 4)
    assert browser.execute_script(OVERFLOW) == 0
    assert browser.get_log("browser") == []
    assert requested(browser) == [page.as_uri()]


def test_it_prints_within_the_paper(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    from selenium.webdriver.common.print_page_options import PrintOptions

    show(browser, write_report(make_looked_into(tmp_path, vit=True)), dark=True)
    assert len(browser.print_page(PrintOptions())) > 100_000
    browser.execute_script("document.documentElement.classList.add('printing')")
    beyond = """
        const edge = document.body.getBoundingClientRect().right;
        return [...document.querySelectorAll("#inside img")].filter((p) => p.getBoundingClientRect().right > edge).length;
    """
    assert browser.execute_script(beyond) == 0
    assert browser.get_log("browser") == []
