"""An exchange kept as JSON is the same exchange when it is read again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from helpers import Exchange, recorded, send, stream
from helpers.widgets import sending


@pytest.fixture(autouse=True)
def variables(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
    monkeypatch.setenv("OLLAMA_HOST", url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-practice-canary")


PAYLOAD: dict[str, Any] = {"model": "llama3.2", "messages": [{"role": "user", "content": "Grüße, 世界"}]}


def again(exchange: Exchange) -> Exchange:
    return recorded.from_record(json.loads(json.dumps(recorded.to_record(exchange))))


def same(first: Exchange, second: Exchange) -> bool:
    parts = ("request", "frames", "timings", "complete", "broken", "text", "tool_calls", "usage", "error")
    assert [getattr(first, part) for part in parts] == [getattr(second, part) for part in parts]
    assert first.reply.headers.multi_items() == second.reply.headers.multi_items()
    assert (first.reply.status, first.reply.body) == (second.reply.status, second.reply.body)
    return repr(first) == repr(second)


@pytest.mark.parametrize("path", ["/chat/completions", "/api/chat"])
def test_a_stream_comes_back_with_its_times(path: str) -> None:
    async def run() -> Exchange:
        return await (await stream({**PAYLOAD, "stream": True}, path)).read()

    exchange = asyncio.run(run())
    assert len(exchange.frames) > 3
    assert same(exchange, again(exchange))


@pytest.mark.parametrize("payload", [PAYLOAD, {}, {"model": "nobody", "messages": []}])
def test_a_whole_reply_or_a_refusal_comes_back(payload: dict[str, Any]) -> None:
    exchange = send(payload)
    assert same(exchange, again(exchange))


def test_a_stream_that_is_still_open_comes_back_as_broken_off() -> None:
    async def run() -> Exchange:
        exchange = await stream({**PAYLOAD, "stream": True})
        await anext(exchange)
        kept = again(exchange)
        await exchange.aclose()
        return kept

    kept = asyncio.run(run())
    assert kept.frames and not kept.complete
    assert kept.broken == recorded.LEFT


def test_no_key_is_in_a_record() -> None:
    assert "canary" not in json.dumps(recorded.to_record(send(PAYLOAD)))


def begin(changes: list[int], **more: Any) -> sending.Sending:
    def changed(on_its_way: sending.Sending) -> None:
        changes.append(len(on_its_way.exchange.frames) if on_its_way.exchange else 0)

    return sending.begin({**PAYLOAD, "stream": True, **more}, on_change=changed, every=0.01)


def test_a_sending_tells_what_came_and_that_it_ended() -> None:
    async def run() -> tuple[sending.Sending, list[int]]:
        changes: list[int] = []
        return await begin(changes), changes

    ended, changes = asyncio.run(run())
    assert ended.done and not ended.trouble and ended.exchange and ended.exchange.complete
    assert changes == sorted(changes) and changes[-1] == len(ended.exchange.frames)


def test_stop_keeps_what_came() -> None:
    async def run() -> sending.Sending:
        some = asyncio.Event()
        begun = sending.begin(
            {**PAYLOAD, "messages": [{"role": "user", "content": "A very long story"}], "stream": True},
            headers={"x-practice-fault": "cut; after=100000"},
            on_change=lambda _: some.set(),
            every=0.0,
        )
        await some.wait()
        begun.stop()
        return await begun

    stopped = asyncio.run(run())
    assert stopped.exchange and not stopped.exchange.complete
    assert stopped.trouble == "interrupted"


def test_stop_before_the_reply_begins_and_what_cannot_be_sent() -> None:
    async def run() -> tuple[str, str]:
        early = begin([])
        early.stop()
        return (await early).trouble, (await begin([], temperature=float("nan"))).trouble

    early, unsendable = asyncio.run(run())
    assert early == sending.STOPPED
    assert unsendable.startswith("payload['temperature'] is nan")
