"""The official `anthropic` client against `/v1/messages`: every line of a table is one call, made by the sync
and by the async client."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

import anthropic
import pytest

from tests.clients import ASK, CITY, HI, PNG, Call, Check, outcome

LLAMA, QWEN, GEMMA = "llama3.2", "qwen3:0.6b", "gemma3:4b"
TOOL = {"name": "get_weather", "description": "The weather of a city", "input_schema": CITY}
PICTURE = {
    "role": "user",
    "content": [
        {"type": "text", "text": "What is this?"},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()},
        },
    ],
}
ANSWERED = [
    *ASK,
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Paris"}}],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "22 degrees"}]},
]


def create(**fields: Any) -> Call:
    return lambda c: c.messages.create(**{"model": LLAMA, "max_tokens": 200, "messages": HI, **fields})


def helper(**fields: Any) -> Call:
    return lambda c: c.messages.stream(**{"model": LLAMA, "max_tokens": 200, "messages": HI, **fields})


def text(made: Any) -> str:
    return "".join(block.text for block in made.content if block.type == "text")


CALLS: dict[str, tuple[Call, Check]] = {
    "create": (create(), lambda r: text(r) and r.stop_reason == "end_turn" and r.usage.output_tokens),
    "create, system": (create(system="You are a pirate."), text),
    "create, system in blocks": (create(system=[{"type": "text", "text": "Be brief."}]), text),
    "create, samplers": (
        create(stop_sequences=["zzz"], extra_body={"temperature": 0, "top_p": 0.5, "top_k": 3}),
        text,
    ),
    "create, cut": (create(max_tokens=1), lambda r: r.stop_reason == "max_tokens"),
    "create, thinking": (
        create(model=QWEN, thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000),
        lambda r: [block.type for block in r.content] == ["thinking", "text"],
    ),
    "create, picture": (create(model=GEMMA, messages=[PICTURE]), text),
    "create, tool": (
        create(messages=ASK, tools=[TOOL]),
        lambda r: r.stop_reason == "tool_use" and r.content[0].input == {"city": "Paris"},
    ),
    "create, tool answered": (create(messages=ANSWERED, tools=[TOOL]), lambda r: "22 degrees" in text(r)),
    "create raw": (
        lambda c: c.messages.with_raw_response.create(model=LLAMA, max_tokens=9, messages=HI),
        lambda r: r.headers["x-practice"] == "scripted",
    ),
    "create stream": (
        create(stream=True),
        lambda r: [event.type for event in r][0 :: len(r) - 1] == ["message_start", "message_stop"],
    ),
    "stream": (helper(), lambda r: text(r[0])),
    "stream, thinking": (
        helper(model=QWEN, thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000),
        lambda r: [block.type for block in r[0].content] == ["thinking", "text"],
    ),
    "stream, tool": (
        helper(messages=ASK, tools=[TOOL]),
        lambda r: r[0].content[0].input == {"city": "Paris"},
    ),
    "models": (lambda c: c.models.list(), lambda r: "llama3.2:latest" in [one.id for one in r]),
}

Error = tuple[Call, type[anthropic.AnthropicError], str]
ERRORS: dict[str, Error] = {
    "no such model": (create(model="nosuch"), anthropic.NotFoundError, "model 'nosuch' not found"),
    "no tokens": (
        create(max_tokens=0),
        anthropic.BadRequestError,
        "max_tokens is required and must be positive",
    ),
    "no messages": (create(messages=[]), anthropic.BadRequestError, "messages is required"),
    "a picture's address": (
        create(
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}],
                }
            ]
        ),
        anthropic.BadRequestError,
        "invalid image source type: url. Only base64 images are supported.",
    ),
    "counting": (
        lambda c: c.messages.count_tokens(model=LLAMA, messages=HI),
        anthropic.NotFoundError,
        "404 page not found",
    ),
    "fault 401": (create(extra_headers={"x-practice-fault": "401"}), anthropic.AuthenticationError, ""),
    "fault 429": (create(extra_headers={"x-practice-fault": "429"}), anthropic.RateLimitError, ""),
    "fault 500": (create(extra_headers={"x-practice-fault": "500"}), anthropic.InternalServerError, ""),
}


@cache
def _client(url: str, kind: str) -> Any:
    own = {"sync": anthropic.Anthropic, "async": anthropic.AsyncAnthropic}[kind]
    return own(base_url=url, api_key="practice", max_retries=0)


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("name", CALLS)
def test_a_call(url: str, name: str, kind: str) -> None:
    make, right = CALLS[name]
    assert right(outcome(_client(url, kind), make))


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_has_the_sdks_own_class(url: str, name: str, kind: str) -> None:
    make, expected, said = ERRORS[name]
    with pytest.raises(expected) as caught:
        outcome(_client(url, kind), make)
    assert type(caught.value) is expected and said in str(caught.value)
