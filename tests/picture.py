"""Take the pictures in docs: the first lesson after Run All, and the playground after a streamed reply.

python -m tests.picture [lesson | playground]        writes docs/lesson.png, docs/playground-{light,dark}.png
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests import browser

DOCS = Path(__file__).resolve().parents[1] / "docs"
HIDE_FILES = "() => window.jupyterapp.commands.execute('application:toggle-left-area')"
SCROLL = "() => document.querySelector('.jp-WindowedPanel-outer').scrollTo({top: 560, behavior: 'instant'})"
THEME = "name => window.jupyterapp.commands.execute('apputils:change-theme', { theme: name })"
FULL = "() => document.querySelector('.playground').scrollIntoView({ block: 'start', behavior: 'instant' })"
CELLS = [
    'from helpers import lesson\nhere = lesson("20_playground")',
    'from helpers.widgets import Playground\nplay = Playground("Logprobs")\nplay',
]
STREAMED = """import json
play.text = json.dumps({
    "model": here.models["sampling"],
    "messages": [{"role": "user", "content": "Tell me a fun fact about the sea"}],
    "temperature": 0, "logprobs": True, "top_logprobs": 3, "stream": True,
}, indent=2)
_ = await play.send()"""


def main(wanted: list[str]) -> None:
    os.environ.update(COURSE_LANE="practice", COURSE_FROZEN="1")
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=browser.executable(), args=browser.ARGUMENTS)
        for picture, take in PICTURES.items():
            if picture in wanted or not wanted:
                take(chromium.new_page(), Path(name))
        chromium.close()


def lesson(page: Page, folder: Path) -> None:
    page.set_viewport_size({"width": 1180, "height": 1000})
    with browser.lab(folder) as url:
        page.goto(url, wait_until="domcontentloaded")
        browser.run_all(page)
        page.evaluate(HIDE_FILES)
        page.evaluate(SCROLL)
        page.wait_for_function(browser.IDLE)
        save(page, "lesson.png")


def playground(page: Page, folder: Path) -> None:
    page.set_viewport_size({"width": 1280, "height": 1400})
    os.environ.pop("COURSE_FROZEN", None)  # the frames come at a model's pace
    root = folder / "root"
    root.mkdir()
    with browser.lab(folder, f"--ServerApp.root_dir={root}") as url:
        browser.scratch(page, url, root, [*CELLS, STREAMED])
        page.evaluate(HIDE_FILES)
        browser.run_all(page)
        expect(page.locator(".playground")).to_contain_text("Kept among the runs")
        for theme in ("Light", "Dark"):
            page.evaluate(THEME, f"JupyterLab {theme}")
            page.evaluate(FULL)
            page.wait_for_function(browser.IDLE)
            save(page, f"playground-{theme.lower()}.png")


def save(page: Page, name: str) -> None:
    DOCS.mkdir(exist_ok=True)
    page.wait_for_timeout(500)  # a theme's style sheets
    page.screenshot(path=DOCS / name, animations="disabled")
    print(f"{name}: {(DOCS / name).stat().st_size // 1000} kB")


PICTURES = {"lesson": lesson, "playground": playground}

if __name__ == "__main__":
    main(sys.argv[1:])
