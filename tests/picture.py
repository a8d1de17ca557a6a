"""Take the README's picture: the first lesson in JupyterLab after Run All, in a real browser.

python -m tests.picture        writes docs/lesson.png
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests import browser

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "lesson.png"
HIDE_FILES = "() => window.jupyterapp.commands.execute('application:toggle-left-area')"
SCROLL = "() => document.querySelector('.jp-WindowedPanel-outer').scrollTo({top: 560, behavior: 'instant'})"


def main() -> None:
    os.environ.update(COURSE_LANE="practice", COURSE_FROZEN="1")
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        browser.lab(Path(folder)) as url,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=browser.executable(), args=browser.ARGUMENTS)
        page = chromium.new_page(viewport={"width": 1180, "height": 1000})
        page.goto(url, wait_until="domcontentloaded")
        browser.run_all(page)
        page.evaluate(HIDE_FILES)
        page.evaluate(SCROLL)
        page.wait_for_function(browser.IDLE)
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE, animations="disabled")
        chromium.close()
    print(f"{PICTURE.name}: {PICTURE.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
