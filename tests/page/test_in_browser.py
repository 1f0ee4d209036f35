"""A page of `sfic-bench report`, opened in a real browser where there is one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.report_files import EVIL
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait


@pytest.fixture
def opened(browser: webdriver.Chrome, page: Path) -> Iterator[webdriver.Chrome]:
    """The page with all charts drawn; after the test, no error was logged and nothing fetched."""
    log(browser, "browser"), log(browser, "performance")  # reading a log empties it
    browser.get(page.as_uri())
    for figure in browser.find_elements(By.TAG_NAME, "figure"):
        draw(browser, figure)
    yield browser
    assert [line for line in log(browser, "browser") if line["level"] == "SEVERE"] == []
    requests = [json.loads(entry["message"])["message"] for entry in log(browser, "performance")]
    urls = [r["params"]["request"]["url"] for r in requests if r["method"] == "Network.requestWillBeSent"]
    assert urls and all(url.startswith(("file:", "data:", "blob:")) for url in urls)


def draw(browser: webdriver.Chrome, figure: WebElement) -> None:
    """Scroll a chart into view, and wait until it is drawn."""
    browser.execute_script("arguments[0].scrollIntoView()", figure)
    WebDriverWait(browser, 20).until(lambda _: figure.find_elements(By.CSS_SELECTOR, "[data-drawn] svg"))


def log(browser: webdriver.Chrome, kind: str) -> list[dict[str, str]]:
    """The entries of a log since it was last read."""
    entries: list[dict[str, str]] = browser.get_log(kind)  # type: ignore[no-untyped-call]  # selenium declares no types
    return entries


def table(browser: webdriver.Chrome, title: str) -> WebElement:
    for element in browser.find_elements(By.CLASS_NAME, "table"):
        if element.find_element(By.TAG_NAME, "h3").text == title:
            return element
    raise AssertionError(title)


def column(element: WebElement, name: str) -> list[str]:
    """The cells of a table's column in the rows that are shown."""
    heads = [head.text.strip("↕↑↓ ") for head in element.find_elements(By.TAG_NAME, "th")]
    at = heads.index(name)
    rows = [row for row in element.find_elements(By.CSS_SELECTOR, "tbody tr") if row.is_displayed()]
    return [row.find_elements(By.TAG_NAME, "td")[at].text for row in rows]


def test_tables_sort(opened: webdriver.Chrome) -> None:
    timings = table(opened, "Every timed path")
    (heading,) = (h for h in timings.find_elements(By.TAG_NAME, "th") if h.text.startswith("ms"))
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", heading)
    heading.find_element(By.TAG_NAME, "button").click()
    times = column(timings, "ms")
    assert times[-1] == "unavailable" and heading.get_attribute("aria-sort") == "ascending"
    numbers = list(map(float, times[:-1]))
    assert numbers == sorted(numbers)
    heading.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)  # without a mouse
    assert column(timings, "ms") == [*reversed(times[:-1]), "unavailable"]
    assert heading.get_attribute("aria-sort") == "descending"


def test_tables_filter(opened: webdriver.Chrome) -> None:
    timings = table(opened, "Every timed path")
    timings.find_element(By.TAG_NAME, "input").send_keys("THIRD 1.20")
    assert column(timings, "network") == ["third"]
    assert timings.find_element(By.CLASS_NAME, "count").text == "1 of 7 rows"


def tooltip(browser: webdriver.Chrome) -> str:
    shown = WebDriverWait(browser, 5).until(lambda b: b.find_elements(By.CSS_SELECTOR, "#vg-tooltip-element.visible"))
    return str(shown[0].text)


def test_hovering_shows_the_row(opened: webdriver.Chrome) -> None:
    chart = opened.find_element(By.CSS_SELECTOR, "#times-1 .chart")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    mark = chart.find_elements(By.CSS_SELECTOR, ".mark-symbol.role-mark path")[0]
    ActionChains(opened).move_to_element(mark).perform()
    text = tooltip(opened)
    assert "net fused" in text and "95% interval" in text


def test_arrow_keys_show_the_row_too(opened: webdriver.Chrome) -> None:
    chart = opened.find_element(By.CSS_SELECTOR, "#times-1 .chart")
    chart.send_keys(Keys.ARROW_RIGHT)
    first = tooltip(opened)
    chart.send_keys(Keys.ARROW_RIGHT)
    assert tooltip(opened) != first
    said = opened.find_element(By.ID, "said").get_attribute("textContent")
    assert said and "95% interval" in said
    chart.send_keys(Keys.ESCAPE)
    assert not opened.find_elements(By.CSS_SELECTOR, "#vg-tooltip-element.visible")


def test_light_and_dark(opened: webdriver.Chrome) -> None:
    def colours() -> tuple[str, str]:
        label = opened.find_element(By.CSS_SELECTOR, "#times-1 .role-axis-label text")
        return opened.find_element(By.TAG_NAME, "body").value_of_css_property("background-color"), str(
            label.value_of_css_property("fill")
        )

    before = colours()
    opened.find_element(By.ID, "theme").click()
    WebDriverWait(opened, 5).until(lambda _: colours()[0] != before[0] and colours()[1] != before[1])
    opened.find_element(By.ID, "theme").click()


def test_names_from_files_stay_text(opened: webdriver.Chrome) -> None:
    assert opened.execute_script("return window.pwned") is None
    assert EVIL in column(table(opened, "Every timed path"), "network")
    legend = opened.find_elements(By.CSS_SELECTOR, "#times-1 .role-legend-label text")
    assert any("<script>" in text.text for text in legend)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out(opened: webdriver.Chrome, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
