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

pytestmark = browser.NEEDED


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with browser.lab(folder) as url:
        yield url


def test_lab_opens_on_the_first_lesson_and_all_of_it_runs(page: Any, address: str, folder: Path) -> None:
    asked: list[str] = []
    broken: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.goto(address, wait_until="domcontentloaded")
    browser.run_all(page)
    assert "00_start_here.ipynb" in page.title() or page.locator("text=00 · Start here").count()
    outputs = browser.outputs(page)
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


@pytest.mark.timeout(300)
def test_a_chat_in_a_terminal_of_the_lab(page: Any, address: str) -> None:
    """Question, stop in the middle of a reply, question again, and out."""
    browser.open_notebook(page, address, "notebooks/00_start_here.ipynb")
    browser.open_terminal(page)
    browser.type_line(page, "ollama run llama3.2")
    browser.screen(page, ">>> Send a message")
    browser.type_line(page, "Why is the sky blue?")
    browser.screen(page, ".\n\n>>> Send a message")
    browser.type_line(page, "/set parameter num_predict 3000")
    browser.screen(page, "Set parameter 'num_predict' to '3000'")
    browser.type_line(page, "Write a very long story about the sea")
    browser.screen(page, ". ")
    page.keyboard.press("Control+c")
    browser.type_line(page, "/show parameters")
    browser.screen(page, "num_predict")
    browser.type_line(page, "/bye")
    browser.type_line(page, "echo ended $?")
    browser.screen(page, "ended 0")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("lesson", ["02_run_interactively", "05_manage_models", "07_serve_ps_stop"])
def test_a_lesson_of_the_command_runs_in_the_browser(page: Any, address: str, lesson: str) -> None:
    browser.open_notebook(page, address, f"notebooks/{lesson}.ipynb")
    browser.run_all(page)
    outputs = browser.outputs(page)
    assert outputs and not [one["cell"] for one in outputs if one["output_type"] == "error"]


def test_nothing_is_left_when_the_lab_has_ended(tmp_path: Path, page: Any) -> None:
    with browser.lab(tmp_path) as url:
        page.goto(url, wait_until="domcontentloaded")
        browser.run_all(page)
        server = process.announced(tmp_path / "home")
        assert server and process.alive(server.pid)
    assert not process.alive(server.pid)
