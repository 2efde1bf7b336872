"""The page in a real browser: it draws, it answers to the pointer, it fits, it asks the network for nothing."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reporting.synthetic import make_run
from tests.reporting.test_page import hostile_run
from unlabel.reporting import write_report

selenium = pytest.importorskip("selenium")
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromedriver on the path")

WIDE, PHONE = (1280, 900), (390, 844)
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Scrolling tells the page so in a later frame, and the page then hides what it shows beside the pointer: wait for it.
POINT = """
    const plot = document.getElementById("map-plot"), [number, answer] = arguments;
    plot.scrollIntoView({block: "center", behavior: "instant"});
    requestAnimationFrame(() => requestAnimationFrame(() => {
        const box = plot.querySelectorAll(".scatterlayer .point")[number].getBoundingClientRect();
        answer([box.x + box.width / 2, box.y + box.height / 2]);
    }));
"""
TIP = """
    const tip = document.getElementById("tip"), canvas = tip.querySelector("canvas"), box = tip.getBoundingClientRect();
    const pixels = tip.hidden ? [] : canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return {hidden: tip.hidden, text: tip.textContent, colours: new Set(pixels).size,
            inside: box.left >= 0 && box.right <= innerWidth && box.top >= 0 && box.bottom <= innerHeight};
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for flag in (
        "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def show(
    browser: Any,
    path: Path,
    size: tuple[int, int] = WIDE,
    *,
    dark: bool = False,
    finger: bool = False,
    charts: bool = True,
) -> None:
    """Opens a page and waits until it has drawn everything. charts: it says when that is so."""
    measures = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": finger}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", measures)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": finger})
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": [scheme]})
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(path.as_uri())
    if charts:
        wait(browser, "return document.documentElement.dataset.ready === 'yes'")


def wait(browser: Any, question: str) -> None:
    """Until the answer of a script is yes, at most a quarter of a minute."""
    for _ in range(150):
        if browser.execute_script(question):
            return
        time.sleep(0.1)
    pytest.fail(f"never true: {question}")


def requested(browser: Any) -> list[str]:
    """Addresses that were asked for since the page was opened, other than data inside it and the browser's own."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("data:", "blob:", "chrome:"))]


@pytest.mark.parametrize(("size", "dark"), [(WIDE, False), (WIDE, True), (PHONE, False), (PHONE, True)])
def test_every_figure_is_drawn_without_error_request_or_overflow(
    browser: Any, finished: Path, size: tuple[int, int], dark: bool
) -> None:
    page = finished / "report.html"
    show(browser, page, size, dark=dark)
    figures = browser.execute_script(
        """return [...document.querySelectorAll("[id^=fig-]")].map((figure) => {
            const box = figure.getBoundingClientRect();
            const pictures = [...figure.querySelectorAll("img")];
            const plots = [...figure.querySelectorAll(".plot")];
            return {id: figure.id, width: box.width, height: box.height, pictures: pictures.length, plots: plots.length,
                    tables: figure.querySelectorAll("table").length,
                    loaded: pictures.every((p) => p.complete && p.naturalWidth > 0),
                    drawn: plots.every((p) => p.querySelector("svg.main-svg") && p.clientWidth > 100
                                           && p.querySelector("svg.main-svg").clientWidth <= p.clientWidth)};
        })"""
    )
    assert len(figures) >= 22
    for figure in figures:
        assert figure["width"] > 150, figure
        assert figure["height"] > 100, figure
        assert figure["plots"] + figure["pictures"] + figure["tables"] > 0, figure
        assert figure["drawn"], figure
        assert figure["loaded"], figure
    assert browser.execute_script(OVERFLOW) == 0
    assert browser.get_log("browser") == []
    assert requested(browser) == [page.as_uri()]


def test_pointing_at_a_map_point_shows_its_image_and_a_click_its_neighbours(browser: Any, finished: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    show(browser, finished / "report.html")
    assert browser.execute_script(TIP)["hidden"]
    x, y = browser.execute_async_script(POINT, 17)
    actions = ActionChains(browser)
    actions.w3c_actions.pointer_action.move_to_location(round(x), round(y))
    actions.perform()
    wait(browser, "return !document.getElementById('tip').hidden")
    tip = browser.execute_script(TIP)
    assert tip["colours"] > 3  # a picture, not a blank
    assert tip["inside"]
    assert tip["text"].endswith(".png")
    name = tip["text"].split(" · ")[1]
    ActionChains(browser).click().perform()
    wait(browser, f"return document.querySelector('#map-picked p').textContent.endsWith('{name}')")
    assert browser.execute_script("return document.querySelectorAll('#map-picked canvas').length") == 9
    actions = ActionChains(browser)
    actions.w3c_actions.pointer_action.move_to_location(2, 450)
    actions.perform()
    wait(browser, "return document.getElementById('tip').hidden")


def test_a_finger_does_the_same_on_a_phone(browser: Any, finished: Path) -> None:
    show(browser, finished / "report.html", PHONE, finger=True)
    x, y = browser.execute_async_script(POINT, 17)
    for kind, points in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    wait(browser, "return !document.getElementById('tip').hidden")
    tip = browser.execute_script(TIP)
    assert tip["colours"] > 3
    assert tip["inside"]
    assert browser.execute_script(OVERFLOW) == 0


def test_a_class_can_be_singled_out(browser: Any, finished: Path) -> None:
    show(browser, finished / "report.html")
    faint = "return document.getElementById('map-plot').data[0].marker.opacity.filter((o) => o < 0.5).length"
    assert browser.execute_script(faint) == 0
    browser.execute_script("document.querySelectorAll('#map-kinds button')[2].click()")
    assert 60 < browser.execute_script(faint) < 120
    browser.execute_script("document.querySelectorAll('#map-kinds button')[2].click()")
    assert browser.execute_script(faint) == 0


def test_charts_follow_the_width_and_the_scheme(browser: Any, finished: Path) -> None:
    show(browser, finished / "report.html")
    ink = "return getComputedStyle(document.querySelector('#fig-accuracy .xtick text')).fill"
    light = browser.execute_script(ink)
    scheme = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": scheme})
    wait(browser, f"{ink} !== '{light}'")
    narrow = {"width": 420, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    wait(browser, "return [...document.querySelectorAll('svg.main-svg')].every((s) => s.clientWidth < 420)")
    assert browser.execute_script(OVERFLOW) == 0


def test_it_prints(browser: Any, finished: Path) -> None:
    from selenium.webdriver.common.print_page_options import PrintOptions

    show(browser, finished / "report.html", dark=True)
    assert len(browser.print_page(PrintOptions())) > 100_000
    wait(browser, "return !document.documentElement.classList.contains('printing')")
    assert browser.execute_script("return document.querySelectorAll('details[open]').length") == 1  # as before
    assert browser.get_log("browser") == []


SCALES = """
    return document.querySelector("[data-chart=confusion]").data.map((trace) => trace.colorscale[1][1]);
"""
CELLS = """
    return [...document.querySelectorAll("#fig-confusion .heatmaplayer text, #fig-confusion .heatmap-label")].length;
"""


@pytest.mark.parametrize("dark", [False, True])
def test_colours_of_charts_are_those_of_the_scheme(browser: Any, finished: Path, dark: bool) -> None:
    show(browser, finished / "report.html", PHONE, dark=dark)
    assert browser.execute_script(SCALES) == (["#80a6ff", "#ff8f86"] if dark else ["#2f5fd0", "#b3261e"])
    assert browser.execute_script(CELLS) > 10  # numbers are written
    dashes = "return document.querySelector('[data-chart=spectra]').data.map((trace) => trace.line.dash)"
    assert browser.execute_script(dashes) == ["dash", *["solid"] * 12]


def test_a_table_beside_a_chart_fits_on_a_phone(browser: Any, finished: Path) -> None:
    show(browser, finished / "report.html", PHONE)
    wide = """return [...document.querySelectorAll("#fig-confused .wide, #fig-accuracy .wide")]
        .map((box) => box.scrollWidth - box.clientWidth)"""
    assert browser.execute_script(wide) == [0, 0]


CUT = """
    dispatchEvent(new Event("beforeprint"));
    const cut = [...document.querySelectorAll(".plot")].filter((plot) => {
        const svg = plot.querySelector("svg.main-svg");
        return svg.clientHeight > plot.clientHeight + 1 || svg.clientWidth > plot.clientWidth + 1;
    }).map((plot) => plot.closest("figure").id);
    const open = [...document.querySelectorAll("#fig-curves details[open]")].length;
    dispatchEvent(new Event("afterprint"));
    return [cut, open];
"""


def test_no_chart_is_cut_on_paper_and_tables_of_readings_stay_folded(browser: Any, finished: Path) -> None:
    show(browser, finished / "report.html")
    assert browser.execute_script(CUT) == [[], 0]


def test_nothing_offers_to_upload_a_chart(browser: Any, finished: Path) -> None:
    show(browser, finished / "report.html")
    contexts = browser.execute_script("return [...document.querySelectorAll('.plot')].map((p) => p._context)")
    assert {(c["showSendToCloud"], c["plotlyServerURL"], c["displaylogo"]) for c in contexts} == {(False, "", False)}


def test_hostile_names_do_nothing(browser: Any, tmp_path: Path) -> None:
    page = write_report(hostile_run(tmp_path))
    show(browser, page, PHONE)
    assert browser.execute_script("return window.pwned") is None
    assert browser.execute_script("return document.querySelectorAll('img[src=x], [onerror], [onload]').length") == 0
    assert browser.execute_script(OVERFLOW) == 0
    x, y = browser.execute_async_script(POINT, 1)
    browser.execute_script(
        """for (const kind of ["mousemove", "mousedown", "mouseup", "click"])
            document.querySelector("#map-plot .nsewdrag").dispatchEvent(
                new MouseEvent(kind, {clientX: arguments[0], clientY: arguments[1], bubbles: true}))""",
        x, y,
    )  # fmt: skip
    assert browser.execute_script("return window.pwned") is None
    assert browser.get_log("browser") == []  # the policy had nothing to block either
    assert requested(browser) == [page.as_uri()]


def test_many_classes_get_a_list_to_choose_from(browser: Any, tmp_path: Path) -> None:
    page = write_report(make_run(tmp_path, queries=200, updates=20, classes=[f"class number {i}" for i in range(120)]))
    show(browser, page, PHONE)
    assert browser.execute_script("return document.querySelectorAll('#map-kinds option').length") > 60
    assert browser.execute_script(OVERFLOW) == 0
    assert browser.get_log("browser") == []


def test_a_run_of_which_nothing_is_known(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    show(browser, write_report(tmp_path), PHONE)
    assert browser.execute_script(OVERFLOW) == 0
    assert browser.get_log("browser") == []
