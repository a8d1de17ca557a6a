"""The payload form in a real browser: form and JSON are one thing, by keyboard, with names on everything."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import Page, expect

from tests import browser

pytestmark = browser.NEEDED

TEXT = '{"model": "gpt-4o-mini",\n "messages": [{"role": "user", "content": "Hi"}],\n "x_own": [1,  2]}'
CELLS = [
    "import ipywidgets, traitlets\nfrom helpers.widgets.payload_form import PayloadForm\n"
    f"form = PayloadForm({TEXT!r})\nform",
    "text = ipywidgets.Textarea(description='JSON', layout={'width': '90%', 'height': '160px'})\n"
    "traitlets.link((form, 'value'), (text, 'value'))\ntext",
]
FORM = ".payload-form"


def test_form_and_json_follow_each_other(page: Page, scratch_lab: str, scratch_folder: Path) -> None:
    browser.scratch(page, scratch_lab, scratch_folder, CELLS)
    browser.run_all(page)
    form, typed = page.locator(FORM), page.get_by_label("JSON", exact=True)
    expect(typed).to_have_value(TEXT)

    # by keyboard alone: switch temperature on, go to its field, change it
    form.get_by_label("send temperature").focus()
    page.keyboard.press("Space")
    expect(typed).to_have_value(TEXT[:-1] + ',\n "temperature": 0.7}')
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("0.2")
    page.keyboard.press("Tab")
    expect(typed).to_have_value(TEXT[:-1] + ',\n "temperature": 0.2}')

    # a message's text, in a writing that runs from the right
    form.get_by_label("message 1: text").fill("שלום <b>דן</b>")
    expect(typed).to_have_value(TEXT.replace('"Hi"', '"שלום <b>דן</b>"')[:-1] + ',\n "temperature": 0.2}')
    form.get_by_role("button", name="Add a message").click()
    expect(form.get_by_label("message 2: role")).to_have_value("assistant")

    # the other way
    typed.fill('{"model": "gpt-5-nano", "messages": [], "top_p": 0.5}')
    expect(form.get_by_label("top_p (0 to 1)")).to_have_value("0.5")
    expect(form.get_by_label("send temperature")).not_to_be_checked()
    expect(form.get_by_label("message 1: text")).to_have_count(0)

    # what is no JSON can be looked at, with the reason, and loses nothing
    typed.fill('{"model": "gpt-5-nano", }')
    expect(form.get_by_role("status")).to_contain_text("Line 1, column 23: JSON has no comma before }")
    expect(form.get_by_label("send top_p")).to_be_disabled()
    expect(typed).to_have_value('{"model": "gpt-5-nano", }')
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    page.wait_for_function(browser.IDLE, timeout=browser.STARTED)
    expect(typed).to_have_value('{"model": "gpt-5-nano", }', timeout=30_000)
    typed.fill(TEXT)
    expect(form.get_by_label("send top_p")).to_be_enabled()
    expect(form.get_by_label("message 1: text")).to_have_value("Hi")
    assert browser.accessibility(page, FORM) == []
    plain = json.dumps(browser.outputs(page)[0]["data"]["text/plain"])
    assert "temperature" in plain and "left out" in plain
