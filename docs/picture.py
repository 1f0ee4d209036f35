"""Renew docs/report.png, the README's picture of a report, with Debian's chromium: ``nox -s picture``."""

import subprocess
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).parent.parent
FILES = ("cost", "cost-299", "cost-sfic", "latency", "latency-sfic", "accuracy", "accuracy-sfic")
WIDTH, HEIGHT = 1280, 1180


def main() -> None:
    """Make the report, open it, wait until its charts are drawn, and photograph the top of the page."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"):
        options.add_argument(argument)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        files = [str(ROOT / "reports" / f"detectors-{name}.json") for name in FILES]
        subprocess.run(["sfic-bench", "report", *files, "--output", str(page)], check=True)
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        try:
            browser.get(page.as_uri())
            WebDriverWait(browser, 30).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "[data-drawn]"))
            browser.save_screenshot(str(ROOT / "docs" / "report.png"))
        finally:
            browser.quit()


if __name__ == "__main__":
    main()
