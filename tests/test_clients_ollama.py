"""The official `ollama` client against the practice server: every line of a table is one call, made by the
sync and by the async client. Nothing is prepared for them: the server answers out of its own models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest
from pydantic import BaseModel

from tests.clients import ASK, CITY, HI, PNG, Call, Check, outcome

LLAMA, QWEN, GEMMA, MINILM = "llama3.2", "qwen3:0.6b", "gemma3:4b", "all-minilm"
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather of a city", "parameters": CITY},
}


class Place(BaseModel):
    city: str
    inhabitants: int


def get_weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: The city's name.
    """
    return f"fine in {city}"


def chat(**fields: Any) -> Call:
    return lambda c: c.chat(**{"model": LLAMA, "messages": HI, **fields})


def generate(**fields: Any) -> Call:
    return lambda c: c.generate(**{"model": LLAMA, "prompt": "Say hi.", **fields})


def called(made: Any) -> tuple[str, Any]:
    (one,) = made.message.tool_calls
    return one.function.name, dict(one.function.arguments)


PARIS = ("get_weather", {"city": "Paris"})

CALLS: dict[str, tuple[Call, Check]] = {
    "chat": (chat(), lambda r: r.message.content and r.done and r.eval_count),
    "chat, options": (
        chat(options={"temperature": 0, "seed": 1, "num_predict": 2}),
        lambda r: r.done_reason == "length",
    ),
    "chat, options as an object": (chat(options=ollama.Options(num_predict=1)), lambda r: r.eval_count == 1),
    "chat, keep_alive": (chat(keep_alive="1m"), lambda r: r.message.content),
    "chat, json": (chat(format="json"), lambda r: json.loads(r.message.content) is not None),
    "chat, schema": (
        chat(format=Place.model_json_schema()),
        lambda r: Place.model_validate_json(r.message.content),
    ),
    "chat, thinking": (chat(model=QWEN, think=True), lambda r: r.message.thinking and r.message.content),
    "chat, thinking hard": (chat(model=QWEN, think="high"), lambda r: r.message.thinking),
    "chat, not thinking": (chat(model=QWEN, think=False), lambda r: not r.message.thinking),
    "chat, logprobs": (chat(logprobs=True, top_logprobs=2), lambda r: len(r.logprobs[0].top_logprobs) == 2),
    "chat, picture": (
        chat(model=GEMMA, messages=[{"role": "user", "content": "What is this?", "images": [PNG]}]),
        lambda r: r.message.content,
    ),
    "chat, tool": (chat(messages=ASK, tools=[TOOL]), lambda r: called(r) == PARIS),
    "chat, function as a tool": (chat(messages=ASK, tools=[get_weather]), lambda r: called(r) == PARIS),
    "chat, tool answered": (
        chat(
            messages=[
                *ASK,
                {
                    "role": "assistant",
                    "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}],
                },
                {"role": "tool", "tool_name": "get_weather", "content": "22 degrees"},
            ],
            tools=[TOOL],
        ),
        lambda r: "22 degrees" in r.message.content,
    ),
    "chat, message objects": (
        chat(messages=[ollama.Message(role="user", content="Say hi.")]),
        lambda r: r.message.content,
    ),
    "chat stream": (
        chat(stream=True),
        lambda r: "".join(part.message.content or "" for part in r) and r[-1].done,
    ),
    "chat stream, thinking": (
        chat(model=QWEN, think=True, stream=True),
        lambda r: any(part.message.thinking for part in r),
    ),
    "chat stream, tool": (
        chat(messages=ASK, tools=[TOOL], stream=True),
        lambda r: (
            [call.function.name for part in r for call in part.message.tool_calls or []] == ["get_weather"]
        ),
    ),
    "chat, load": (lambda c: c.chat(model=LLAMA), lambda r: r.done_reason == "load"),
    "generate": (generate(), lambda r: r.response and r.context),
    "generate, system": (generate(system="You are a pirate."), lambda r: r.response),
    "generate, template": (generate(template="{{ .Prompt }}"), lambda r: r.response),
    "generate, raw": (generate(raw=True), lambda r: r.response and not r.context),
    "generate, context": (generate(context=[1, 2]), lambda r: r.response),
    "generate, json": (generate(format="json"), lambda r: json.loads(r.response) is not None),
    "generate, schema": (generate(format=CITY), lambda r: list(json.loads(r.response)) == ["city"]),
    "generate, thinking": (generate(model=QWEN, think=True), lambda r: r.thinking and r.response),
    "generate, logprobs": (generate(logprobs=True), lambda r: r.logprobs[0].token),
    "generate, picture": (generate(model=GEMMA, prompt="What is this?", images=[PNG]), lambda r: r.response),
    "generate stream": (generate(stream=True), lambda r: "".join(part.response for part in r) and r[-1].done),
    "generate, load": (lambda c: c.generate(model=LLAMA), lambda r: r.done_reason == "load"),
    "generate, unload": (
        lambda c: c.generate(model=GEMMA, keep_alive=0),
        lambda r: r.done_reason == "unload",
    ),
    "embed": (lambda c: c.embed(model=MINILM, input="why"), lambda r: len(r.embeddings[0]) == 384),
    "embed, several": (
        lambda c: c.embed(model=MINILM, input=["a", "b"], dimensions=8, truncate=True),
        lambda r: [len(one) for one in r.embeddings] == [8, 8],
    ),
    "embeddings": (lambda c: c.embeddings(model=MINILM, prompt="why"), lambda r: len(r.embedding) == 384),
    "list": (lambda c: c.list(), lambda r: "llama3.2:latest" in [one.model for one in r.models]),
    "ps": (lambda c: c.ps(), lambda r: r.models is not None),
    "show": (lambda c: c.show(LLAMA), lambda r: "tools" in r.capabilities and r.modelinfo and r.template),
    "copy": (lambda c: c.copy(LLAMA, "sdk-copy"), lambda r: r.status == "success"),
    "create": (
        lambda c: c.create(
            model="sdk-made", from_=LLAMA, system="Be brief.", parameters={"temperature": 0.1}
        ),
        lambda r: r.status == "success",
    ),
    "create stream": (
        lambda c: c.create(
            model="sdk-made",
            from_=LLAMA,
            stream=True,
            template="{{ .Prompt }}",
            license="none",
            messages=[{"role": "user", "content": "hi"}],
        ),
        lambda r: [part.status for part in r][-2:] == ["writing manifest", "success"],
    ),
    "pull": (lambda c: c.pull(MINILM), lambda r: r.status == "success"),
    "pull stream": (
        lambda c: c.pull(MINILM, stream=True),
        lambda r: r[0].status == "pulling manifest" and r[-1].status == "success" and r[1].digest,
    ),
}


def unlike(status: int, said: str) -> Callable[[ollama.ResponseError], bool]:
    return lambda error: error.status_code == status and said in error.error


def faulty(fault: str) -> Call:
    def ask(client: Any) -> Any:
        own = type(client)(host=str(client._client.base_url), headers={"x-practice-fault": fault})
        return own.chat(model=LLAMA, messages=HI)

    return ask


ERRORS: dict[str, tuple[Call, Callable[[ollama.ResponseError], bool]]] = {
    "chat": (chat(model="nosuch"), unlike(404, "model 'nosuch' not found")),
    "chat, no thinking": (chat(think=True), unlike(400, '"llama3.2" does not support thinking')),
    "generate": (generate(model="nosuch"), unlike(404, "model 'nosuch' not found")),
    "generate stream": (generate(model="nosuch", stream=True), unlike(404, "model 'nosuch' not found")),
    "embed": (
        lambda c: c.embed(model="nosuch", input="x"),
        unlike(404, 'model "nosuch" not found, try pulling it'),
    ),
    "embed, no vectors": (
        lambda c: c.embed(model=LLAMA, input="x"),
        unlike(501, "does not support embeddings"),
    ),
    "show": (lambda c: c.show("nosuch"), unlike(404, "model 'nosuch:latest' not found")),
    "delete": (lambda c: c.delete("nosuch"), unlike(404, "model 'nosuch' not found")),
    "copy": (lambda c: c.copy("nosuch", "x"), unlike(404, 'model "nosuch" not found')),
    "create": (lambda c: c.create(model="x"), unlike(400, "neither 'from' or 'files' was specified")),
    "pull": (lambda c: c.pull("nosuch"), unlike(500, "pull model manifest: file does not exist")),
    "pull stream": (
        lambda c: c.pull("nosuch", stream=True),
        unlike(-1, "pull model manifest: file does not exist"),
    ),
    "systemone": (lambda c: c._request(Any, "POST", "/api/systemone"), unlike(404, "404 page not found")),
    "fault 429": (faulty("429"), unlike(429, "")),
    "fault 503": (faulty("503"), unlike(503, "")),
}


@cache
def _client(url: str, kind: str) -> Any:
    own = {"sync": ollama.Client, "async": ollama.AsyncClient}[kind]
    return own(host=url)


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("name", CALLS)
def test_a_call(url: str, name: str, kind: str) -> None:
    make, right = CALLS[name]
    assert right(outcome(_client(url, kind), make))


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_a_response_error(url: str, name: str, kind: str) -> None:
    make, right = ERRORS[name]
    with pytest.raises(ollama.ResponseError) as caught:
        outcome(_client(url, kind), make)
    assert right(caught.value), caught.value


def test_no_server_is_a_connection_error() -> None:
    with pytest.raises(ConnectionError, match="Failed to connect to Ollama"):
        ollama.Client(host="http://127.0.0.1:9").list()


def test_the_web_is_not_searched_without_a_key(url: str) -> None:
    with pytest.raises(ValueError, match="Authorization header"):
        ollama.Client(host=url).web_search("anything")


def test_a_model_is_made_used_and_deleted(url: str) -> None:
    client = ollama.Client(host=url)
    client.create(model="sdk-life", from_=LLAMA, system="You are a pirate.")
    assert client.show("sdk-life").modelfile.count("SYSTEM You are a pirate.") == 1
    assert client.chat(model="sdk-life", messages=HI).message.content
    assert client.ps().models
    assert client.delete("sdk-life").status == "success"
    assert "sdk-life:latest" not in [one.model for one in client.list().models]


def test_a_file_becomes_a_blob(url: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"some weights")
    digest = "sha256:" + hashlib.sha256(b"some weights").hexdigest()
    assert ollama.Client(host=url).create_blob(path) == digest
    assert httpx.head(f"{url}/api/blobs/{digest}", trust_env=False).status_code == 200
