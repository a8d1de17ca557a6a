"""In a real browser: sign in on the practice server's page, run a cloud model, sign out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests import browser
from tests.served import Served, served

pytestmark = browser.NEEDED

CLOUD = {
    "model": "gpt-oss:20b-cloud",
    "messages": [{"role": "user", "content": "Say hi."}],
    "stream": False,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("signin") / "home", "--models", "all") as one:
        yield one


def ollama(server: Served, *words: str) -> str:
    """What the practice command prints for these words."""
    command = [sys.executable, "-m", "helpers.practice.command", *words]
    environ = {"OLLAMA_HOST": server.url, "PATH": "", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def chat(server: Served) -> httpx.Response:
    return httpx.post(f"{server.url}/api/chat", json=CLOUD, trust_env=False)


def test_sign_in_run_a_cloud_model_and_sign_out(page: Any, server: Served) -> None:
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    assert chat(server).status_code == 401

    said = ollama(server, "signin")
    link = said.split("navigate to:\n")[1].split()[0]
    page.goto(link)
    assert page.get_by_role("heading", name="Sign in").is_visible()
    assert browser.accessibility(page, "html") == []

    # with the keyboard alone: the field has the focus, Enter sends the form
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("Ada <b>&")
    page.keyboard.press("Enter")
    page.get_by_role("status").wait_for()
    assert "You are signed in as Ada <b>&." in page.get_by_role("status").inner_text()
    assert browser.accessibility(page, "html") == []
    assert ollama(server, "signin") == "You are already signed in as user 'Ada <b>&'\n\n"
    answer = chat(server)
    assert answer.status_code == 200 and answer.json()["message"]["content"]

    page.goto(link)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Signed out").wait_for()
    assert browser.accessibility(page, "html") == []
    assert chat(server).status_code == 401
    assert ollama(server, "signout") == "You are not signed in to ollama.com\n\n"

    page.goto(f"{server.url}/practice/signin?key=of-another-server")
    assert "another server" in page.get_by_role("heading").inner_text()
    assert {urlsplit(url).hostname for url in asked} == {"127.0.0.1"}
    assert [text for text in wrong if "400" not in text and "favicon" not in text and "404" not in text] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_colours_of_the_system(page: Any, server: Served, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 320, "height": 640})  # as at 400 % on a wide screen
    page.goto(ollama(server, "signin").split("navigate to:\n")[1].split()[0])
    colour = page.evaluate("() => getComputedStyle(document.body).color.match(/[0-9]+/g).map(Number)")
    assert (sum(colour[:3]) > 382) == (scheme == "dark"), colour
    assert browser.accessibility(page, "html") == []
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
