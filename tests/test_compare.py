"""Several variants of a payload at the same time, through the practice server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import CourseError
from helpers.widgets import runs
from helpers.widgets.compare import Compare

PAYLOAD = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}], "temperature": 0}
HOSTILE = "<img src=x onerror=alert(1)></pre><script>alert(1)</script>"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/openai/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-practice")
    monkeypatch.setenv("OLLAMA_HOST", url)
    yield
    runs._in_memory.clear()


def ran(
    make: Callable[[], Compare], meanwhile: Callable[[Compare], Awaitable[None]] | None = None
) -> Compare:
    async def run() -> Compare:
        compare = make()
        whole = asyncio.ensure_future(compare.run())
        if meanwhile:
            await meanwhile(compare)
        return await whole

    return asyncio.run(run())


async def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def shown(column: Any) -> str:
    return column._text.value + column._state.value


def test_each_variant_changes_only_what_it_says() -> None:
    payload = {**PAYLOAD, "response_format": {"type": "text"}}
    compare = Compare(
        payload, ["gpt-5-nano", {"temperature": 1, "seed": 3}, {"response_format": {"x": 1}}, {}]
    )
    common = {"stream": True, "stream_options": {"include_usage": True}}
    assert [column.payload for column in compare.columns] == [
        {**payload, **common, "model": "gpt-5-nano"},
        {**payload, **common, "temperature": 1, "seed": 3},
        {**payload, **common, "response_format": {"type": "text", "x": 1}},
        {**payload, **common},
    ]
    for words in (
        'model: "gpt-4o-mini" → "gpt-5-nano"',
        "temperature: 0 → 1",
        "seed: 3 (added)",
        "response_format.x: 1 (added)",
        "the payload as it is",
    ):
        assert words in repr(compare)
    assert payload == {**PAYLOAD, "response_format": {"type": "text"}}


def test_replies_numbers_and_runs() -> None:
    compare = ran(lambda: Compare(PAYLOAD, [{"max_completion_tokens": 3}, {"temperature": 1}]))
    short, whole = compare.columns
    assert short.exchange and whole.exchange
    assert short.exchange.finish_reason == "length" and whole.exchange.finish_reason == "stop"
    status, first, total, rate, prompt, reply, reason = short.numbers()
    assert (status, reply, reason) == ("200", "3", "length") and first.endswith(" s") and total.endswith(" s")
    assert int(prompt) > 0 and (rate == "" or float(rate) > 0)
    assert whole.exchange.text[:10] in shown(whole) and "finish_reason stop" in shown(whole)
    assert "<td>length</td>" in compare._table.value
    kept = runs.every()
    assert {run.id for run in kept} == {column.kept.id for column in compare.columns if column.kept}
    assert compare._stop_all.disabled and not compare._send_all.disabled


def test_the_repr_is_the_same_for_the_same_replies() -> None:
    first, second = (ran(lambda: Compare(PAYLOAD, [{"seed": 1}, "no-such-model"])) for _ in range(2))
    assert repr(first) == repr(second) and "127.0.0.1" not in repr(first)
    bundle = first._repr_mimebundle_()
    assert bundle["text/plain"] == repr(first) and "no-such-model" in bundle["text/html"]


def test_one_error_leaves_the_others_alone() -> None:
    compare = ran(
        lambda: Compare(PAYLOAD, ["gpt-4o-mini", "no-such-model", {"temperature": "warm"}, {"x": {1}}])
    )
    fine, unknown, wrong, no_json = compare.columns
    assert fine.exchange and fine.exchange.finish_reason == "stop"
    assert unknown.numbers()[0] == "404" and "no-such-model" in shown(unknown)
    assert wrong.numbers()[0] == "400" and "temperature" in shown(wrong)
    assert no_json.exchange is None and "is a set" in shown(no_json) and "is a set" in repr(compare)


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    compare = ran(lambda: Compare(PAYLOAD, ["a", "b"]))
    assert all("Nothing answers" in shown(column) for column in compare.columns)
    assert runs.every() == [] and not compare._send_all.disabled


SLOW = {"x-practice-fault": "slow; seconds=60"}


def test_stop_one_and_the_other_goes_on_and_stop_all() -> None:
    async def meanwhile(compare: Compare) -> None:
        first, second = compare.columns
        await until(lambda: first.going and second.going)
        first._stop.click()
        await until(lambda: not first.going)
        assert second.going and not compare._stop_all.disabled
        compare._stop_all.click()

    began = time.monotonic()
    compare = ran(lambda: Compare(PAYLOAD, ["gpt-4o-mini", "gpt-4o-mini"], headers=SLOW), meanwhile)
    assert time.monotonic() - began < 20 and not any(column.going for column in compare.columns)
    assert all(column._stop.disabled for column in compare.columns)


def test_what_came_before_stop_stays() -> None:
    story = {"model": "llama3.2", "messages": [{"role": "user", "content": "Write a story that never ends"}]}

    async def meanwhile(compare: Compare) -> None:
        endless = compare.columns[0]
        await until(lambda: "frames/s" in shown(endless) and ">… " in shown(endless))
        compare.stop()

    compare = ran(lambda: Compare(story, [{"options": {"num_predict": -1}}, {}], "/api/chat"), meanwhile)
    column = compare.columns[0]
    assert column.kept and column.exchange and not column.exchange.complete
    kept = runs.find(column.kept.id).exchange
    assert len(kept.text) > 2000 and kept.text == column.exchange.text
    assert "the end" not in shown(column) and kept.text[:40] in shown(column)


def test_all_are_sent_at_the_same_time() -> None:
    """With one after the other, the second would begin when the first has ended: in a minute."""

    async def meanwhile(compare: Compare) -> None:
        await until(lambda: any(column.kept for column in compare.columns))
        assert any(column.going for column in compare.columns)
        compare.stop()

    once = {"x-practice-fault": "slow; seconds=60; times=1; id=compare"}
    compare = ran(lambda: Compare(PAYLOAD, [{}, {}], headers=once), meanwhile)
    assert sorted(run.status for run in runs.every()) == [200]
    assert sum(column.exchange is None for column in compare.columns) == 1


def test_sent_twice_while_it_runs_is_sent_once() -> None:
    async def twice() -> Compare:
        compare = Compare(PAYLOAD, [{}, {}])
        await asyncio.gather(compare.run(), compare.run())
        return compare

    asyncio.run(twice())
    assert len(runs.every()) == 2


def test_what_a_model_or_a_name_says_is_text() -> None:
    payload = {
        **PAYLOAD,
        "model": "llama3.2",
        "messages": [{"role": "user", "content": f"Repeat: {HOSTILE}"}],
    }
    compare = ran(lambda: Compare(payload, [HOSTILE, {"stop": HOSTILE}], "/api/chat"))
    drawn = compare._table.value + "".join(
        part.value for column in compare.columns for part in column.box.children if hasattr(part, "value")
    )
    assert "onerror" in drawn and "<img" not in drawn and "<script" not in drawn
    assert "<img" not in compare._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize("variants", [[], ["one"], ["a"] * 5, "gpt", {"a": 1}, [1, 2]])
def test_what_is_no_list_of_variants_is_told(variants: Any) -> None:
    with pytest.raises(CourseError, match="variant"):
        Compare(PAYLOAD, variants)


def test_a_kernel_that_ends_in_mid_stream_keeps_what_came() -> None:
    program = """
import asyncio
from helpers.widgets.compare import Compare
story = {"model": "llama3.2", "messages": [{"role": "user", "content": "Write a story that never ends"}]}
async def some():
    compare = Compare(story, [{"options": {"num_predict": -1}}] * 2, "/api/chat")
    compare.start()
    while not all(column.exchange and column.exchange.text for column in compare.columns):
        await asyncio.sleep(0.01)
    return compare
compare = asyncio.new_event_loop().run_until_complete(some())
"""
    subprocess.run([sys.executable, "-c", program], timeout=30, check=True, capture_output=True)
    kept = runs.every()
    assert len(kept) == 2 and all(run.words and run.exchange.text for run in kept)
    assert not any(run.exchange.complete for run in kept)
