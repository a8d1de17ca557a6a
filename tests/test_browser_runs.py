"""Runs and Compare in a real browser: kept, chosen, held against each other, sent again, stopped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests import browser

pytestmark = browser.NEEDED

LESSON = """import os
os.environ.pop("COURSE_FROZEN", None)  # words come at a model's pace
os.environ["COURSE_HOME"] = os.path.abspath("home of the runs")
from helpers import lesson, send
here = lesson('00_start_here')"""
LOOK = "from helpers.widgets.runs_view import RunsView\nview = RunsView()\nview"
HOSTILE = "<img src=x onerror=document.title=1>"
KEPT = f"""from helpers.widgets.runs import keep
def ask(words, **fields):
    messages = [{{"role": "user", "content": words}}]
    return keep(send({{"model": here.models["chat"], "messages": messages, **fields}}))
one, two = ask("Say hello.", seed=1), ask("Repeat: {HOSTILE}", seed=2)"""
COMPARE = """from helpers.widgets.compare import Compare
story = [{"role": "user", "content": "Write a story that never ends"}]
payload = {"model": here.models["ollama"], "messages": story}
variants = [{"options": {"num_predict": -1}}, {"options": {"num_predict": 6}}, "no-such-model"]
compare = Compare(payload, variants, "/api/chat")
compare"""
CHOOSE = "view.choose(one)\nview.next_cell()"
RUNS, COMPARED = ".runs-view", ".compare"


@pytest.fixture(autouse=True)
def nothing_off_this_machine(page: Page) -> Iterator[None]:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield
    hosts = {urlsplit(url).hostname for url in asked if re.match("http|ws", url)}
    assert hosts <= {"127.0.0.1", "localhost"}


def test_runs_are_looked_at_compared_and_sent_again(
    page: Page, scratch_lab: str, scratch_folder: Path
) -> None:
    path = browser.scratch(page, scratch_lab, scratch_folder, [LESSON, KEPT, LOOK, CHOOSE])
    browser.run_all(page)
    view = page.locator(RUNS)
    said = view.get_by_role("status").first
    rows = view.locator(".runs-table").get_by_role("checkbox").filter(visible=True)
    expect(rows).to_have_count(2)

    # one chosen, in a cell: it is looked at, and the cell below has it as plain httpx
    expect(rows.nth(1)).to_be_checked()
    expect(view.locator(".wire-view")).to_be_visible()
    expect(page.locator(".jp-Cell .cm-content").last).to_contain_text("reply = httpx.post(url")

    # by keyboard alone: two chosen are held against each other
    rows.nth(0).focus()
    page.keyboard.press("Space")
    expect(rows.nth(0)).to_be_checked()
    expect(view.get_by_text('"seed": 1').first).to_be_visible()
    expect(view.get_by_text('"seed": 2').first).to_be_visible()
    assert browser.accessibility(page, RUNS) == []

    # pinned, with a note, found by it
    rows.nth(0).uncheck()
    view.get_by_role("button", name="Pin", exact=True).click()
    expect(view.get_by_role("checkbox", name="★")).to_have_count(1)
    view.get_by_role("textbox", name="Note").fill("the very first")
    page.keyboard.press("Enter")
    noted = view.get_by_role("checkbox", name="the very first")
    expect(noted).to_be_checked()
    view.get_by_role("textbox", name="Filter").fill("very")
    expect(rows).to_have_count(1)
    view.get_by_role("textbox", name="Filter").fill("")

    # sent again: kept, and what differs is shown at once
    view.get_by_role("button", name="Send again").click()
    expect(said).to_contain_text("Sent again and kept")
    expect(rows).to_have_count(3)
    noted.uncheck()

    # exported, as text to copy and as a file that takes no other's place
    view.get_by_role("button", name="As a cell").click()
    expect(view.get_by_role("textbox", name="Cell")).to_have_value(re.compile(r"httpx\.post\(url"))
    for file in (".json", "-2.json"):
        view.get_by_role("button", name="As a fixture").click()
        expect(said).to_contain_text(file)
    folder = scratch_folder / "home of the runs" / "fixtures"
    written = [json.loads(file.read_text()) for file in folder.iterdir()]
    assert len(written) == 2 and written[0] == written[1] and written[0]["reply"]["status_code"] == 200

    # deleted only when said twice
    view.get_by_role("button", name="Delete …").click()
    view.get_by_role("button", name="Keep", exact=True).click()
    expect(said).to_contain_text("Nothing was deleted")
    view.get_by_role("button", name="Delete …").click()
    view.get_by_role("button", name="Delete for good").click()
    expect(rows).to_have_count(2)

    # the page is loaded again
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    browser.open_notebook(page, scratch_lab, path)
    expect(page.locator(RUNS).get_by_role("checkbox", name="the very first")).to_have_count(1)
    page.locator(RUNS).get_by_role("button", name="Refresh").click()
    expect(rows).to_have_count(2)
    assert page.title() != "1"


def test_streams_side_by_side_that_another_notebook_sees(
    page: Page, scratch_lab: str, scratch_folder: Path
) -> None:
    browser.scratch(page, scratch_lab, scratch_folder, [LESSON, LOOK, COMPARE])
    browser.run_all(page)
    view, compare = page.locator(RUNS), page.locator(COMPARED)
    rows = view.locator(".runs-table").get_by_role("checkbox").filter(visible=True)
    expect(view.get_by_role("checkbox", name="the very first")).to_have_count(1)  # of the notebook before
    before = rows.count()

    compare.get_by_role("button", name="Send all").click()
    expect(compare.get_by_text("status 404")).to_be_visible()
    expect(compare.get_by_text("finish_reason length").first).to_be_visible()
    expect(compare.get_by_text("frames/s")).to_have_count(1)  # the first still streams
    growing = compare.get_by_role("region", name="Reply of 1.")
    assert browser.accessibility(page, COMPARED) == []
    compare.get_by_role("button", name="Stop all").click()
    expect(compare.get_by_role("table")).to_be_visible()
    expect(growing).not_to_be_empty()
    view.get_by_role("button", name="Refresh").click()
    expect(rows).to_have_count(before + 3)
