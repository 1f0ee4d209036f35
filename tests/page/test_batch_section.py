"""The section on batch sizes of a report, and its charts in a real browser."""

import json
from functools import partial
from pathlib import Path

import pytest
from helpers.command import run_command as run
from helpers.result_files import timing_file, timing_row
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from sfic_bench.reporting.page import sections
from sfic_bench.results.read import read

BATCHES = Path(__file__).parents[1] / "golden" / "batches.json"


def test_one_file_of_batch_sizes_is_one_section() -> None:
    shown = {section.name: section for section in sections([read(BATCHES)])}
    assert "times-1" not in shown and shown["batches-1"].title.startswith("Time over batch size: training step, 64×64")
    every, parts, fits, ends = shown["batches-1"].tables
    assert [row[4] for row in every.rows] == ["2", "2", "4", "4", "8", "8"]
    assert [row[5] for row in parts.rows] == ["forward", "backward", "optimiser", "whole step"] * 6
    assert fits.title == "The largest batch of which one call fits into 0.1 GB"
    assert [row[-1] for row in fits.rows] == ["measured"] * 2
    assert ends.rows == [["mobilenet", "2, 4, 8", "list", "timed at every batch size that was asked for"]]
    images, ms, memory = (draw() for draw in shown["batches-1"].charts.values())
    points = next(iter(images["datasets"].values()))
    assert [(p["batch"], p["row"], p["vanilla"]) for p in points[:3]] == [
        (2, "mobilenet fused", True), (2, "mobilenet α=0.5 β=0.5 fused", False), (4, "mobilenet fused", True)
    ]  # fmt: skip
    assert all(p["images_s_low"] <= p["images_s"] <= p["images_s_high"] for p in points)
    assert points[0]["images_s"] == pytest.approx(2e3 / points[0]["ms"])
    assert len(images["layer"]) == len(ms["layer"]) == 3 and len(memory["layer"]) == 2  # memory has no intervals
    assert "params" not in images  # two lines need no menu


def test_files_that_differ_in_the_batch_size_are_drawn_together(tmp_path: Path) -> None:
    """As those of a sweep; each keeps its own section, and a path is picked from a menu where there are many lines."""
    files = []
    for batch in (1, 4):
        rows = [
            timing_row("net", [batch * k], sfic=sfic, alpha=alpha, path=path, batch_size=batch)
            for k, path in enumerate(("fused", "compiled", "reference"), 1)
            for sfic, alpha in ((False, None), (True, 0.25), (True, 0.5), (True, 0.75))
        ]
        (tmp_path / f"{batch}.json").write_text(json.dumps(timing_file(rows)))
        files.append(read(tmp_path / f"{batch}.json"))
    shown = {section.name: section for section in sections(files)}
    assert {"batches-1", "times-1", "times-2"} <= shown.keys()
    images = next(iter(shown["batches-1"].charts.values()))()
    assert images["params"][0]["bind"]["options"] == ["net, fused", "net, compiled", "net, reference"]
    points = next(iter(images["datasets"].values()))
    assert {round(point["images_s"]) for point in points} == {1000, 500, 333}  # the same at both batch sizes
    assert not [s for s in sections(files[:1]) if s.name.startswith("batches")]


def drawn(figure: WebElement, _browser: webdriver.Chrome) -> bool:
    return bool(figure.find_elements(By.CSS_SELECTOR, "[data-drawn] svg"))


@pytest.mark.parametrize("width", [400, 1200])
def test_curves_are_drawn_and_fit(browser: webdriver.Chrome, tmp_path: Path, width: int) -> None:
    page = tmp_path / "report.html"
    assert run("report", BATCHES, "-o", page)[0] == 0
    browser.get_log("browser")  # type: ignore[no-untyped-call]  # selenium declares no types; reading a log empties it
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get(page.as_uri())
        figures = browser.find_elements(By.CSS_SELECTOR, "#batches-1 figure")
        assert len(figures) == 3
        for figure in figures:
            browser.execute_script("arguments[0].scrollIntoView()", figure)
            WebDriverWait(browser, 20).until(partial(drawn, figure))
            assert len(figure.find_elements(By.CSS_SELECTOR, ".mark-line.role-mark path")) == 2
            assert len(figure.find_elements(By.CSS_SELECTOR, ".mark-symbol.role-mark path")) == 6
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    log = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert [line for line in log if line["level"] == "SEVERE"] == []
