"""`sfic-bench report`, opened in a real browser where there is one."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.command import run_command as run
from helpers.result_files import accuracy, cost, counted, measured, measurement, pytest_benchmark, scored
from hypothesis import given, settings
from hypothesis import strategies as st
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait
from test_compare import mangled

from sfic_bench.errors import SficBenchError
from sfic_bench.report.overview import front
from sfic_bench.report.page import sections, to_markdown
from sfic_bench.results.read import read

REPORTS = Path(__file__).parents[1] / "reports"
EVIL = "<script>window.pwned = 1</script><b>net"


def interval(median: float) -> dict[str, Any]:
    return {"median": median, "ci95": [0.95 * median, 1.05 * median]}


def documents() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    rows = []
    for scale, name in ((1.0, "net"), (3.0, EVIL), (9.0, "third")):
        rows.append(measured(name, scale * rng.lognormal(0, 0.1, 20), sfic=False, macs=int(scale * 10**9)))
        rows.append(
            measured(
                name,
                1.2 * scale * rng.lognormal(0, 0.1, 20),
                macs=int(scale * 5 * 10**8),
                ratio_to_vanilla=interval(1.2),
                fewer_macs_but_slower=True,
            )
        )
    rows.append(measured("net", None, path="cuda-graph", reason="needs a CUDA device"))
    layer = {
        "path": "conv1",
        "kind": "conv",
        "calls": 1,
        "input": [1, 3, 8, 8],
        "output": [1, 4, 8, 8],
        "params": 9,
    }
    layers = [
        layer | {"macs": {"paper": 9, "conv-linear": 9_000_000}},
        layer | {"path": "relu", "macs": {"paper": None}},
    ]
    return {
        "times.json": measurement(rows),
        "costs.json": cost([
            counted("resnet26", layers=layers),
            counted("resnet26", alpha=0.5, beta=1.0, params_over_vanilla={"unexplained": 0}, layers=layers),
        ]),
        "accuracy.json": accuracy([
            scored("resnet26", 0.7),
            scored("resnet26", 0.8, alpha=0.5, beta=1.0, auc_over_vanilla={"value": 0.1, "ci95": [0.02, 0.2]}),
        ]),
        "bench.json": pytest_benchmark({"t::a": [0.01, 0.02, 0.03], "t::b": [0.02] * 3}),
    }  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for name, document in documents().items():
        (folder / name).write_text(json.dumps(document))
    head = documents()["times.json"]
    target = folder / "report.html"
    files = [folder / name for name in documents()]
    assert run("report", *files, "-o", target) == (0, "", f"wrote {target}\n")
    assert head
    return target


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        assert not os.environ.get("CI"), "CI opens the page in chromium: install chromium and chromium-driver"
        pytest.skip("needs Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture
def opened(browser: webdriver.Chrome, page: Path) -> Iterator[webdriver.Chrome]:
    """The page, all charts drawn; at the end, nothing has gone wrong in it and nothing was fetched."""
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(page.as_uri())
    for figure in browser.find_elements(By.TAG_NAME, "figure"):
        browser.execute_script("arguments[0].scrollIntoView()", figure)
        WebDriverWait(browser, 20).until(lambda _, f=figure: f.find_elements(By.CSS_SELECTOR, "[data-drawn] svg"))
    yield browser
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []
    requests = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [r["params"]["request"]["url"] for r in requests if r["method"] == "Network.requestWillBeSent"]
    assert urls and all(url.startswith(("file:", "data:", "blob:")) for url in urls)


def table(browser: webdriver.Chrome, title: str) -> WebElement:
    for found in browser.find_elements(By.CLASS_NAME, "table"):
        if found.find_element(By.TAG_NAME, "h3").text == title:
            return found
    raise AssertionError(title)


def column(found: WebElement, name: str) -> list[str]:
    """Cells of the rows that are shown."""
    heads = [head.text.strip("↕↑↓ ") for head in found.find_elements(By.TAG_NAME, "th")]
    at = heads.index(name)
    rows = [row for row in found.find_elements(By.CSS_SELECTOR, "tbody tr") if row.is_displayed()]
    return [row.find_elements(By.TAG_NAME, "td")[at].text for row in rows]


def test_tables_sort(opened: webdriver.Chrome) -> None:
    found = table(opened, "Every timed path")
    (heading,) = (h for h in found.find_elements(By.TAG_NAME, "th") if h.text.startswith("ms"))
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", heading)
    heading.find_element(By.TAG_NAME, "button").click()
    times = column(found, "ms")
    assert times[-1] == "unavailable" and heading.get_attribute("aria-sort") == "ascending"
    numbers = list(map(float, times[:-1]))
    assert numbers == sorted(numbers)
    heading.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)  # without a mouse
    assert column(found, "ms") == [*reversed(times[:-1]), "unavailable"]
    assert heading.get_attribute("aria-sort") == "descending"


def test_tables_filter(opened: webdriver.Chrome) -> None:
    found = table(opened, "Every timed path")
    found.find_element(By.TAG_NAME, "input").send_keys("THIRD 0.5")
    assert column(found, "network") == ["third"]
    assert found.find_element(By.CLASS_NAME, "count").text == "1 of 7 rows"


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


def test_sections_and_everything_that_is_slower(page: Path) -> None:
    text = page.read_text()
    for heading in (
        "Verdict",
        "Fewer MACs but slower",
        "Measured accuracy",
        "Parameters and MACs",
        "Layers",
        "Where the figures are from",
    ):
        assert f">{heading}</h2>" in text
    assert "pytest-benchmark, Z80" in text and "3 of 3 timed SFIC rows have fewer MACs" in text
    assert "https://" not in text.split('<script type="application/json" id="config">')[0].replace(
        "https://vega.github.io/schema", ""
    )


def test_networks_side_by_side(tmp_path: Path) -> None:
    found = documents() | {
        "times.json": measurement([
            measured("resnet26", [3.0, 4.0, 5.0], sfic=False, path="reference"),
            measured("resnet26", [1.0, 2.0, 3.0], sfic=False, path="compiled"),
            measured("third", [1.0], sfic=False),
        ])
    }  # fmt: skip
    for name, document in found.items():
        (tmp_path / name).write_text(json.dumps(document))
    (section,) = (s for s in sections([read(tmp_path / n) for n in found]) if s.name == "networks")
    (table,) = section.tables  # pytest-benchmark's setting has no network of the others
    assert table.title.endswith("torch 2.13.0; orl hq → orl hq")
    assert [" ".join(filter(None, row)) for row in table.rows] == [
        "resnet26 256×256, 2 classes 0.00 0.00 0.00 compiled 2.0 1.0–3.0 0.0 70.0 60.0–75.0 3",
        "resnet26 0.5 1 256×256, 2 classes 0.00 0.00 0.00 80.0 70.0–85.0 3",
    ]
    assert not [s for s in sections([read(tmp_path / "times.json")]) if s.name == "networks"]


def test_a_whole_grid_is_small_enough(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    status, _, _ = run("report", *sorted(REPORTS.glob("*.json")), "-o", target)
    assert status == 0 and target.stat().st_size < 5_000_000
    text = target.read_text()
    assert "60 of 64" in text or "match to the printed digit" in text


def test_markdown_has_the_verdict_first_and_the_rest_folded(page: Path) -> None:
    folder = page.parent
    status, out, _ = run("report", folder / "times.json", "--format", "markdown")
    assert status == 0 and out.startswith("## Verdict\n")
    assert out.index("fewer MACs but slower") < out.index("<details>")
    assert out.count("<details>") == out.count("</details>") > 2
    assert "<script>" not in out and r"\<script\>" in out
    head = documents()["times.json"]
    for row in head["rows"][:2]:
        row["latency_ms"]["samples"] = [2 * s for s in row["latency_ms"]["samples"]]
    (folder / "head.json").write_text(json.dumps(head))
    target = folder / "report.md"
    status, _, _ = run("report", folder / "head.json", "--base", folder / "times.json", "-o", target)
    out = target.read_text()
    assert status == 0 and "| regressed | against the base | regressed: 2 regressed" in out
    assert out.index("## Verdict") < out.index("## What changed") < out.index("<summary>Fewer MACs")


def test_images(page: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    status, _, err = run("report", page.parent / "times.json", "--format", "markdown", "--image", pictures)
    assert status == 0 and "wrote 8 images" in err
    for name in ("times-1-1", "times-1-4"):
        assert (pictures / f"{name}.svg").read_text().startswith("<svg")
        assert (pictures / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_written_is_said(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times, costs = page.parent / "times.json", page.parent / "costs.json"
    assert run("report", times, "-o", tmp_path / "none" / "x.html")[0] == 2
    status, _, err = run("report", times, costs, "--base", times)
    assert status == 2 and "exactly one FILE" in err
    status, _, err = run("report", costs, "--base", times, "-o", tmp_path / "x.html")
    assert status == 3 and not (tmp_path / "x.html").exists()
    (tmp_path / "bad.json").write_text("{")
    status, _, err = run("report", times, tmp_path / "bad.json", "-o", tmp_path / "x.html")
    assert status == 2 and "bad.json" in err and err.count("\n") == 1
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    status, _, err = run("report", times, "-o", tmp_path / "x.html")
    assert status == 2 and "pip install 'sfic-bench[report]'" in err
    monkeypatch.setitem(sys.modules, "altair", None)
    assert run("report", times, costs, "--format", "markdown")[0] == 0


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12), st.booleans())
def test_nothing_beats_the_front(points: list[tuple[int, int]], highest: bool) -> None:
    frame = pd.DataFrame(points, columns=["x", "y"]).astype(float)
    sign = -1 if highest else 1
    kept = front(frame, "x", "y", highest=highest)
    for i in frame.index:
        beaten = any(
            frame.x[j] <= frame.x[i]
            and sign * frame.y[j] <= sign * frame.y[i]
            and (frame.x[j], frame.y[j]) != (frame.x[i], frame.y[i])
            for j in frame.index
        )
        assert not (kept[i] and beaten)
        # Of equal points, one is enough.
        assert kept[i] or beaten or any(kept[j] and points[j] == points[i] for j in frame.index)


@settings(max_examples=100)
@given(data=st.lists(mangled(), min_size=1, max_size=2))
def test_mangled_files_never_make_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("mangled")
    records = []
    for i, content in enumerate(data):
        (folder / f"{i}.json").write_bytes(content)
        try:
            records.append(read(folder / f"{i}.json"))
        except SficBenchError:
            continue
    if not records:
        return
    parts = sections(records)
    to_markdown(parts).encode()
    for part in parts:
        for make in part.charts.values():
            json.dumps(make(), allow_nan=False)
