"""A page of results and a browser to open it."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.command import run_command as run
from helpers.report_files import documents
from selenium import webdriver


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of `documents`, which lie in the same folder."""
    folder = tmp_path_factory.mktemp("page")
    for name, document in documents().items():
        (folder / name).write_text(json.dumps(document))
    target = folder / "report.html"
    files = [folder / name for name in documents()]
    assert run("report", *files, "-o", target) == (0, "", f"wrote {target}\n")
    return target


@pytest.fixture(scope="session")
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
