"""send() and stream() against a server that writes raw bytes: any way of cutting a reply can be tried."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from helpers import CourseError, Exchange, send, stream

KEY = "sk-live-0123456789abcdef"
PAYLOAD = {"model": "m", "messages": [{"role": "user", "content": "Tell me a fun fact"}]}

Piece = bytes | Callable[[], object]


class Server:
    """Answers every connection with the pieces given: bytes are sent, callables are called in between."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.requests: list[bytes] = []
        self.hung_up = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def answers(self, *pieces: Piece) -> None:
        self.pieces = list(pieces)

    @property
    def body(self) -> bytes:
        return self.requests[-1].partition(b"\r\n\r\n")[2]

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(65536)
                if received.startswith(b"\x16"):  # a TLS handshake
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    return
            head, _, body = received.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            while len(body) < length:
                body += connection.recv(65536)
            self.requests.append(head + b"\r\n\r\n" + body)
            try:
                for piece in self.pieces:
                    connection.sendall(piece) if isinstance(piece, bytes) else piece()
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(10)
                if not connection.recv(1):
                    self.hung_up.set()
            except OSError:
                self.hung_up.set()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    one = Server()
    monkeypatch.setenv("OPENAI_BASE_URL", f"{one.url}/v1")
    monkeypatch.setenv("OLLAMA_HOST", one.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    yield one
    one.close()


def whole(
    body: bytes | str | dict[str, Any], status: str = "200 OK", kind: str = "application/json"
) -> bytes:
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    body = body.encode() if isinstance(body, str) else body
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def head(kind: str = "text/event-stream; charset=utf-8", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()


def chunk(data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


END = b"0\r\n\r\n"


def says(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {"model": "m-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def sse(*events: Any) -> str:
    texts = [event if isinstance(event, str) else json.dumps(event, ensure_ascii=False) for event in events]
    return "".join(f"data: {text}\n\n" for text in texts)


def read(payload: Any = PAYLOAD, path: str = "/chat/completions", **more: Any) -> Exchange:
    async def run() -> Exchange:
        return await (await stream(payload, path, **more)).read()

    return asyncio.run(run())


def until(true: Callable[[], object], limit: float = 5) -> None:
    deadline = time.monotonic() + limit
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


# What is sent


def test_the_body_is_what_httpx_itself_would_send(server: Server) -> None:
    server.answers(whole({}))
    payload = {"text": 'it\'s "ü" 🙂\n<&>', "n": 1.5, "list": (1, None, True)}
    exchange = send(payload)
    assert server.body == httpx.Request("POST", "http://x", json=payload).content == exchange.request.content
    assert server.requests[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"authorization: bearer " + KEY.encode() in server.requests[0].lower()


def test_the_record_does_not_change_with_the_payload(server: Server) -> None:
    server.answers(whole({}))
    payload = {"messages": [{"role": "user", "content": "one"}]}
    exchange = send(payload)
    payload["messages"].append({"role": "user", "content": "two"})
    assert exchange.request.payload == {"messages": [{"role": "user", "content": "one"}]}


def test_ollamas_own_paths_go_to_ollama_and_get_no_key(server: Server) -> None:
    server.answers(whole({}))
    send({}, "/api/chat")
    assert server.requests[0].startswith(b"POST /api/chat HTTP/1.1\r\n")
    assert KEY.encode() not in server.requests[0]


def test_own_headers_win(server: Server) -> None:
    server.answers(whole({}))
    send({}, headers={"Authorization": "Bearer other", "X-Course": "1"})
    assert b"authorization: bearer other\r\n" in server.requests[0].lower()
    assert b"x-course: 1\r\n" in server.requests[0].lower() and KEY.encode() not in server.requests[0]


def test_no_proxy_stands_before_this_machine(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:9")
    server.answers(whole(says("hi")))
    assert send({}).reply.status == 200
    assert read().reply.status == 200


# What comes back


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
SHAPES = {
    "chat completions": {
        "model": "m-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "reasoning": "Hm", "tool_calls": [CALL]},
                "finish_reason": "stop",
            }
        ],
        "usage": {"total_tokens": 3},
    },
    "content in parts": {
        "model": "m-1",
        "choices": [
            {
                "message": {
                    "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}],
                    "reasoning_content": "Hm",
                    "tool_calls": [CALL],
                },
                "finish_reason": "stop",
            }
        ],
        "usage": {"total_tokens": 3},
    },
    "/api/chat": {
        "model": "m-1",
        "message": {"role": "assistant", "content": "Hi", "thinking": "Hm", "tool_calls": [CALL]},
        "done": True,
        "done_reason": "stop",
        "total_duration": 5,
        "eval_count": 3,
    },
    "/api/generate": {
        "model": "m-1",
        "response": "Hi",
        "thinking": "Hm",
        "tool_calls": [CALL],
        "done": True,
        "done_reason": "stop",
        "eval_count": 3,
    },
    "/v1/completions": {
        "model": "m-1",
        "choices": [
            {"index": 0, "text": "Hi", "reasoning": "Hm", "tool_calls": [CALL], "finish_reason": "stop"}
        ],
        "usage": {"total_tokens": 3},
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_reply_is_understood(server: Server, shape: str) -> None:
    server.answers(whole(SHAPES[shape]))
    exchange = send({})
    assert (exchange.text, exchange.thinking, exchange.tool_calls) == ("Hi", "Hm", [CALL])
    assert (exchange.model, exchange.finish_reason, exchange.error) == ("m-1", "stop", None)
    assert exchange.usage in ({"total_tokens": 3}, {"eval_count": 3})
    assert exchange.complete and exchange.broken is None and exchange.frames == []
    assert exchange.reply.json == SHAPES[shape] and json.loads(exchange.reply.body) == SHAPES[shape]
    timings = exchange.timings
    assert timings.first_byte and timings.total and 0 < timings.first_byte <= timings.total


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (
            "401 Unauthorized",
            '{"error": {"message": "no key", "code": null}}',
            {"message": "no key", "code": None},
        ),
        ("404 Not Found", '{"error": "model \'x\' not found"}', "model 'x' not found"),
        ("404 Not Found", "404 page not found", "404 page not found"),
        ("403 Forbidden", "", "Forbidden"),
        ("400 Bad Request", '[{"error": {"message": "Gemini"}}]', {"message": "Gemini"}),
        ("422 Unprocessable Entity", '{"detail": "extra"}', {"detail": "extra"}),
        ("502 Bad Gateway", "<html>bad</html>", "<html>bad</html>"),
        ("200 OK", '{"error": {"message": "no credits"}}', {"message": "no credits"}),
        ("200 OK", '{"error": null}', None),
        ("301 Moved Permanently", "", None),
    ],
)
def test_a_status_is_never_raised(server: Server, status: str, body: str, error: Any) -> None:
    server.answers(whole(body, status))
    for exchange in (send({}), read({})):
        assert f"{exchange.reply.status} {exchange.reply.reason}" == status
        assert exchange.error == error and exchange.complete and exchange.reply.body == body.encode()


# Streams

STREAM = [
    says("", more=1),
    says("Zoë 🙂"),
    says("line\u2028separator"),
    says(None, "stop"),
    {"choices": [], "usage": {"total_tokens": 9}},
]
SPELLINGS = {
    "as OpenAI": sse(*STREAM, "[DONE]"),
    "CR LF": sse(*STREAM, "[DONE]").replace("\n", "\r\n"),
    "CR": sse(*STREAM, "[DONE]").replace("\n", "\r"),
    "comments, names, ids": ": hello\n\n"
    + sse(*STREAM, "[DONE]").replace("data:", "id: 1\nretry: 9\n: c\ndata:"),
    "no space, a BOM": "\ufeff" + sse(*STREAM, "[DONE]").replace("data: ", "data:"),
    "events over two lines": sse(*STREAM, "[DONE]").replace(', "choices', ',\ndata: "choices'),
    "no [DONE]": sse(*STREAM),
    "no empty line at the end": sse(*STREAM, "[DONE]").rstrip("\n"),
}


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_events_are_read_however_they_are_spelt_and_cut(server: Server, spelling: str, size: int) -> None:
    data = SPELLINGS[spelling].encode()
    cuts = [chunk(data[at : at + size]) for at in range(0, len(data), size)]
    server.answers(head(), b"".join(cuts), END)
    exchange = read()
    assert [frame.data for frame in exchange.frames if frame.raw != "[DONE]"] == STREAM
    assert exchange.text == "Zoë 🙂line\u2028separator" and exchange.finish_reason == "stop"
    assert exchange.usage == {"total_tokens": 9} and exchange.complete and exchange.error is None
    assert exchange.reply.body == data


@pytest.mark.parametrize("size", [1, 100_000])
def test_json_lines_are_read_however_they_are_cut(server: Server, size: int) -> None:
    lines = [
        {"response": "Zoë\u2028🙂", "done": False},
        {"response": "", "done": True, "done_reason": "length"},
    ]
    data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    cuts = [chunk(data[at : at + size]) for at in range(0, len(data), size)]
    server.answers(head("application/x-ndjson"), b"".join(cuts), END)
    exchange = read({}, "/api/generate")
    assert [frame.data for frame in exchange.frames] == lines
    assert (exchange.text, exchange.finish_reason, exchange.complete) == ("Zoë\u2028🙂", "length", True)


def test_send_reads_a_stream_too(server: Server) -> None:
    server.answers(head(), chunk(sse(says("a"))), chunk(sse(says("b", "stop"), "[DONE]")), END)
    exchange = send(PAYLOAD)
    assert (exchange.text, len(exchange.frames), exchange.frames[-1].data) == ("ab", 3, "[DONE]")
    assert exchange.timings.first_token == exchange.frames[0].at


def test_tool_calls_are_put_together(server: Server) -> None:
    def piece(index: int, arguments: str, **more: Any) -> dict[str, Any]:
        call = {"index": index, **more, "function": {"arguments": arguments}}
        if more:
            call["function"]["name"] = f"f{index}"
        return {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}

    server.answers(
        head(),
        chunk(
            sse(
                piece(0, "", id="c0", type="function"),
                piece(0, '{"a"'),
                piece(1, "{", id="c1", type="function"),
            )
        ),
        chunk(sse(piece(0, ":1}"), piece(1, "}"), says(None, "tool_calls"), "[DONE]")),
        END,
    )
    assert read().tool_calls == [
        {"index": 0, "id": "c0", "type": "function", "function": {"arguments": '{"a":1}', "name": "f0"}},
        {"index": 1, "id": "c1", "type": "function", "function": {"arguments": "{}", "name": "f1"}},
    ]


def test_only_the_first_of_several_choices_is_the_text(server: Server) -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]}
    server.answers(head(), chunk(sse(says("yes"), other, says(None, "stop"), other, "[DONE]")), END)
    exchange = read()
    assert (exchange.text, exchange.finish_reason) == ("yes", "stop")


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        ("text/event-stream", 'data: {"error": {"message": "overloaded"}}\n\n'),
        ("text/event-stream", 'event: error\ndata: {"message": "overloaded"}\n\n'),
        ("text/event-stream", '{"error": {"message": "overloaded"}}\n'),
        ("application/x-ndjson", '{"error": {"message": "overloaded"}}\n'),
    ],
)
def test_an_error_in_the_middle_is_kept(server: Server, kind: str, last: str) -> None:
    first = sse(says("so far")) if kind == "text/event-stream" else '{"response": "so far"}\n'
    server.answers(head(kind), chunk(first), chunk(last), END)
    exchange = read()
    assert exchange.text == "so far" and exchange.error == {"message": "overloaded"}
    assert len(exchange.frames) == 2


def test_a_cut_connection_leaves_what_came(server: Server) -> None:
    server.answers(head(), chunk(sse(says("so far"))), chunk('data: {"choi'))
    for exchange in (read(), send(PAYLOAD)):
        assert (
            exchange.text == "so far" and not exchange.complete and exchange.broken == "the connection broke"
        )
        assert exchange.frames[-1].data == '{"choi'
        assert "incomplete" in repr(exchange)


def test_a_stream_that_ends_too_early_is_told_from_one_that_is_done(server: Server) -> None:
    server.answers(head(), chunk(sse(says("so far"))), END)
    exchange = read()
    assert exchange.text == "so far" and not exchange.complete and "finish_reason" in (exchange.broken or "")
    server.answers(head("application/x-ndjson"), chunk('{"status": "pulling"}\n{"status": "success"}\n'), END)
    assert read({}, "/api/pull").complete


def test_silence_in_the_middle_ends_the_wait(server: Server) -> None:
    over = threading.Event()
    server.answers(head(), chunk(sse(says("so far"))), over.wait)
    exchange = read(timeout=0.2)
    over.set()
    assert exchange.text == "so far" and exchange.broken == "nothing more came in time"


def test_reading_is_lazy_and_can_be_taken_up_again(server: Server) -> None:
    begun, more = threading.Event(), threading.Event()
    server.answers(head(), lambda: begun.wait(5), chunk(sse(says("a"))), lambda: more.wait(5))
    server.pieces += [chunk(sse(says("b", "stop"), "[DONE]")), END]

    async def run() -> None:
        exchange = await stream(PAYLOAD)  # returns although nothing but the head was sent
        assert exchange.streaming and exchange.frames == [] and "still open" in repr(exchange)
        begun.set()
        async for frame in exchange:
            assert frame.delta["content"] == "a"
            break
        assert exchange.text == "a" and exchange.timings.total is None
        more.set()
        await exchange.read()
        assert exchange.text == "ab" and exchange.complete and not exchange.streaming
        assert [frame async for frame in exchange] == []

    asyncio.run(run())


def test_a_cancelled_reader_keeps_what_came_and_hangs_up(server: Server) -> None:
    over = threading.Event()
    server.answers(head(), chunk(sse(says("so far"))), over.wait)

    async def run() -> Exchange:
        exchange = await stream(PAYLOAD)
        reading = asyncio.create_task(exchange.read())
        while not exchange.frames:
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return exchange

    exchange = asyncio.run(run())
    over.set()
    assert (exchange.text, exchange.complete, exchange.broken) == ("so far", False, "interrupted")
    assert server.hung_up.wait(5)


def test_one_task_can_stop_what_another_reads(server: Server) -> None:
    over = threading.Event()
    server.answers(head(), chunk(sse(says("so far"))), over.wait)

    async def run() -> Exchange:
        exchange = await stream(PAYLOAD)
        reading = asyncio.create_task(exchange.read())
        while not exchange.frames:
            await asyncio.sleep(0)
        await exchange.aclose()
        await asyncio.wait_for(reading, 5)
        return exchange

    exchange = asyncio.run(run())
    over.set()
    assert (exchange.text, exchange.broken) == ("so far", "closed before the end")


@pytest.mark.parametrize("way", ["aclose", "with", "garbage", "unread garbage"])
@pytest.mark.filterwarnings("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning")
def test_an_abandoned_stream_is_closed(server: Server, way: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # what earlier tests left behind is none of this one's
    over = threading.Event()
    server.answers(head(), chunk(sse(says("so far"))), over.wait)

    async def leave() -> None:
        exchange = await stream(PAYLOAD)
        if way != "unread garbage":
            await anext(exchange)
        if way == "aclose":
            await exchange.aclose()
        elif way == "with":
            async with exchange:
                pass
        del exchange
        gc.collect()

    async def run() -> None:
        await leave()
        over.set()  # from here on the server waits for us to hang up
        assert await asyncio.to_thread(server.hung_up.wait, 5)

    asyncio.run(run())


def test_a_long_stream_takes_linear_time(server: Server) -> None:
    count = 50_000
    data = sse(*[says("word ")] * count, says(None, "stop"), "[DONE]").encode()
    server.answers(head(), *[chunk(data[at : at + 4096]) for at in range(0, len(data), 4096)], END)

    async def run() -> Exchange:
        exchange = await stream(PAYLOAD)
        async for _ in exchange:
            assert exchange.text is not None  # as a live display asks for it, at each frame
        return exchange

    start = time.process_time()
    exchange = asyncio.run(run())
    assert time.process_time() - start < 6
    assert exchange.text == "word " * count and len(exchange.frames) == count + 2


# What cannot be sent, and who does not answer


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ({"messages": [{"role": "user", "content": {1, 2}}]}, "payload['messages'][0]['content'] is a set"),
        ({"temperature": float("nan")}, "payload['temperature'] is nan"),
        ([1, [float("inf")]], "payload[1][0] is inf"),
        ({"a": {(1, 2): 3}}, "payload['a'] has a tuple as a key"),
        ({"a": ["\ud83d"]}, "payload['a'][0] holds half of a character"),
        (b"raw", "payload is a bytes"),
    ],
)
def test_the_place_that_is_no_json_is_named(server: Server, payload: Any, place: str) -> None:
    with pytest.raises(CourseError, match="^" + place.replace("[", r"\[").replace("]", r"\]")):
        send(payload)
    assert server.requests == []


def test_a_payload_without_end_is_refused(server: Server) -> None:
    loop: dict[str, Any] = {}
    loop["a"] = [loop]
    with pytest.raises(CourseError, match=r"payload\['a'\]\[0\] contains itself"):
        send(loop)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(CourseError, match="nested too deeply"):
        send(deep)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


BAD_ADDRESSES = {
    "refused": ("http://127.0.0.1:{free}/v1", "Nothing answers at 127.0.0.1:"),
    "no scheme": ("127.0.0.1:{free}", "OPENAI_BASE_URL must begin with http"),
    "another scheme": ("ftp://127.0.0.1", "OPENAI_BASE_URL must begin with http"),
    "a port too high": ("http://127.0.0.1:99999", "OPENAI_BASE_URL is not a valid address"),
    "no TLS there": ("https://127.0.0.1:{server}/v1", "does not speak TLS"),
    "no such machine": ("http://no-such-host.invalid/v1", "No machine is called no-such-host.invalid"),
    "unset": ("", "OPENAI_BASE_URL is not set"),
    "nothing but a scheme": ("http://", "OPENAI_BASE_URL"),
}


@pytest.mark.parametrize("case", BAD_ADDRESSES)
def test_a_wrong_address_is_explained(server: Server, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    address, sentence = BAD_ADDRESSES[case]
    server.answers(b"")
    monkeypatch.setenv(
        "OPENAI_BASE_URL", address.format(free=free_port(), server=server.url.rpartition(":")[2])
    )
    for call in (send, read):
        with pytest.raises(CourseError, match=sentence) as caught:
            call(PAYLOAD)
        assert KEY not in str(caught.value) and caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("reply", "sentence"), [(b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"), (b"", "hung up")]
)
def test_what_is_no_http_is_explained(server: Server, reply: bytes, sentence: str) -> None:
    server.answers(reply)
    for call in (send, read):
        with pytest.raises(CourseError, match=sentence):
            call(PAYLOAD)


def test_a_server_that_says_nothing_is_not_waited_for(server: Server) -> None:
    over = threading.Event()
    server.answers(over.wait)
    for call in (send, read):
        with pytest.raises(CourseError, match=r"127\.0\.0\.1:\d+ sent nothing for 0\.1 s\. .*timeout=0\.5"):
            call(PAYLOAD, timeout=0.1)
    over.set()


@pytest.mark.parametrize("key", [KEY + "\n", KEY + " ", "sk-“curly”", "sk-\x00"])
def test_a_key_that_no_header_can_carry_is_explained(
    server: Server, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setitem(os.environ, "OPENAI_API_KEY", key) if "\x00" not in key else None
    headers = {"Authorization": f"Bearer {key}"} if "\x00" in key else {}
    with pytest.raises(CourseError, match="cannot be sent") as caught:
        send(PAYLOAD, headers=headers)
    assert key.strip() not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [{"path": "chat/completions"}, {"timeout": 0}, {"timeout": "10"}, {"path": None}]
)
def test_wrong_arguments_are_explained(server: Server, wrong: dict[str, Any]) -> None:
    with pytest.raises(CourseError, match="path must begin|timeout must be"):
        send(PAYLOAD, **wrong)


# Secrets


def everything(exchange: Exchange) -> str:
    parts: list[Any] = [repr(exchange), exchange._repr_html_(), exchange.curl(), exchange.python()]
    parts += [repr(exchange.timeline()), exchange.timeline()._repr_html_(), exchange.text, exchange.error]
    parts += [exchange.request, exchange.reply, exchange.reply.body, exchange.frames, exchange.request.url]
    parts += [[*holder.headers.multi_items()] for holder in (exchange.request, exchange.reply)]
    parts += [exchange.reply.json, exchange.tool_calls, vars(exchange)]
    return "\n".join(str(part) for part in parts)


@pytest.mark.parametrize("streamed", [False, True])
def test_no_secret_stays_in_an_exchange(
    server: Server, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    user, password, other, cookie = "someone", "pass-word-123", "other-secret-456", "cookie-secret-789"
    monkeypatch.setenv("OPENAI_BASE_URL", server.url.replace("://", f"://{user}:{password}@") + "/v1")
    echo = f"you sent {KEY} and {other} and {cookie}"
    reply = whole(says(echo, "stop"))
    if streamed:
        data = sse(says(echo), says(None, "stop"), "[DONE]")
        reply = head() + b"".join(chunk(data[at : at + 5]) for at in range(0, len(data), 5)) + END
    server.answers(reply.replace(b"\r\n", f"\r\nset-cookie: a={cookie}\r\nx-echo: {KEY}\r\n".encode(), 1))
    exchange = send(
        {"messages": [{"role": "user", "content": f"my key is {KEY}"}]},
        f"/chat/completions?api-key={other}&plain=yes",
        headers={"api-key": other, "Cookie": cookie, "x-custom-token": "short"},
    )
    assert KEY.encode() in server.requests[0] and other.encode() in server.requests[0]
    seen = everything(exchange)
    for secret in (KEY, other, cookie, password, user, "short"):
        assert secret not in seen, secret
    assert "plain=yes" in exchange.request.url and "you sent [OPENAI_API_KEY]" in exchange.text
    assert exchange.request.headers["authorization"] == "Bearer [OPENAI_API_KEY]"


def test_what_is_no_secret_stays(server: Server) -> None:
    limits = b"\r\nx-ratelimit-remaining-tokens: 199996\r\nx-request-id: req_1\r\n"
    server.answers(whole(says("sk-practice and ollama")).replace(b"\r\n", limits, 1))
    exchange = send({}, headers={"Authorization": "Bearer sk-practice"})
    assert exchange.reply.headers["x-ratelimit-remaining-tokens"] == "199996"
    assert exchange.reply.headers["x-request-id"] == "req_1"
    server.answers(whole({"choices": [{"message": {"content": "sk-practice and ollama"}}]}))
    assert send({}, headers={"Authorization": "Bearer ollama"}).text == "sk-practice and ollama"


# The same request elsewhere

HOSTILE = {
    "model": "m",
    "stop": None,
    "stream": False,
    "messages": [
        {"role": "user", "content": 'it\'s "so" $HOME `id` \\ \\n !x %d {y}\nnew line\t🙂 é \x7f @f'}
    ],
}


@pytest.mark.parametrize("path", ["/chat/completions", "/api/chat", "/odd path/$HOME`id`'\"?a=b&c=d"])
@pytest.mark.skipif(shutil.which("curl") is None or os.name == "nt", reason="needs curl and a POSIX shell")
def test_curl_sends_the_same(server: Server, path: str) -> None:
    server.answers(whole(says("hi")))
    exchange = send(HOSTILE, path, headers={"x-note": 'a "b" $c'})
    ran = subprocess.run(["sh", "-c", exchange.curl()], capture_output=True, timeout=10)
    assert ran.returncode == 0 and json.loads(ran.stdout) == exchange.reply.json, ran.stderr
    first, second = server.requests
    assert json.loads(second.partition(b"\r\n\r\n")[2]) == HOSTILE
    for line in (b'x-note: a "b" $c', b"content-type: application/json"):
        assert line in second.lower()
    assert (KEY.encode() in first) == (KEY.encode() in second)
    assert first.partition(b"?")[2][:8] == second.partition(b"?")[2][:8]


@pytest.mark.parametrize("streamed", [False, True])
def test_the_python_program_sends_the_same(server: Server, streamed: bool) -> None:
    server.answers(whole(says("hi")))
    if streamed:
        server.answers(head(), chunk(sse(says("hi", "stop"), "[DONE]")), END)
    exchange = send(HOSTILE, headers={"x-note": 'it\'s "b" {c}'})
    ran = subprocess.run(
        [sys.executable, "-c", exchange.python()], capture_output=True, text=True, timeout=20
    )
    assert '"hi"' in ran.stdout, ran.stderr
    first, second = server.requests
    assert first.partition(b"\r\n\r\n")[2] == second.partition(b"\r\n\r\n")[2]
    assert KEY.encode() in second and b'x-note: it\'s "b" {c}' in second
