"""The payload editor and the difference in a real browser: by keyboard, while the kernel changes the text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from tests import browser

pytestmark = browser.NEEDED

TEXT = '{"model": "gpt-5-nano",\n "😀": [{"role": "user", "content": "שלום Grüße 日本"}],\n "n": 1}'
EDITOR = f"""
import ipywidgets, traitlets
from helpers.widgets import Difference, PayloadEditor
from helpers.widgets.payload import completions, parse

editor = PayloadEditor({TEXT!r}, label="The payload")
editor.completions = completions("openai", "/chat/completions")
def lint(change):
    editor.diagnostics = parse(editor.value).diagnostics
editor.observe(lint, "value")
sent = ipywidgets.Text(description="sent")
editor.on_submit(lambda one: sent.set_trait("value", one.value))
kernel = ipywidgets.Textarea(description="kernel")
traitlets.link((editor, "value"), (kernel, "value"))
ipywidgets.VBox([editor, kernel, sent])
"""
DIFFERENCE = """
lines = "".join(f"line {n}.\\n" for n in range(40))
Difference(lines, lines.replace("line 7.", "line <b>seven</b>."), left_label="earlier", right_label="later")
"""
LARGE = """
import json
import ipywidgets
from helpers.widgets import PayloadEditor

messages = [{"role": "user", "content": "word " * 200}] * 5000
many = PayloadEditor(json.dumps({"model": "m", "messages": messages}, indent=1), label="many lines")
one = PayloadEditor(json.dumps({"model": "m", "image": "A" * 5_000_000}), label="one line")
ends = ipywidgets.Text(description="ends")
def tell(change):
    ends.value = f"{len(many.value) > 5_000_000} {many.value[-21:]!r} {one.value[:21]!r}"
many.observe(tell, "value")
one.observe(tell, "value")
ipywidgets.VBox([ends, many, one])
"""
CHANGE_THEME = "jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })"


@pytest.fixture
def requests(page: Page) -> Iterator[list[str]]:
    """The addresses the page asks for that are not this machine's; there must be none."""
    outside: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "http://localhost:", "blob:", "data:")):
            outside.append(request.url)

    page.on("request", note)
    yield outside
    assert outside == []


@pytest.fixture
def content(page: Page, scratch_lab: str, scratch_folder: Path, requests: list[str]) -> Locator:
    """The editable text of the editor, in a notebook that has just run."""
    browser.scratch(page, scratch_lab, scratch_folder, [EDITOR, DIFFERENCE])
    browser.run_all(page)
    return page.get_by_role("textbox", name="The payload")


def kernel(page: Page) -> Locator:
    return page.get_by_label("kernel", exact=True)


def shown(content: Locator) -> str:
    return "\n".join(content.locator(".cm-line").all_inner_texts())


def to_the_end(page: Page, content: Locator) -> None:
    """Put the cursor before the last brace."""
    content.focus()
    page.keyboard.press("Control+End")
    page.keyboard.press("ArrowLeft")


def test_typing_completing_sending_and_leaving_by_keyboard(page: Page, content: Locator) -> None:
    expect(page.get_by_label("The payload")).to_have_count(1)  # no text area beside it
    cells = page.locator(".jp-Cell").count()
    to_the_end(page, content)

    # a name, and its first value, which the next key replaces
    page.keyboard.type(', "te')
    expect(page.get_by_role("option", name="temperature")).to_be_visible()
    expect(page.locator(".cm-completionInfo")).to_contain_text("default: 1")
    page.keyboard.press("Enter")
    page.keyboard.type("0.5")
    wanted = TEXT[:-1] + ', "temperature": 0.5}'
    expect(kernel(page)).to_have_value(wanted)

    # sending runs no cell, and the kernel has what was typed a moment before
    page.keyboard.type("5")
    page.keyboard.press("Control+Enter")
    wanted = wanted.replace("0.5", "0.55")
    expect(page.get_by_label("sent", exact=True)).to_have_value(wanted.replace("\n", ""))

    # keys that are commands of the notebook are letters here
    page.keyboard.type("ddab")
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Escape")
    page.keyboard.type("x")
    expect(kernel(page)).to_have_value(wanted[:-1] + "ddab\nx}")
    assert page.locator(".jp-Cell").count() == cells
    for _ in range(3):
        page.keyboard.press("Control+Z")
    expect(kernel(page)).not_to_have_value(wanted[:-1] + "ddab\nx}")
    expect(content).to_be_focused()

    # Tab leaves, and what was typed is not lost on the way
    page.keyboard.type("7")
    page.keyboard.press("Tab")
    expect(content).not_to_be_focused()
    expect(kernel(page)).to_have_value(shown(content))

    # a value, with its meaning
    kernel(page).fill('{"messages": [{"role": "')
    expect(content).to_have_text('{"messages": [{"role": "')
    content.focus()
    page.keyboard.press("Control+End")
    page.keyboard.press("Control+Space")
    expect(page.get_by_role("option", name="developer")).to_be_visible()
    page.keyboard.type("as")
    expect(page.locator(".cm-completionInfo")).to_contain_text("earlier replies")
    page.keyboard.press("Enter")
    expect(kernel(page)).to_have_value('{"messages": [{"role": "assistant"')


def test_what_is_wrong_is_marked_at_its_place(page: Page, content: Locator) -> None:
    to_the_end(page, content)
    page.keyboard.type(', "stream": tru')
    mark, status = page.locator(".cm-lintRange-error"), page.locator(".payload-editor [role=status]")
    expect(mark).to_have_text("tru")  # an emoji stands before it
    expect(status).to_contain_text("Line 3, column 20: ")
    page.keyboard.type("e")
    expect(mark).to_have_count(0)
    expect(status).to_be_empty()

    # half a character that was put in is written out, and said
    content.evaluate("""at => {
      const data = new DataTransfer();
      data.setData('text/plain', ', "half": "' + String.fromCharCode(0xd83d) + '"');
      at.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true }));
    }""")
    expect(kernel(page)).to_have_value(TEXT[:-1] + ', "stream": true, "half": "\\ud83d"}')
    expect(mark).to_have_text("\\ud83d")
    for _ in range(2):
        for widget in (".payload-editor", ".difference"):
            assert browser.accessibility(page, widget) == []
        page.evaluate(CHANGE_THEME)
        expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false")

    # beside it: two texts, and what is the same is folded away
    later = page.get_by_role("textbox", name="later")
    expect(later.locator(".cm-changedText")).to_have_text("<b>seven</b>")
    expect(later).to_contain_text("unchanged lines")
    assert "line 30" not in later.inner_text()


def test_the_kernel_and_the_page_change_one_text_and_nothing_is_lost(page: Page, content: Locator) -> None:
    to_the_end(page, content)
    kernel_changes = TEXT.replace("gpt-5-nano", "another model")
    page.evaluate(  # while the kernel works, a change of its own is on the way and the learner types on
        """source => {
          const session = window.jupyterapp.shell.currentWidget.sessionContext.session;
          session.kernel.requestExecute({ code: source });
        }""",
        f"import time; time.sleep(0.5); editor.value = {kernel_changes!r}",
    )
    page.keyboard.type(', "typed": 1', delay=60)
    wanted = kernel_changes[:-1] + ', "typed": 1}'
    expect(kernel(page)).to_have_value(wanted)
    assert shown(content) == wanted
    expect(content).to_be_focused()
    page.keyboard.type("2")  # the cursor is where it was
    expect(kernel(page)).to_have_value(wanted[:-1] + "2}")

    # a reload loses nothing, not even of this moment; nor does the end of the kernel
    page.keyboard.type(', "kept": 1')
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    wanted = wanted[:-1] + '2, "kept": 1}'
    expect(kernel(page)).to_have_value(wanted, timeout=30_000)
    assert shown(content) == wanted
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_function(browser.IDLE, timeout=browser.STARTED)
    to_the_end(page, content)
    page.keyboard.type("0")
    page.keyboard.press("Control+Enter")
    assert shown(content) == wanted[:-1] + "0}"


def test_five_megabytes_stay_usable(page: Page, scratch_lab: str, scratch_folder: Path) -> None:
    browser.scratch(page, scratch_lab, scratch_folder, [LARGE])
    browser.run_all(page)
    for name, key in (("many lines", "Control+End"), ("one line", "Control+Home")):
        page.get_by_role("textbox", name=name).focus()
        page.keyboard.press(key)
        began = time.monotonic()
        page.keyboard.type(" " * 20)
        page.evaluate("() => new Promise(requestAnimationFrame)")
        assert time.monotonic() - began < 12  # 0.1 s where nothing else runs
        page.keyboard.press("Tab")
    ends = page.get_by_label("ends", exact=True)
    expect(ends).to_have_value(f"True {'}' + ' ' * 20!r} {' ' * 20 + '{'!r}", timeout=20_000)
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    failed = page.get_by_text("Error displaying widget")
    expect(page.get_by_role("textbox", name="one line").or_(failed).first).to_be_visible(timeout=30_000)
    if failed.count():  # ipywidgets gives a kernel 4 s to tell its states: too little beside other tests
        page.reload()
    expect(page.get_by_role("textbox", name="one line")).to_contain_text('"model"', timeout=30_000)
    expect(page.get_by_role("textbox", name="many lines")).to_contain_text('"model"', timeout=30_000)


def test_where_the_editor_cannot_be_loaded_a_text_area_stands_in(
    page: Page, scratch_lab: str, scratch_folder: Path, requests: list[str]
) -> None:
    page.route("**/extensions/anywidget/**", lambda route: route.abort())
    browser.scratch(page, scratch_lab, scratch_folder, [EDITOR])
    browser.run_all(page)
    area = page.get_by_label("The payload")
    expect(area).to_have_value(TEXT)
    area.fill('{"n": 2}')
    expect(kernel(page)).to_have_value('{"n": 2}')
