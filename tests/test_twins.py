"""Every program that a request is shown as sends that very request."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai.resources.chat import Completions

from helpers import Exchange, fields, send, twins
from helpers.practice import launcher

QUESTION = [{"role": "user", "content": "Why is 'it' \"$HOME\" `blue`?\nGrüße, 世界 🙂"}]
PAYLOADS: dict[str, dict[str, Any]] = {
    "plain": {"model": "gpt-4o-mini", "messages": QUESTION},
    "stream": {"model": "gpt-4o-mini", "messages": QUESTION, "stream": True, "max_tokens": 5},
    "unknown to the client": {"model": "gpt-4o-mini", "messages": QUESTION, "keep_alive": "5m"},
    "tools": {
        "model": "gpt-4o-mini",
        "messages": QUESTION,
        "tools": [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}],
        "temperature": None,
        "logprobs": True,
    },
}


@pytest.fixture(autouse=True)
def variables(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/openai/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-practice-twins")
    monkeypatch.setenv("OLLAMA_HOST", url)


def last(client: httpx.Client) -> dict[str, Any]:
    """What the server was asked last."""
    entry = client.get("/practice/journal").json()["entries"][-1]
    return {"path": entry["path"], "body": entry["body"]}


def ran(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 or "BadRequestError" in done.stderr, done.stderr


@pytest.mark.parametrize("name", PAYLOADS)
def test_the_programs_send_the_same(client: httpx.Client, name: str) -> None:
    exchange = send(PAYLOADS[name], headers={"x-note": "a 'quoted' one"})
    sent = last(client)
    for program in (twins.python(exchange), twins.openai(exchange)):
        assert "sk-practice" not in program
        ran(program)
        assert last(client) == sent


def test_every_field_is_one_that_the_client_takes() -> None:
    known = {place for place in fields.request("openai") if re.fullmatch("[a-z_]+", place)}
    assert known <= set(inspect.signature(Completions.create).parameters)


@pytest.mark.skipif(os.name == "nt", reason="curl lines are for a POSIX shell")
@pytest.mark.parametrize("name", PAYLOADS)
def test_curl_sends_the_same(client: httpx.Client, name: str) -> None:
    exchange = send(PAYLOADS[name])
    sent = last(client)
    done = subprocess.run(["sh", "-c", twins.curl(exchange)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert last(client) == sent


@pytest.mark.skipif(os.name == "nt", reason="the lines are for a POSIX shell")
@pytest.mark.parametrize("path", ["/api/generate", "/api/chat", "/chat/completions"])
def test_the_command_asks_the_same_question(
    client: httpx.Client, url: str, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
    monkeypatch.setenv("PATH", f"{launcher.folder()}{os.pathsep}{os.environ['PATH']}")
    asked = {"prompt": "Why?\nIt's blue"} if path == "/api/generate" else {"messages": QUESTION}
    exchange = send({"model": "llama3.2", **asked, "keep_alive": "7m", "options": {"seed": 1}}, path)
    line = twins.ollama(exchange)
    assert "# No flag says options" in line
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    body = last(client)["body"]
    body = json.loads(body) if isinstance(body, str) else body
    assert body["prompt"] == asked.get("prompt", QUESTION[0]["content"])
    assert body["keep_alive"] in ("7m", "7m0s")


def shown(payload: Any, path: str) -> Exchange:
    return send(payload, path)


def test_what_a_client_cannot_say_is_said() -> None:
    assert twins.openai(shown({"model": "llama3.2", "prompt": "Hi"}, "/api/generate")).startswith(
        "# The client's"
    )
    two = [*QUESTION, {"role": "assistant", "content": "Why not?"}, *QUESTION]
    assert twins.ollama(send({"model": "gpt-4o-mini", "messages": two})).startswith(
        "# `ollama run` sends one"
    )


def test_a_program_can_be_pasted_anywhere(tmp_path: Path) -> None:
    file = tmp_path / "again.py"
    file.write_text(send(PAYLOADS["plain"]).python(), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, timeout=30, encoding="utf-8"
    )
    assert done.stdout.startswith("200 "), done.stderr
