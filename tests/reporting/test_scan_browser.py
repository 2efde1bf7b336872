"""The page of a scan in a real browser: it fits phone and desktop, light and dark, and asks the network for nothing."""

from pathlib import Path
from typing import Any

import pytest

from tests.reporting.test_browser import OVERFLOW, PHONE, WIDE, browser, pytestmark, requested  # noqa: F401
from tests.reporting.test_scan_page import ADVICE, messy
from unlabel.data.scan import scan
from unlabel.reporting.scan_page import write_scan


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = messy(tmp_path_factory.mktemp("messy") / ("a long name without a space " * 3).replace(" ", "_"))
    return write_scan(root.parent / "scan.html", scan(root), ADVICE)


@pytest.mark.parametrize(("size", "dark"), [(WIDE, False), (WIDE, True), (PHONE, False), (PHONE, True)])
def test_it_fits_and_is_drawn(browser: Any, page: Path, size: tuple[int, int], dark: bool) -> None:  # noqa: F811
    measures = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", measures)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": scheme})
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(page.as_uri())
    assert browser.execute_script(OVERFLOW) == 0
    shown = browser.execute_script(
        """return [...document.querySelectorAll("img")].map((image) => {
            const box = image.getBoundingClientRect();
            return image.complete && image.naturalWidth > 0 && box.width > 40 && box.right <= innerWidth; })"""
    )
    assert len(shown) > 20 and all(shown)
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == dark
    assert browser.execute_script("return window.pwned") is None
    assert browser.get_log("browser") == [] and requested(browser) == [page.as_uri()]
