"""What stays loaded and for how long, who waits and who is turned away, by Ollama 0.32.15's rules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

FIRST, SECOND, THIRD, FOURTH = "gemma3:1b", "llama3.2", "qwen3:0.6b", "gemma3:4b"
PACE = 50  # tokens a second
SHORT, LONG = 10, 100_000  # tokens
PATIENCE = 20.0  # seconds
BUSY = "server busy, please try again.  maximum pending requests exceeded"

Serve = Callable[..., httpx.Client]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start a server with these settings, once for each set of them."""
    running: dict[Any, tuple[subprocess.Popen[str], httpx.Client]] = {}

    def started(**settings: str) -> httpx.Client:
        key = tuple(sorted(settings.items()))
        if key not in running:
            home = tmp_path_factory.mktemp("home")
            command = [sys.executable, "-m", "helpers.practice.server", "--port", "0", "--models", "all"]
            server = subprocess.Popen(
                [*command, "--home", str(home), "--pace", str(PACE)],
                env=os.environ | settings,
                cwd=Path(__file__).parents[1],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert server.stdout
            url = server.stdout.readline().strip()
            running[key] = server, httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False)
        client = running[key][1]
        unload(client)
        return client

    yield started
    for server, client in running.values():
        client.close()
        server.terminate()
        server.wait(PATIENCE)


def unload(client: httpx.Client) -> None:
    for name in loaded(client):
        client.post("/api/generate", json={"model": name, "keep_alive": 0})
    until(lambda: not loaded(client))


def until(done: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := done():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def ps(client: httpx.Client) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in client.get("/api/ps").json()["models"]}


def loaded(client: httpx.Client) -> list[str]:
    return list(ps(client))


def body(model: str, tokens: int = SHORT, **more: Any) -> dict[str, Any]:
    # A JSON schema without an end gives a reply as long as wanted.
    schema = {"type": "array", "items": {"type": "string"}, "minItems": 10_000}
    options = {"num_predict": tokens, **more.pop("options", {})}
    return {"model": model, "prompt": "Hello", "format": schema, "options": options, **more}


def ask(client: httpx.Client, model: str, tokens: int = SHORT, **more: Any) -> httpx.Response:
    return client.post("/api/generate", json=body(model, tokens, stream=False, **more))


@contextmanager
def writing(client: httpx.Client, model: str, tokens: int = LONG, **more: Any) -> Iterator[Iterator[str]]:
    """A reply that is being written; the client goes away at the end of the block."""
    with client.stream("POST", "/api/generate", json=body(model, tokens, **more)) as reply:
        lines = reply.iter_lines()
        next(lines)
        yield lines


def expiry(client: httpx.Client, model: str) -> timedelta:
    """How long the model has still, as ps tells it."""
    text = ps(client)[model]["expires_at"]
    whole, _, rest = text.partition(".")
    zone = rest.lstrip("0123456789") if rest else ""
    at = datetime.fromisoformat(whole.removesuffix("Z") + (zone or "").replace("Z", ""))
    at = at if at.tzinfo else at.replace(tzinfo=timezone.utc)
    return at - datetime.now(timezone.utc)


def about(wanted: float, measured: timedelta) -> bool:
    return wanted - 15 < measured.total_seconds() <= wanted + 1


def test_a_model_is_loaded_on_use_for_five_minutes(serve: Serve) -> None:
    client = serve()
    assert ask(client, FIRST).json()["load_duration"] > 0
    assert loaded(client) == [FIRST]
    assert about(300, expiry(client, FIRST))


def test_keep_alive_is_kept_until_another_is_given(serve: Serve) -> None:
    client = serve()
    ask(client, FIRST, keep_alive="10m")
    ask(client, FIRST)
    assert about(600, expiry(client, FIRST))
    ask(client, FIRST, keep_alive=60)
    assert about(60, expiry(client, FIRST))


def test_a_negative_keep_alive_is_for_ever(serve: Serve) -> None:
    client = serve()
    ask(client, FIRST, keep_alive=-1)
    assert ps(client)[FIRST]["expires_at"].startswith("23")  # in 292 years


def test_a_model_goes_when_its_time_is_over_and_not_while_it_writes(serve: Serve) -> None:
    client = serve()
    with writing(client, FIRST, 30, keep_alive="300ms") as lines:
        for _ in lines:
            assert loaded(client) == [FIRST]
    ended = time.monotonic()
    until(lambda: not loaded(client))
    assert time.monotonic() - ended > 0.2


def test_keep_alive_0_unloads_after_the_reply(serve: Serve) -> None:
    client = serve()
    with writing(client, FIRST, keep_alive=0):
        assert loaded(client) == [FIRST]
    until(lambda: not loaded(client))


def test_an_unload_waits_for_the_reply(serve: Serve) -> None:
    client = serve()
    with writing(client, FIRST) as lines:
        reply = client.post("/api/generate", json={"model": FIRST, "keep_alive": 0}).json()
        assert reply["done_reason"] == "unload"
        assert loaded(client) == [FIRST]
        assert abs(expiry(client, FIRST).total_seconds()) < 15
        assert json.loads(next(lines))["done"] is False
    until(lambda: not loaded(client))


def test_the_setting_for_keep_alive(serve: Serve) -> None:
    client = serve(OLLAMA_KEEP_ALIVE=' "120" ')
    ask(client, FIRST)
    assert about(120, expiry(client, FIRST))


def test_what_has_least_time_makes_room_for_a_fourth_model(serve: Serve) -> None:
    client = serve()
    ask(client, FIRST, keep_alive="1h")
    ask(client, SECOND, keep_alive="1m")
    ask(client, THIRD, keep_alive="2h")
    ask(client, FOURTH)
    assert set(loaded(client)) == {FIRST, THIRD, FOURTH}


def test_a_copy_is_the_same_model_in_memory(serve: Serve) -> None:
    client = serve()
    client.post("/api/copy", json={"source": FIRST, "destination": "second-name"})
    ask(client, FIRST)
    ask(client, "second-name", keep_alive="1h")
    assert loaded(client) == [FIRST]
    assert about(3600, expiry(client, FIRST))
    client.post("/api/generate", json={"model": "second-name", "keep_alive": 0})
    assert loaded(client) == []


def test_another_context_length_loads_anew(serve: Serve) -> None:
    client = serve()
    ask(client, FIRST)
    assert ps(client)[FIRST]["context_length"] == 4096
    ask(client, FIRST, options={"num_ctx": 2048})
    assert ps(client)[FIRST]["context_length"] == 2048
    ask(client, FIRST, options={"num_ctx": 1_000_000})
    assert ps(client)[FIRST]["context_length"] == 32768


def test_a_busy_model_is_waited_for_and_the_queue_has_an_end(serve: Serve) -> None:
    client = serve(OLLAMA_MAX_LOADED_MODELS="1", OLLAMA_MAX_QUEUE="1")
    answers: list[httpx.Response] = []

    def asking(model: str) -> Thread:
        thread = Thread(target=lambda: answers.append(ask(client, model)))
        thread.start()
        return thread

    with writing(client, FIRST) as lines:
        threads = [asking(model) for model in (SECOND, THIRD, FOURTH)]  # one waits to load, one for its turn
        until(lambda: answers)
        assert answers[0].status_code == 503 and answers[0].json() == {"error": BUSY}
        messages = [{"role": "user", "content": "Hello"}]
        reply = client.post("/v1/chat/completions", json={"model": FOURTH, "messages": messages})
        assert reply.status_code == 503 and reply.json()["error"]["message"] == BUSY
        assert ask(client, FIRST).status_code == 200  # what is loaded needs no place in the queue
        assert loaded(client) == [FIRST]
        assert json.loads(next(lines))["done"] is False
        assert len(answers) == 1
    for thread in threads:
        thread.join(PATIENCE)
    assert [reply.status_code for reply in answers] == [503, 200, 200]


def test_who_goes_away_leaves_the_queue(serve: Serve) -> None:
    client = serve(OLLAMA_MAX_LOADED_MODELS="1", OLLAMA_MAX_QUEUE="1")
    with writing(client, FIRST):
        for _ in range(5):
            with pytest.raises(httpx.ReadTimeout):
                client.post("/api/generate", json=body(SECOND, stream=False), timeout=0.2)
    assert ask(client, THIRD).status_code == 200


def test_one_slot_is_given_on_when_its_client_goes_away(serve: Serve) -> None:
    client = serve(OLLAMA_NUM_PARALLEL="1")
    with writing(client, FIRST):
        with pytest.raises(httpx.ReadTimeout):
            client.post("/api/generate", json=body(FIRST), timeout=0.3)
        assert ask(client, SECOND).status_code == 200
    reply = ask(client, FIRST).json()
    assert reply["done_reason"] == "length"


def test_a_slot_is_given_on_when_a_client_without_stream_goes_away(serve: Serve) -> None:
    client = serve(OLLAMA_NUM_PARALLEL="1")
    with pytest.raises(httpx.ReadTimeout):
        client.post("/api/generate", json=body(FIRST, LONG, stream=False), timeout=0.5)
    assert ask(client, FIRST).status_code == 200


def test_a_turn_waited_for_is_no_time_of_the_model(serve: Serve) -> None:
    client = serve(OLLAMA_NUM_PARALLEL="1")
    answers: list[dict[str, Any]] = []
    with writing(client, FIRST):
        thread = Thread(target=lambda: answers.append(ask(client, FIRST).json()))
        thread.start()
        time.sleep(0.5)
    thread.join(PATIENCE)
    reply = answers[0]
    parts = ("load_duration", "prompt_eval_duration", "eval_duration")
    assert reply["total_duration"] - sum(reply[part] for part in parts) > 300_000_000
