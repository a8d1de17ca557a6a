"""In a real browser: `lab` opens on the first lesson, all of it runs, and nothing leaves the machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from helpers.practice import process
from tests import browser

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(
    browser.executable() is None, reason=f"no browser on this machine ({', '.join(browser.BROWSERS)})"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with browser.lab(folder) as url:
        yield url


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_type_launch_args, "executable_path": browser.executable(), "args": browser.ARGUMENTS}


def test_lab_opens_on_the_first_lesson_and_all_of_it_runs(page: Any, address: str, folder: Path) -> None:
    asked: list[str] = []
    broken: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.goto(address, wait_until="domcontentloaded")
    browser.run_all(page)
    assert "00_start_here.ipynb" in page.title() or page.locator("text=00 · Start here").count()
    cells = page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells"
    )
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert len(outputs) >= 5
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert "practice server" in json.dumps(outputs)
    server = process.announced(folder / "home")
    assert server
    entries = httpx.get(f"{server.url}/practice/journal", trust_env=False).json()["entries"]
    assert "/openai/v1/chat/completions" in [entry["path"] for entry in entries]
    assert not broken
    hosts = {urlsplit(url).hostname for url in asked if url.startswith(("http", "ws"))}
    assert hosts <= {"localhost", "127.0.0.1"}, hosts


def test_nothing_is_left_when_the_lab_has_ended(tmp_path: Path, page: Any) -> None:
    with browser.lab(tmp_path) as url:
        page.goto(url, wait_until="domcontentloaded")
        browser.run_all(page)
        server = process.announced(tmp_path / "home")
        assert server and process.alive(server.pid)
    assert not process.alive(server.pid)
