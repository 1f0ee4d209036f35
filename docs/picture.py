"""Renew the pictures of reports in the README and the gallery, with Debian's chromium: ``nox -s picture``.

docs/report.png is the top of a report on the detectors; docs/gallery has single sections of reports, light and dark.
"""

import base64
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).parent.parent
GALLERY = ROOT / "docs" / "gallery"
WIDTH, HEIGHT = 1280, 1180
NARROW = 400
"""The width of a phone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A section of a report of some committed results: ``name`` of the file, and ``section`` by its id."""

    name: str
    files: tuple[str, ...]
    section: str
    dark: bool = False
    width: int = WIDTH
    height: int = 900


DETECTORS = tuple(
    f"detectors-{name}"
    for name in ("cost", "cost-299", "cost-sfic", "latency", "latency-sfic", "accuracy", "accuracy-sfic")
)
FACES = tuple(f"accuracy-real-faces-{name}" for name in ("sfic-25", "sfic-50"))

PICTURES = (
    Picture(name="networks", files=DETECTORS, section="networks"),
    Picture(name="costs", files=("counts",), section="costs", dark=True),
    Picture(name="times", files=("latency-resnet50-cpu",), section="times-1"),
    Picture(name="accuracy", files=FACES, section="scores", dark=True),
    Picture(name="deployment", files=("deployment-real-faces",), section="deployment-1"),
    Picture(name="phone", files=DETECTORS, section="networks", width=NARROW, height=900),
)


def main() -> None:
    """Make each report, open it, and photograph a part of the page."""
    with browser(WIDTH, HEIGHT, dark=False) as window:
        open_report(window, DETECTORS)
        wait_for_charts(window, "body")
        window.save_screenshot(str(ROOT / "docs" / "report.png"))
    GALLERY.mkdir(exist_ok=True)
    for picture in PICTURES:
        with browser(picture.width, picture.height, dark=picture.dark) as window:
            open_report(window, picture.files)
            (GALLERY / f"{picture.name}.png").write_bytes(photographed(window, picture))


def photographed(window: webdriver.Chrome, picture: Picture) -> bytes:
    """The section of a report that is open, or as much of it from its top as the picture is high, as PNG."""
    window.execute_script("document.getElementById(arguments[0]).scrollIntoView()", picture.section)
    wait_for_charts(window, f"#{picture.section}")
    window.execute_script("document.querySelector('nav').style.display = 'none'")
    section = window.find_element(By.ID, picture.section).rect
    height = min(section["height"], picture.height)
    clip = {"x": 0, "y": section["y"], "width": picture.width, "height": height, "scale": 1}
    shot = window.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    return base64.b64decode(shot["data"])


@contextmanager
def browser(width: int, height: int, *, dark: bool) -> Iterator[webdriver.Chrome]:
    """A window of chromium of this size."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", f"--window-size={width},{height}"):
        options.add_argument(argument)
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        yield window
    finally:
        window.quit()


def open_report(window: webdriver.Chrome, names: tuple[str, ...]) -> None:
    """Open a report of files in reports/."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        files = [str(ROOT / "reports" / f"{name}.json") for name in names]
        subprocess.run(["sfic-bench", "report", *files, "--output", str(page)], check=True)
        window.get(page.as_uri())


def wait_for_charts(window: webdriver.Chrome, part: str) -> None:
    """Wait until a chart of this part of the page is drawn, if it has any; they are drawn as they come into view."""

    def drawn(driver: webdriver.Chrome) -> bool:
        charts, done = (
            driver.find_elements(By.CSS_SELECTOR, f"{part} {which}") for which in (".chart", "[data-drawn]")
        )
        return bool(done) or not charts

    WebDriverWait(window, 30).until(drawn)


if __name__ == "__main__":
    main()
