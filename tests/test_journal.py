"""The journal tells what was asked, and never a secret; it is bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.served import Served, served

CANARY = "canary-7f3a9c21d8"
PATH = "/practice/journal"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("journal") / "home", "--log") as one:
        yield one


@pytest.fixture
def client(own: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=own.url, trust_env=False) as one:
        one.delete(PATH)
        yield one


def entries(client: httpx.Client) -> list[dict]:
    return client.get(PATH).json()["entries"]


def test_an_entry_tells_request_and_outcome(client: httpx.Client) -> None:
    client.post("/api/show?x=1", json={"model": "none"}, headers={"x-mine": "a", "x-practice-fault": "503"})
    (entry,) = entries(client)
    assert (entry["method"], entry["path"], entry["query"]) == ("POST", "/api/show", "x=1")
    assert (entry["status"], entry["fault"], entry["body"]) == (503, "503", {"model": "none"})
    assert entry["headers"]["x-mine"] == "a" and entry["milliseconds"] > 0 and "cut" not in entry


def test_what_was_turned_away_is_told_too(client: httpx.Client) -> None:
    client.get("/api/tags", headers={"host": "evil.com"})
    client.get("/api/tags", headers={"origin": "http://evil.com"})
    client.get("/nowhere")
    assert [entry["status"] for entry in entries(client)] == [403, 403, 404]


SECRETS = [
    {"headers": {"authorization": f"Bearer {CANARY}"}, "json": {"note": f"I use {CANARY}"}},
    {"headers": {"authorization": f"Basic {CANARY}"}},
    {"headers": {"api-key": CANARY}, "json": {"prompt": f"my key is {CANARY}."}},
    {"headers": {"x-api-key": CANARY, "referer": f"http://localhost/?k={CANARY}"}},
    {"headers": {"cookie": f"session={CANARY}"}},
    {"headers": {"x-goog-api-key": CANARY}},
    {"headers": {"proxy-authorization": CANARY}},
    {"params": {"api-key": CANARY}},
    {"params": {"key": CANARY, "x": "1"}},
    {"params": {"token": CANARY, "sig": CANARY}},
    {"json": {"api_key": CANARY, "nested": [{"password": CANARY, "client_secret": CANARY}]}},
    {"json": {"text": f"curl -H 'Authorization: Bearer {CANARY}'"}},
    {"json": {"text": f"OPENAI_API_KEY=sk-{CANARY}{CANARY}"}},
    {"content": f'{{"api_key": "{CANARY}", broken'},
    {"content": f'{{"api_key": "{CANARY}'},
    {"content": f"Authorization: Bearer {CANARY}"},
    {"json": {"pad": "x" * 70_000, "api_key": CANARY}},
    {"json": {"api_key": CANARY, "pad": "x" * 70_000}},
]


@pytest.mark.parametrize("secret", SECRETS, ids=str)
def test_no_secret_is_told(own: Served, client: httpx.Client, secret: dict) -> None:
    client.post("/api/show", **{"json": {"model": "none"}, **secret} if "content" not in secret else secret)
    shown = client.get(PATH)
    assert len(shown.json()["entries"]) == 1
    assert CANARY not in shown.text
    assert CANARY not in own.errors.read_text()


def test_the_courses_own_key_is_hidden_as_a_header_only(client: httpx.Client) -> None:
    asked = {
        "model": "gpt-4o-mini",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "sk-practice"}],
    }
    client.post("/openai/v1/chat/completions", json=asked, headers={"authorization": "Bearer sk-practice"})
    (entry,) = entries(client)
    assert entry["body"] == asked
    assert entry["headers"]["authorization"] == "[hidden]"


def test_a_long_body_is_cut_with_a_note(client: httpx.Client) -> None:
    body = json.dumps({"model": "none", "pad": "x" * 200_000})
    client.post("/api/show", content=body)
    (entry,) = entries(client)
    assert entry["cut"] == f"the first 65536 of {len(body)} bytes of the body"
    assert entry["body"] == body[:65536]


def test_only_what_came_after_is_told(client: httpx.Client) -> None:
    client.get("/api/version")
    last = client.get(PATH).json()["last"]
    assert client.get(PATH, params={"after": last}).json() == {"entries": [], "last": last}
    client.get("/api/tags")
    client.get("/api/ps")
    news = client.get(PATH, params={"after": last}).json()
    assert [entry["path"] for entry in news["entries"]] == ["/api/tags", "/api/ps"]
    assert [entry["number"] for entry in news["entries"]] == [last + 1, last + 2] and news["last"] == last + 2
    assert client.get(PATH, params={"after": "x"}).status_code == 400


def test_it_can_be_emptied(client: httpx.Client) -> None:
    client.get("/api/version")
    assert client.delete(PATH).status_code == 204
    assert entries(client) == []


def test_it_is_bounded_in_entries_and_bytes(own: Served, client: httpx.Client) -> None:
    for number in range(230):
        client.get("/api/version", params={"n": number})
    kept = entries(client)
    assert len(kept) == 200 and kept[-1]["query"] == "n=229"
    for _ in range(100):
        client.post("/api/show", content=b"[" + b"1," * 40_000)
    shown = client.get(PATH)
    assert len(shown.content) < 6 * 1024 * 1024 and len(shown.json()["entries"]) == 64


def test_a_frozen_journal_is_the_same_in_two_runs(tmp_path: Path) -> None:
    def run(home: Path) -> list[dict]:
        with served(home, "--frozen") as own, httpx.Client(trust_env=False) as client:
            client.post(f"{own.url}/api/show", json={"model": "none"}, headers={"host": "localhost"})
            return client.get(f"{own.url}{PATH}").json()["entries"]

    assert run(tmp_path / "a") == run(tmp_path / "b")
