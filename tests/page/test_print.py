"""A page of `sfic-bench report`, printed on A4 portrait by a real browser where there is one."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.command import run_command as run
from selenium import webdriver
from selenium.webdriver.common.print_page_options import PrintOptions

A4_WIDTH = round((210 - 2 * 10) / 25.4 * 96)
"""CSS pixels between the margins that page.css sets."""

NOTHING_COMES_INTO_VIEW = "window.IntersectionObserver = class { observe() {} unobserve() {} };"
COUNT_UNDRAWN = """
window.undrawn = null;
addEventListener("beforeprint", () => {
  window.undrawn = [...document.querySelectorAll("figure")].filter((figure) => !figure.querySelector("svg")).length;
});
"""
TOO_WIDE = """
return [...document.querySelectorAll("table, td, th, figure, .chart, svg.marks")]
  .filter((part) => part.getBoundingClientRect().right > arguments[0] + 1 || part.scrollWidth > part.clientWidth + 1)
  .map((part) => `${part.tagName} ${part.closest("section").id}: ${part.textContent.slice(0, 40)}`);
"""


@pytest.fixture(scope="module")
def grid_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of the committed results, whose tables have more columns and rows than any other."""
    target = tmp_path_factory.mktemp("grid") / "report.html"
    files = sorted((Path(__file__).parents[2] / "reports").glob("*.json"))
    assert run("report", *files, "-o", target)[0] == 0
    return target


def test_a_page_of_all_committed_results_is_small_enough(grid_page: Path) -> None:
    assert grid_page.stat().st_size < 5_000_000
    text = grid_page.read_text(encoding="utf-8")
    assert "60 of 64" in text or "match to the printed digit" in text


@pytest.fixture
def on_paper(browser: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """A browser that lays pages out as it does for A4 paper."""
    size = {"width": A4_WIDTH, "height": 1045, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    yield browser
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_every_chart_is_drawn_before_printing(browser: webdriver.Chrome, page: Path) -> None:
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NOTHING_COMES_INTO_VIEW})
    try:
        browser.get(page.as_uri())
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    browser.execute_script(COUNT_UNDRAWN)
    assert browser.execute_script("return document.querySelectorAll('figure svg').length") == 0
    options = PrintOptions()
    options.page_width, options.page_height = 21.0, 29.7
    assert base64.b64decode(browser.print_page(options)).startswith(b"%PDF")
    assert browser.execute_script("return window.undrawn") == 0
    assert browser.execute_script("return document.querySelectorAll('.chart[style*=width]').length") == 0


@pytest.mark.parametrize("name", ["page", "grid_page"])
def test_nothing_is_cut_off_on_a4(on_paper: webdriver.Chrome, name: str, request: pytest.FixtureRequest) -> None:
    on_paper.get(request.getfixturevalue(name).as_uri())
    on_paper.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert on_paper.execute_script(TOO_WIDE, A4_WIDTH) == []
    assert on_paper.execute_script("return document.documentElement.scrollWidth") <= A4_WIDTH


def test_paper_is_light_and_has_no_controls(on_paper: webdriver.Chrome, page: Path) -> None:
    on_paper.get(page.as_uri())
    on_paper.execute_script("document.documentElement.dataset.theme = 'dark'; dispatchEvent(new Event('beforeprint'))")
    style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    assert on_paper.execute_script(style, "body", "backgroundColor") == "rgb(255, 255, 255)"
    assert on_paper.execute_script(style, "#times-1 .role-axis-label text", "fill") == "rgb(27, 31, 36)"
    assert on_paper.execute_script(style, "#times-1 .mark-symbol.role-mark path", "fill") == "rgb(0, 114, 178)"
    assert on_paper.execute_script(style, ".scroll", "overflowY") == "visible"
    assert on_paper.execute_script(style, "thead", "display") == "table-header-group"
    assert on_paper.execute_script(style, "thead", "breakInside") == "avoid"  # else Chromium does not repeat it
    for control in ("#theme", "nav", ".bar label", "th button"):
        assert on_paper.execute_script(style, control, "display") == "none"
