"""Faults on demand: chosen by a header, told in each surface's own words, seen by nobody else."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

CHAT = {
    "/api/chat": "llama3.2",
    "/api/generate": "llama3.2",
    "/v1/chat/completions": "llama3.2",
    "/v1/messages": "llama3.2",
    "/openai/v1/chat/completions": "gpt-4o-mini",
}
STREAMS = [path for path in CHAT if path != "/api/generate"]
KEY = {"authorization": "Bearer sk-practice"}


def ask(client: httpx.Client, path: str, fault: str = "", stream: bool = False) -> httpx.Response:
    asked: dict[str, Any] = {"model": CHAT[path], "stream": stream, "max_tokens": 40}
    asked |= {"messages": [{"role": "user", "content": "Tell me a fun fact"}]}
    if path == "/api/generate":
        asked["prompt"] = "Tell me a fun fact"
    return client.post(path, json=asked, headers={**KEY, **({"x-practice-fault": fault} if fault else {})})


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
@pytest.mark.parametrize("path", CHAT)
def test_a_status_in_the_surfaces_own_shape(client: httpx.Client, path: str, status: int) -> None:
    reply = ask(client, path, str(status))
    assert reply.status_code == status
    error = reply.json()["error"]
    if path.startswith("/api/"):
        assert isinstance(error, str) and list(reply.json()) == ["error"]
    elif path == "/v1/messages":
        assert list(reply.json()) == ["type", "error", "request_id"] and list(error) == ["type", "message"]
    else:
        assert list(error) == ["message", "type", "param", "code"]
    assert reply.headers.get("retry-after") == ("1" if status == 429 else None)
    assert reply.headers["x-practice"] == "scripted"


@pytest.mark.parametrize(
    "fault, kind, code, start",
    [
        ("401", "invalid_request_error", "invalid_api_key", "Incorrect API key provided: ***********."),
        ("404", "invalid_request_error", "model_not_found", "The model `gpt-4o-mini` does not exist"),
        ("429", "requests", "rate_limit_exceeded", "Rate limit reached for gpt-4o-mini"),
        ("429; reason=tokens", "tokens", "rate_limit_exceeded", "Rate limit reached for gpt-4o-mini"),
        ("429; reason=quota", "insufficient_quota", "insufficient_quota", "You exceeded your current quota"),
        ("500", "server_error", None, "The server had an error while processing your request."),
        ("503", "service_unavailable_error", "server_is_overloaded", "Our servers are currently overloaded."),
    ],
)
def test_openai_says_what_openai_says(
    client: httpx.Client, fault: str, kind: str, code: str | None, start: str
) -> None:
    reply = ask(client, "/openai/v1/chat/completions", fault)
    error = reply.json()["error"]
    assert (error["type"], error["code"]) == (kind, code)
    assert error["message"].startswith(start)
    assert reply.headers["x-request-id"].startswith("req_")
    assert ("x-ratelimit-remaining-requests" in reply.headers) == ("429" in fault and "quota" not in fault)


def test_when_to_come_back_is_said_in_header_and_words(client: httpx.Client) -> None:
    reply = ask(client, "/openai/v1/chat/completions", "429; retry-after=20")
    assert reply.headers["retry-after"] == "20"
    assert reply.headers["x-ratelimit-reset-requests"] == "20s"
    assert "Please try again in 20s." in reply.json()["error"]["message"]
    assert ask(client, "/api/chat", "503; retry-after=3").headers["retry-after"] == "3"
    assert "retry-after" not in ask(client, "/openai/v1/chat/completions", "429; reason=quota").headers


def test_a_fault_comes_before_the_endpoint_looks(client: httpx.Client) -> None:
    reply = client.post("/api/chat", content=b"no json", headers={"x-practice-fault": "503"})
    assert reply.status_code == 503
    assert client.get("/nowhere", headers={"x-practice-fault": "503"}).status_code == 404


@pytest.mark.parametrize("path", CHAT)
def test_slow_delays_the_first_byte_and_nothing_else(client: httpx.Client, path: str) -> None:
    began = time.monotonic()
    late = ask(client, path, "slow; seconds=0.25")
    assert time.monotonic() - began >= 0.25
    assert late.content == ask(client, path).content


def frames(path: str, content: bytes) -> list[bytes]:
    return content.split(b"\n" if path.startswith("/api/") else b"\n\n")


def taken(client: httpx.Client, path: str, fault: str, stream: bool) -> bytes:
    """What arrives of a reply that breaks off."""
    content = b""
    asked = {"model": CHAT[path], "stream": stream, "max_tokens": 40}
    asked |= {"messages": [{"role": "user", "content": "Tell me a fun fact"}]}
    with (
        pytest.raises(httpx.RemoteProtocolError),
        client.stream("POST", path, json=asked, headers={**KEY, "x-practice-fault": fault}) as reply,
    ):
        assert reply.status_code == 200
        for part in reply.iter_raw():
            content += part
    return content


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("after", [0, 1, 4])
def test_cut_breaks_the_connection_after_some_frames(client: httpx.Client, path: str, after: int) -> None:
    whole = frames(path, ask(client, path, stream=True).content)
    *good, half = frames(path, taken(client, path, f"cut; after={after}", stream=True))
    assert good == whole[:after]
    assert half and whole[after].startswith(half) and half != whole[after]


@pytest.mark.parametrize("path", STREAMS)
def test_cut_breaks_a_reply_that_is_no_stream_in_its_middle(client: httpx.Client, path: str) -> None:
    whole = ask(client, path).content
    assert taken(client, path, "cut", stream=False) == whole[: len(whole) // 2]


def test_cut_after_more_frames_than_there_are_loses_only_the_end(client: httpx.Client) -> None:
    whole = ask(client, "/api/chat", stream=True).content
    assert taken(client, "/api/chat", "cut; after=500", stream=True) == whole


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("after", [0, 3])
def test_one_frame_is_broken_and_the_others_are_not(client: httpx.Client, path: str, after: int) -> None:
    whole = frames(path, ask(client, path, stream=True).content)
    spoilt = frames(path, ask(client, path, f"broken-frame; after={after}", stream=True).content)
    assert len(spoilt) == len(whole)
    assert [i for i, (a, b) in enumerate(zip(whole, spoilt, strict=True)) if a != b] == [after]
    with pytest.raises(ValueError):
        json.loads(spoilt[after].partition(b"data: ")[2] or spoilt[after])


def test_a_reply_that_is_no_stream_can_be_broken_too(client: httpx.Client) -> None:
    reply = ask(client, "/openai/v1/chat/completions", "broken-frame")
    assert reply.status_code == 200
    with pytest.raises(ValueError):
        reply.json()


def test_an_error_is_not_spoilt(client: httpx.Client) -> None:
    reply = client.post("/api/chat", json={"model": "none"}, headers={"x-practice-fault": "cut; after=0"})
    assert reply.json() == {"error": "model 'none' not found"}


@pytest.mark.parametrize(
    "fault, said",
    [
        ("418", "there is no fault '418'; choose one of 401, 404, 429, 500, 503, slow, cut, broken-frame"),
        ("", "there is no fault ''"),
        ("cut; before=1", "'cut' takes no setting 'before'; it takes after, times, id"),
        ("cut; after=-1", "after must be a whole number from 0 to 1000000, not '-1'"),
        ("cut; after=1.5", "after must be a whole number"),
        ("slow; seconds=1e9", "seconds must be a number from 0 to 600, not '1e9'"),
        ("slow; seconds=nan", "seconds must be a number from 0 to 600, not 'nan'"),
        ("429; reason=greed", "reason must be one of requests, tokens, quota, not 'greed'"),
        ("429; times=2", "times needs an id of your own, for example '429; times=2; id=mine'"),
    ],
)
@pytest.mark.parametrize("path", CHAT)
def test_what_is_no_fault_is_refused_in_one_sentence(
    client: httpx.Client, path: str, fault: str, said: str
) -> None:
    reply = client.post(path, json={}, headers={"x-practice-fault": fault})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert said in (error if isinstance(error, str) else error["message"])


def test_two_failures_and_then_it_works(client: httpx.Client) -> None:
    got = [ask(client, "/api/chat", "503; times=2; id=mine").status_code for _ in range(7)]
    assert got == [503, 503, 200, 503, 503, 200, 503]
    assert ask(client, "/api/chat", "503; times=1; id=another").status_code == 503
    assert ask(client, "/api/chat", "503; times=1; id=another").status_code == 200


def test_the_official_client_gets_there_by_itself(url: str) -> None:
    import openai

    client = openai.OpenAI(
        base_url=f"{url}/openai/v1",
        api_key="sk-practice",
        max_retries=2,
        default_headers={"x-practice-fault": "429; times=2; retry-after=0.01; id=sdk"},
    )
    reply = client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}]
    )
    assert reply.retries_taken == 2 and reply.parse().choices[0].message.content
    with pytest.raises(openai.RateLimitError) as caught:
        client.with_options(max_retries=0).chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}]
        )
    assert caught.value.code == "rate_limit_exceeded"


@pytest.mark.parametrize("path", CHAT)
@pytest.mark.parametrize("fault", ["401", "429", "500", "broken-frame"])
def test_frozen_faults_are_the_same_every_time(client: httpx.Client, path: str, fault: str) -> None:
    first, second = ask(client, path, fault, stream=True), ask(client, path, fault, stream=True)
    assert first.content == second.content
    without_date = [[item for item in one.headers.items() if item[0] != "date"] for one in (first, second)]
    assert without_date[0] == without_date[1]


def test_nothing_shows_where_the_header_is_absent(client: httpx.Client) -> None:
    for path in CHAT:
        reply = ask(client, path)
        assert reply.status_code == 200
        assert "practice-fault" not in str(reply.headers) and b"practice-fault" not in reply.content
    preflight = {"origin": "http://localhost:3000", "access-control-request-method": "POST"}
    assert "practice-fault" not in str(client.options("/api/chat", headers=preflight).headers).lower()
