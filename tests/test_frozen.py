"""Frozen: two servers, each fresh, give the same bytes to the same questions, on every surface."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients import ASK, CITY, HI, PNG_URL

KEY = {"authorization": "Bearer sk-practice"}
AZURE = {"api-key": "sk-practice"}
VERSION = "?api-version=2024-10-21"
LLAMA, QWEN, GEMMA, MINILM = "llama3.2", "qwen3:0.6b", "gemma3:4b", "all-minilm"
MINI, NANO, EMBED = "gpt-4o-mini", "gpt-5-nano", "text-embedding-3-small"
WEATHER = {"name": "get_weather", "description": "The weather of a city", "parameters": CITY}
TOOL = {"type": "function", "function": WEATHER}
CLAUDE_TOOL = {"name": "get_weather", "description": "The weather of a city", "input_schema": CITY}
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG_URL}}]}]
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "place", "strict": True, "schema": CITY},
}


def both(path: str, body: dict[str, Any]) -> list[tuple[str, str, Any]]:
    return [("POST", path, {**body, "stream": stream}) for stream in (False, True)]


def headers(path: str) -> dict[str, str]:
    return AZURE if path.startswith("/openai/deployments") else KEY if path.startswith("/openai") else {}


OLLAMA_CHAT, OPENAI_CHAT = "/v1/chat/completions", "/openai/v1/chat/completions"
QUESTIONS: list[tuple[str, str, Any]] = [
    *both("/api/generate", {"model": LLAMA, "prompt": "Say hi."}),
    *both("/api/generate", {"model": QWEN, "prompt": "Why?", "think": True, "options": {"temperature": 1.5}}),
    *both("/api/chat", {"model": LLAMA, "messages": HI, "logprobs": True, "top_logprobs": 3}),
    *both("/api/chat", {"model": LLAMA, "messages": ASK, "tools": [TOOL]}),
    *both("/api/chat", {"model": LLAMA, "messages": HI, "format": CITY}),
    ("POST", "/api/embed", {"model": MINILM, "input": ["a", "b"]}),
    ("POST", "/api/embeddings", {"model": MINILM, "prompt": "a"}),
    ("POST", "/api/show", {"model": LLAMA}),
    ("POST", "/api/show", {"model": "nosuch"}),
    ("GET", "/api/tags", None),
    ("GET", "/api/version", None),
    ("GET", "/api/status", None),
    ("POST", "/api/pull", {"model": "nosuch"}),
    ("POST", "/api/create", {"model": "made", "from": LLAMA, "system": "Be brief."}),
    *both(OLLAMA_CHAT, {"model": LLAMA, "messages": HI}),
    *both(OLLAMA_CHAT, {"model": LLAMA, "messages": ASK, "tools": [TOOL]}),
    *both(OLLAMA_CHAT, {"model": QWEN, "messages": HI, "reasoning_effort": "high"}),
    *both(OLLAMA_CHAT, {"model": GEMMA, "messages": PICTURE}),
    *both("/v1/completions", {"model": LLAMA, "prompt": "Once upon"}),
    *both("/v1/responses", {"model": LLAMA, "input": "Say hi."}),
    *both("/v1/responses", {"model": QWEN, "input": "Say hi.", "reasoning": {"effort": "low"}}),
    *both("/v1/responses", {"model": LLAMA, "input": ASK, "tools": [{"type": "function", **WEATHER}]}),
    *both("/v1/messages", {"model": LLAMA, "messages": HI, "max_tokens": 99}),
    *both("/v1/messages", {"model": LLAMA, "messages": ASK, "max_tokens": 99, "tools": [CLAUDE_TOOL]}),
    ("POST", "/v1/messages", {"model": LLAMA}),
    ("POST", "/v1/embeddings", {"model": MINILM, "input": "a", "encoding_format": "base64"}),
    ("GET", "/v1/models", None),
    ("GET", f"/v1/models/{LLAMA}", None),
    *both(OPENAI_CHAT, {"model": NANO, "messages": HI}),
    *both(OPENAI_CHAT, {"model": MINI, "messages": HI, "n": 3, "temperature": 2}),
    *both(OPENAI_CHAT, {"model": MINI, "messages": HI, "logprobs": True, "top_logprobs": 5}),
    *both(OPENAI_CHAT, {"model": NANO, "messages": ASK, "tools": [TOOL]}),
    *both(OPENAI_CHAT, {"model": MINI, "messages": HI, "response_format": SCHEMA}),
    ("POST", OPENAI_CHAT, {"model": NANO, "messages": HI, "temperature": 0}),
    ("POST", OPENAI_CHAT, {"model": "nosuch", "messages": HI}),
    *both("/openai/v1/responses", {"model": NANO, "input": "Say hi."}),
    *both("/openai/v1/responses", {"model": MINI, "input": ASK, "tools": [{"type": "function", **WEATHER}]}),
    ("POST", "/openai/v1/embeddings", {"model": EMBED, "input": "a", "dimensions": 8}),
    ("GET", "/openai/v1/models", None),
    *both(f"/openai/deployments/{MINI}/chat/completions{VERSION}", {"messages": HI}),
    ("POST", f"/openai/deployments/{EMBED}/embeddings{VERSION}", {"input": "a", "dimensions": 8}),
    ("POST", f"/openai/deployments/nosuch/chat/completions{VERSION}", {"messages": HI}),
    ("POST", "/openai/v1/nowhere", {}),
]
UNLIKE = ("date",)  # the one header that tells the time of day


def served(home: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "helpers", "practice", "--port", "0", "--home", str(home)]
    server = subprocess.Popen(
        [*command, "--models", "all", "--frozen"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert server.stdout
    yield server.stdout.readline().strip()
    server.terminate()
    server.wait(10)


def answers(url: str) -> list[tuple[int, list[tuple[str, str]], bytes]]:
    got = []
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        for method, path, body in QUESTIONS:
            content = None if body is None else json.dumps(body)
            reply = client.request(method, path, content=content, headers=headers(path))
            kept = [(name, value) for name, value in reply.headers.items() if name not in UNLIKE]
            got.append((reply.status_code, sorted(kept), reply.content))
    return got


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    runs = []
    home = tmp_path_factory.mktemp("frozen") / "home"  # the same path: `show` tells where the blobs lie
    for turn in range(2):
        for url in served(home):
            runs.append(answers(url))
        home.rename(home.with_name(f"used {turn}"))
    return runs


@pytest.mark.parametrize("number", range(len(QUESTIONS)), ids=lambda n: f"{n} {QUESTIONS[n][1]}")
def test_the_same_bytes_twice(twice: list[list[Any]], number: int) -> None:
    first, second = (run[number] for run in twice)
    assert first == second


def test_the_questions_are_answered(twice: list[list[Any]]) -> None:
    statuses = [status for status, _, _ in twice[0]]
    assert len(statuses) >= 60 and statuses.count(200) >= 55
