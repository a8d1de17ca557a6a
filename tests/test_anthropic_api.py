"""Ollama's Anthropic-compatible surface over HTTP; expected shapes are those of a real Ollama 0.32.15."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

ASK: dict[str, Any] = {
    "model": "llama3.2",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "Say hi."}],
}
WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def events(reply: httpx.Response) -> list[tuple[str, Any]]:
    made = []
    for block in reply.text.strip().split("\n\n"):
        name, data = block.split("\n")
        made.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    assert all(name == data["type"] for name, data in made)
    return made


REFUSALS: list[tuple[Any, int, str, str]] = [
    ({}, 400, "invalid_request_error", "model is required"),
    ({"model": "x"}, 400, "invalid_request_error", "max_tokens is required and must be positive"),
    ({"model": "x", "max_tokens": 1}, 400, "invalid_request_error", "messages is required"),
    ({**ASK, "model": "nosuch"}, 404, "not_found_error", "model 'nosuch' not found"),
    (b"", 400, "invalid_request_error", "EOF"),
    ({**ASK, "messages": [None]}, 400, "invalid_request_error", "unexpected end of JSON input"),
    (
        {**ASK, "messages": [{"role": 1}]},
        400,
        "invalid_request_error",
        "json: cannot unmarshal number into Go struct field MessagesRequest.messages.role of type string",
    ),
    (
        {**ASK, "messages": [{"role": "user", "content": [{"type": "image", "source": {"data": 1}}]}]},
        400,
        "invalid_request_error",
        "json: cannot unmarshal number into Go struct field MessagesRequest.messages.source.data "
        "of type string",
    ),
    (
        {**ASK, "tools": [{**WEATHER, "input_schema": ""}]},
        400,
        "invalid_request_error",
        'invalid input_schema for tool "get_weather": json: cannot unmarshal string into '
        "Go value of type api.ToolFunctionParameters",
    ),
]


@pytest.mark.parametrize(("body", "status", "kind", "text"), REFUSALS, ids=lambda v: str(v)[:30])
def test_refusals(client: httpx.Client, body: Any, status: int, kind: str, text: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body)
    reply = client.post("/v1/messages", content=content)
    said = reply.json()
    assert reply.status_code == status and list(said) == ["type", "error", "request_id"]
    assert said["error"] == {"type": kind, "message": text} and said["request_id"].startswith("req_")


def test_a_whole_message(client: httpx.Client) -> None:
    said = client.post("/v1/messages", json=ASK).json()
    assert list(said) == ["id", "type", "role", "model", "content", "stop_reason", "usage"]
    assert [block["type"] for block in said["content"]] == ["text"] and said["stop_reason"] == "end_turn"
    cut = client.post("/v1/messages", json={**ASK, "max_tokens": 1}).json()
    assert cut["stop_reason"] == "max_tokens" and cut["usage"]["output_tokens"] == 1


def test_a_stream_is_the_whole_message_in_parts(client: httpx.Client) -> None:
    reply = client.post("/v1/messages", json={**ASK, "stream": True})
    assert reply.headers["cache-control"] == "no-cache"
    made = events(reply)
    names = [name for name, _ in made]
    assert names[:2] == ["message_start", "content_block_start"]
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert made[0][1]["message"]["usage"] == {"input_tokens": 2, "output_tokens": 0}
    assert "".join(data["delta"]["text"] for name, data in made if name == "content_block_delta")


def test_thinking_comes_in_a_block_of_its_own_and_is_passed_over_elsewhere(client: httpx.Client) -> None:
    ask = {**ASK, "model": "qwen3:0.6b", "thinking": {"type": "enabled", "budget_tokens": 100}}
    said = client.post("/v1/messages", json=ask).json()
    assert [block["type"] for block in said["content"]] == ["thinking", "text"]
    starts = [
        data["content_block"]["type"]
        for name, data in events(client.post("/v1/messages", json={**ask, "stream": True}))
        if name == "content_block_start"
    ]
    assert starts == ["thinking", "text"]
    assert client.post("/v1/messages", json={**ask, "model": "llama3.2"}).status_code == 200


def test_tools_are_called_and_answered(client: httpx.Client) -> None:
    question = {"role": "user", "content": "What is the weather in Paris?"}
    ask = {**ASK, "tools": [WEATHER], "messages": [question]}
    said = client.post("/v1/messages", json=ask).json()
    (use,) = said["content"]
    assert said["stop_reason"] == "tool_use" and use["input"] == {"city": "Paris"}
    made = events(client.post("/v1/messages", json={**ask, "stream": True}))
    parts = [data["delta"]["partial_json"] for name, data in made if name == "content_block_delta"]
    assert json.loads("".join(parts)) == {"city": "Paris"}
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": "22 degrees"}
    talk = [question, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    answer = client.post("/v1/messages", json={**ask, "messages": talk}).json()
    assert "22 degrees" in answer["content"][0]["text"]
