"""The playground and the model manager in a real browser, at the pace of a model: streams take seconds."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from helpers.wire import is_loopback
from tests import browser

pytestmark = browser.NEEDED

PLAY, MODELS = ".playground", ".model-manager"
SET_UP = """import os, tempfile
os.environ.pop("COURSE_FROZEN", None)
os.environ["COURSE_HOME"] = os.path.join(tempfile.gettempdir(), "HOME")
from helpers import lanes, lesson
here = lesson("00_start_here")
from helpers.widgets import ModelManager, Playground"""
LONG = 'play = Playground("A long answer to stop")\nplay'
SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"
RESTART = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
RUN_LAST = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  panel.content.activeCellIndex = panel.content.widgets.length - 1;
  await window.jupyterapp.commands.execute('notebook:run-cell');
}"""


@pytest.fixture
def set_up(tmp_path: Path) -> str:
    """The first cell: a practice server of this test's own whose clock runs."""
    return SET_UP.replace('os.path.join(tempfile.gettempdir(), "HOME")', repr(str(tmp_path / "home")))


def press(page: Page, name: str) -> None:
    page.locator(PLAY).get_by_role("button", name=name, exact=True).click()


def send_and_wait_for_words(page: Page) -> None:
    press(page, "Send")
    expect(page.locator(PLAY)).to_contain_text("On its way")
    page.wait_for_function(
        "css => (document.querySelector(css).innerText.match(/the /g) || []).length > 3",
        arg=PLAY,
    )


def open_part(page: Page, name: str) -> None:
    page.locator(f"{PLAY} .jupyter-widget-Collapse-header, {PLAY} .lm-Collapse-header").filter(
        has_text=name
    ).first.click()


def test_send_stream_stop_diff_replay(
    page: Page, scratch_lab: str, scratch_folder: Path, set_up: str
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    browser.scratch(page, scratch_lab, scratch_folder, [set_up, LONG])
    browser.run_all(page)
    play = page.locator(PLAY)

    # stop keeps what came
    send_and_wait_for_words(page)
    press(page, "Stop")
    expect(play).to_contain_text("Kept among the runs: 200")
    expect(play.get_by_role("button", name="Send", exact=True)).to_be_enabled()

    # one field is changed in the form, and the request goes out by keyboard
    play.get_by_label("message 1: text").fill("Name a colour, in one word")
    play.get_by_label("Payload, as JSON").first.focus()
    page.keyboard.press("Control+Enter")
    expect(play).to_contain_text("1–2 of 2")

    # the two runs against each other, then the later one again
    open_part(page, "Runs")
    rows = play.locator(".runs-row input[type=checkbox]")
    rows.nth(0).check()
    rows.nth(1).check()
    expect(play).to_contain_text("payload of the later run")
    rows.nth(1).uncheck()
    press(page, "Send again")
    expect(play).to_contain_text("Sent again and kept")
    assert browser.accessibility(page, PLAY) == []
    assert [url for url in asked if not here(url)] == []


def here(url: str) -> bool:
    """Whether a URL names no machine but this one."""
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob") or is_loopback(parts.hostname or "")


def test_a_restart_in_mid_stream_loses_nothing(
    page: Page, scratch_lab: str, scratch_folder: Path, set_up: str
) -> None:
    browser.scratch(page, scratch_lab, scratch_folder, [set_up, LONG])
    browser.run_all(page)
    play = page.locator(PLAY)
    play.get_by_label("message 1: text").fill(
        "Write a long story about a lighthouse, at least forty paragraphs."
    )
    play.get_by_label("message 1: text").blur()
    send_and_wait_for_words(page)
    page.evaluate(RESTART)
    expect(play).to_contain_text("forty paragraphs")
    browser.run_all(page)

    menu = page.locator(PLAY).get_by_label("Begin with")
    menu.select_option(label=menu.locator("option", has_text="draft of").first.inner_text())
    expect(page.locator(PLAY).get_by_label("message 1: text")).to_have_value(
        "Write a long story about a lighthouse, at least forty paragraphs."
    )
    open_part(page, "Runs")
    expect(page.locator(f"{PLAY} .runs-row").first).to_contain_text("200")


def test_a_server_that_goes_in_mid_stream_is_told_and_what_came_stays(
    page: Page, scratch_lab: str, scratch_folder: Path, set_up: str
) -> None:
    kill = "import signal\nos.kill(lanes.chosen().server.pid, signal.SIGKILL)"
    path = browser.scratch(
        page,
        scratch_lab,
        scratch_folder,
        [set_up, LONG, "if play.exchange:\n    " + kill.replace("\n", "\n    ")],
    )
    browser.run_all(page)
    send_and_wait_for_words(page)
    page.evaluate(RUN_LAST)
    play = page.locator(PLAY)
    expect(play).to_contain_text("the connection broke")
    expect(play).to_contain_text("Kept among the runs: 200")

    # saved, left, opened again: what was typed and what came is still there
    page.evaluate(SAVE)
    browser.open_notebook(page, scratch_lab, path)
    expect(page.locator(PLAY)).to_contain_text("the connection broke")
    expect(page.locator(PLAY).get_by_label("message 1: text")).to_have_value(re.compile("lighthouse"))
    assert "POST /chat/completions" in str(browser.outputs(page))


def test_models_are_loaded_counted_down_copied_and_deleted(
    page: Page, scratch_lab: str, scratch_folder: Path, set_up: str
) -> None:
    browser.scratch(page, scratch_lab, scratch_folder, [set_up, "ModelManager()"])
    browser.run_all(page)
    models = page.locator(MODELS)
    expect(models).to_contain_text("completion, tools")
    models.get_by_label("Model", exact=True).select_option("llama3.2:latest")

    def click(name: str) -> None:
        models.get_by_role("button", name=name, exact=True).click()

    click("Load")
    expect(models).to_contain_text("llama3.2:latest is in memory.")
    expect(models).to_contain_text(re.compile(r"4:5[78] min"))
    click("Unload")
    expect(models).to_contain_text("llama3.2:latest is out of memory.")
    models.get_by_label("Name of the copy").fill("course-twin")
    click("Copy")
    expect(models).to_contain_text("also called course-twin")
    models.get_by_label("Model", exact=True).select_option("course-twin:latest")
    click("Delete")
    expect(models.get_by_role("alert")).to_have_text("Delete course-twin:latest?")
    click("Yes, delete")
    expect(models).to_contain_text("course-twin:latest is deleted.")
    models.get_by_label("Model to pull").fill("gemma3:1b")
    click("Pull")
    bar = models.get_by_role("progressbar").first
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]"))
    click("Cancel the pull")
    expect(models).to_contain_text("cancelled; pull it again")
    models.get_by_label("Model", exact=True).select_option("all-minilm:latest")
    click("Show")
    expect(models).to_contain_text("license")
    assert browser.accessibility(page, MODELS) == []


def test_the_lesson_runs_in_the_browser(page: Page, scratch_lab: str, scratch_folder: Path) -> None:
    lesson = Path(__file__).resolve().parents[1] / "notebooks" / "20_playground.ipynb"
    shutil.copy(lesson, scratch_folder)
    browser.open_notebook(page, scratch_lab, lesson.name)
    browser.run_all(page)
    found = browser.outputs(page)
    assert found and [one for one in found if one["output_type"] == "error"] == []
    expect(page.locator(PLAY).first).to_contain_text("Kept among the runs")
