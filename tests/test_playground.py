"""The playground without a browser: its buttons pressed in a loop, against the practice server."""

from __future__ import annotations

import asyncio
import html
import json
import re
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import ipywidgets as widgets
import pytest

from helpers.errors import CourseError
from helpers.widgets import drafts, runs
from helpers.widgets.playground import Playground

LONG = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Tell me a long story about the sea in 80 sentences"}],
    "stream": True,
    "max_tokens": 4000,
}


@pytest.fixture
def sent(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[], int]]:
    """Counts the requests that reached the server; runs and drafts go to a folder of this test."""
    monkeypatch.setenv("OLLAMA_HOST", url)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/openai/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-practice")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    journal = httpx.get(f"{url}/practice/journal", trust_env=False)

    def count() -> int:
        entries = httpx.get(f"{url}/practice/journal", trust_env=False).json()["entries"]
        return entries[-1]["number"] - first if entries else 0

    entries = journal.json()["entries"]
    first = entries[-1]["number"] if entries else 0
    yield count


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 30))


def every(box: widgets.Widget) -> Iterator[Any]:
    for child in getattr(box, "children", ()):
        yield child
        yield from every(child)


def control(play: Playground, name: str) -> Any:
    return next(one for one in every(play) if getattr(one, "description", "") == name)


def seen(play: Playground) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", f"{play._lint.value} {play._said.value}"))


async def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def test_editor_and_form_are_one_thing_and_send_keeps_the_run(sent: Callable[[], int]) -> None:
    async def work() -> None:
        play = Playground("Sampling")
        assert json.loads(play.text)["temperature"] == 1.2 and play._form.value == play.text
        play._form.value = play.text.replace("1.2", "0")
        assert '"temperature": 0' in play.text and "Nothing to say" in seen(play)
        control(play, "Send").click()
        assert play._send_button.disabled and not play._stop_button.disabled
        await until(lambda: play.kept)
        assert sent() == 1 and not play._send_button.disabled and play._stop_button.disabled
        assert [one.id for one in runs.every()] == [play.kept[0].id] and "200" in seen(play)
        assert play.exchange and play.exchange.text in repr(play) and '"temperature": 0' in repr(play)
        assert play._runs._all

    run(work)


def test_what_is_no_json_is_told_at_its_place_and_nothing_is_sent_or_lost(sent: Callable[[], int]) -> None:
    async def work() -> None:
        play = Playground()
        for text, told in (
            ('{"model": "x",}', "Line 1, column 14"),
            ('{"model": "\\ud800"}', "Line 1, column 1"),
            ('{"n": 1e999}', "Line 1"),
            ("[1]", "object in braces"),
            ('{"model": "' + "x" * 5_000_000, "Line 1"),
        ):
            play.text = text
            control(play, "Send").click()
            assert re.search(rf"Nothing was sent\. .*{told}", seen(play))
            with pytest.raises(CourseError, match="Nothing was sent"):
                await play.send()
            assert play.text == text and drafts.load()[0].text == text
        assert sent() == 0 and play.kept == []

    run(work)


def test_stop_keeps_what_came_and_a_second_send_waits(sent: Callable[[], int]) -> None:
    async def work() -> None:
        play = Playground()
        play.text = json.dumps(LONG)
        control(play, "Send").click()
        control(play, "Send").click()
        await until(lambda: play.exchange and play.exchange.frames)
        with pytest.raises(CourseError, match="still coming"):
            await play.send()
        control(play, "Stop").click()
        await until(lambda: play.kept)
        assert sent() == 1 and play.exchange and play.exchange.text
        assert runs.find(play.kept[0].id).exchange.text == play.exchange.text
        play.stop()  # nothing is coming: nothing happens
        assert (await play.send()).reply.status == 200

    run(work)


def test_what_is_typed_is_a_draft_that_a_new_kernel_offers(sent: Callable[[], int]) -> None:
    async def work() -> None:
        play = Playground("Sampling")
        assert drafts.load() == []
        play.text = '{"model": "half'
        play._menu.value = next(value for name, value in play._menu.options if name == "Streaming")
        assert '"stream": true' in play.text and [one.text for one in drafts.load()] == ['{"model": "half']
        other = Playground()
        draft = next(value for name, value in other._menu.options if name.startswith("draft of"))
        other._menu.value = draft
        assert other.text == '{"model": "half'

    run(work)


def test_a_payload_is_saved_under_a_name_and_chosen_again(sent: Callable[[], int]) -> None:
    async def work() -> None:
        play = Playground("Sampling")
        play.text = play.text.replace("1.2", "0.5")
        control(play, "Save").click()
        assert "Give the preset a name" in seen(play)
        control(play, "Name").value = "Mine"
        control(play, "Save").click()
        assert "Mine (yours)" in [name for name, _ in play._menu.options]
        assert '"temperature": 0.5' in Playground("Mine").text
        with pytest.raises(CourseError, match="no preset 'Nobody'"):
            Playground("Nobody")

    run(work)


def test_the_variants_are_compared_and_a_wrong_one_is_told(sent: Callable[[], int]) -> None:
    async def work() -> None:
        play = Playground("Sampling")
        play._variants.value = '{"temperature": 0}\n{"temperature"'
        control(play, "Compare").click()
        assert "This variant is no JSON" in seen(play) and sent() == 0
        play._variants.value = '{"temperature": 0}\n\ngpt-5-nano'
        control(play, "Compare").click()
        await until(lambda: sent() == 2)
        play.stop()

    run(work)


@pytest.mark.parametrize(
    ("base", "rules"),
    [
        ("http://127.0.0.1:1/openai/v1", "openai"),
        ("https://api.openai.com/v1", "openai"),
        ("http://127.0.0.1:1/v1", "ollama"),
        ("https://x.openai.azure.com/openai/v1", "azure"),
        ("https://example.org/v1", ""),
    ],
)
def test_the_rules_are_those_of_the_server_that_answers(
    base: str, rules: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from helpers.widgets import playground

    monkeypatch.setenv("OPENAI_BASE_URL", base)
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:1")
    assert playground._provider() == rules
