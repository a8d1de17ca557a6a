"""A hostile reply in a real browser, in every place that shows one: nothing runs, nothing loads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from tests import browser, hostile

pytestmark = browser.NEEDED

SET_UP = """import json, os, sys
from IPython.display import HTML, JSON
os.environ.pop("COURSE_FROZEN", None)
os.environ.update(COURSE_HOME={home!r}, OPENAI_BASE_URL={url!r}, OPENAI_API_KEY="none", OLLAMA_HOST={url!r})
from helpers import exercises, presets, send, stream, terminal
from helpers.errors import CourseError
from helpers.exercises import grading, progress
from helpers.widgets import *
from helpers.widgets import markdown, runs
bait = {bait!r}
messages = [{{"role": "user", "content": bait}}]
payload = {{"model": "m", "messages": messages, bait: bait}}
whole = send(payload)
streamed = await (await stream({{**payload, "stream": True}})).read()
refused = send({{**payload, "model": "refused"}})
run = runs.keep(whole)
runs.note(run, bait)
"""
VIEW = "view = WireView({0})\nview.children[-1].selected_index = {1}\nview"
LAST = "raise CourseError(bait)"  # it ends the run
SINKS = {  # name: a cell whose output shows the hostile text
    "whole reply": "whole",
    "stream": "streamed",
    "error": "refused",
    "time line": "streamed.timeline()",
    "text of a reply": "print(whole.text)",
    "frames": "streamed.frames",
    "curl": "print(whole.curl())",
    "view: message": "WireView(whole)",
    "view: stream and its frames": "WireView(streamed)",
    "view: error": "WireView(refused)",
    "view: request": VIEW.format("whole", 0),
    "view: the same elsewhere": VIEW.format("whole", 1),
    "view: reply as a tree": VIEW.format("whole", 2),
    "view: tokens": VIEW.format("streamed", 3),
    "Markdown": "HTML(markdown.html(bait))",
    "Difference": "Difference(bait, bait + '2', left_label=bait, right_label=bait)",
    "PayloadEditor": "PayloadEditor(value=json.dumps(payload), label=bait)",
    "what the editor objects to": "editor = PayloadEditor(value='{}')\n"
    "editor.diagnostics = [dict(start=0, end=2, severity='error', message=bait)]\neditor",
    "PayloadForm": "PayloadForm(json.dumps(payload))",
    "Compare": "compare = Compare(payload, ['m', {'model': bait}])\nawait compare.run()",
    "RunsView": "view = RunsView()\nview.choose(run)\nview",
    "ModelManager": "manager = ModelManager()\nawait manager.refresh()\nawait manager.show(bait)\nmanager",
    "Playground and its presets": "presets.save('pelican', json.dumps(payload), '/chat/completions')\n"
    "Playground('pelican')",
    "a graded exercise": "grading.Graded(bait, bait, (grading.Point(False, bait, bait),), True)",
    "a hint": "grading.Told(bait, bait)",
    "progress": "progress.report({bait: [bait]})",
    "a command's output": "terminal.run([sys.executable, '-c', 'import sys; print(sys.argv[1])', bait])",
    "JSON": "JSON(whole.reply.json, expanded=True)",
    "an error of the course": LAST,
}
LOADED = [  # elements that a text must never become
    *("iframe", "form", "script", "link", "image", "[data-commandlinker-command]", "[onload]", "[onerror]"),
    *("img[src^=http]", "a[href^='javascript:']", "[style*='url(']"),
]
BECAME = """css => [...document.querySelectorAll('.jp-OutputArea-output')].flatMap(
  output => [...output.querySelectorAll(css)].map(one => one.outerHTML.slice(0, 120)))"""
TEXTS = """() => window.jupyterapp.shell.currentWidget.content.widgets.map(cell => {
  const outputs = [...cell.node.querySelectorAll('.jp-OutputArea-output')];
  const typed = [...cell.node.querySelectorAll('.jp-OutputArea-output :is(input, textarea)')];
  return [...outputs.map(one => one.textContent), ...typed.map(one => one.value)].join(' ');
})"""


@pytest.fixture(scope="module")
def lured() -> list[str]:
    return []


@pytest.fixture(scope="module")
def bait(lured: list[str]) -> Iterator[str]:
    with hostile.canary(lured) as url:
        yield hostile.text(url)


@pytest.fixture(scope="module")
def url(bait: str) -> Iterator[str]:
    with hostile.server(bait) as one:
        yield one


@pytest.fixture(scope="module")
def open_lab(scratch_folder: Path) -> Iterator[str]:
    """The address of a lab without the policy that would keep a hostile text from acting."""
    root = f"--ServerApp.root_dir={scratch_folder}"
    with browser.lab(scratch_folder / "open", root, "--ServerApp.tornado_settings={}") as address:
        yield address


@pytest.fixture
def set_up(url: str, bait: str, tmp_path: Path) -> str:
    return SET_UP.format(home=str(tmp_path), url=url, bait=bait)


def bites(page: Page, lured: list[str]) -> list[str]:
    """What a hostile text did to the page: ran, loaded, or became."""
    ran = [f"ran: {frame.evaluate('window.bitten')}" for frame in page.frames]
    became = page.evaluate(BECAME, ", ".join(LOADED))
    return [one for one in ran if one != "ran: None"] + [f"loaded: {one}" for one in lured] + became


def test_a_hostile_reply_is_text_in_every_place(
    page: Page, open_lab: str, scratch_folder: Path, set_up: str, lured: list[str]
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    lured.clear()
    browser.scratch(page, open_lab, scratch_folder, [set_up, *SINKS.values()])
    browser.run_all(page)
    errors = [one["cell"] for one in browser.outputs(page) if one["output_type"] == "error"]
    assert errors == [LAST]
    page.wait_for_function(
        f"word => ({TEXTS})().slice(1).every(text => text.includes(word))", arg=hostile.WORD
    )
    assert bites(page, lured) == []
    for box in page.get_by_label("Show as Markdown").all():
        box.check()
    page.wait_for_selector(".wire-view .wire-message p")
    assert bites(page, lured) == []
    hosts = {urlsplit(one).hostname for one in asked if one.startswith(("http", "ws"))}
    assert hosts <= {"127.0.0.1", "localhost"}, hosts


def test_the_same_check_notices_a_place_that_is_not_safe(
    page: Page, open_lab: str, scratch_folder: Path, set_up: str, lured: list[str]
) -> None:
    lured.clear()
    browser.scratch(page, open_lab, scratch_folder, [set_up, "HTML(bait)"])
    browser.run_all(page)
    page.wait_for_function("window.bitten")
    found = str(bites(page, lured))
    assert "ran: " in found and "loaded: /img" in found and "<form" in found


def test_the_lab_lets_even_such_a_place_run_and_load_nothing(
    page: Page, scratch_lab: str, scratch_folder: Path, set_up: str, lured: list[str]
) -> None:
    lured.clear()
    stopped: list[str] = []
    page.on("console", lambda message: stopped.append(message.text))
    browser.scratch(page, scratch_lab, scratch_folder, [set_up, "HTML(bait)"])
    browser.run_all(page)
    page.wait_for_selector("iframe")  # the bait is in the page
    assert [one for one in bites(page, lured) if one.startswith(("ran", "loaded"))] == []
    for directive in ("script-src", "img-src"):
        assert any(directive in text and "violates" in text for text in stopped), (directive, stopped)
