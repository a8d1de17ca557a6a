"""What happens to a request around its endpoint, byte by byte as a real Ollama 0.32.15 answers.

Each line was asked of the real server; `{port}` is the server's own.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.served import raw, served

HTML = "text/html; charset=utf-8"
PLAIN = "text/plain; charset=utf-8"


def ask(
    url: str,
    line: str,
    *headers: str,
    host: str | None = "127.0.0.1:{port}",
    body: bytes = b"",
    version: str = "1.1",
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the reply to a request written by hand."""
    port = int(url.rsplit(":", 1)[1])
    lines = [f"{line} HTTP/{version}", *([f"Host: {host}"] if host is not None else []), *headers]
    head = "\r\n".join([*lines, "Connection: close", "", ""]).replace("{port}", str(port))
    head_out, _, rest = raw(port, head.encode("latin-1") + body).partition(b"\r\n\r\n")
    status, *given = head_out.decode("latin-1").split("\r\n")
    named = [line.split(": ", 1) for line in given]
    got: dict[str, str] = {}
    for name, value in named:
        got[name.lower()] = f"{got[name.lower()]}, {value}" if name.lower() in got else value
    return int(status.split(" ")[1]), got, rest


@pytest.mark.parametrize(
    "line, status, location, body",
    [
        ("GET /api/version", 200, None, b'{"version":"0.32.15"}'),
        ("GET /api/version?x=1", 200, None, b'{"version":"0.32.15"}'),
        ("GET /api/%76ersion", 200, None, b'{"version":"0.32.15"}'),
        ("GET /API/version", 404, None, b"404 page not found"),
        ("GET /api/version%2f", 301, "/api/version", b'<a href="/api/version">Moved Permanently</a>.\n\n'),
        ("GET /api/version/", 301, "/api/version", b'<a href="/api/version">Moved Permanently</a>.\n\n'),
        ("GET /api/version/?x=1&y", 301, "/api/version?x=1&y", None),
        ("HEAD /api/version/", 307, "/api/version", b""),
        ("POST /api/chat/", 307, "/api/chat", b""),
        ("POST /api/version/", 404, None, b"404 page not found"),
        ("GET //api/version", 307, "/api/version", b'<a href="/api/version">Temporary Redirect</a>.\n\n'),
        ("GET /api//version", 307, "/api/version", None),
        ("GET /api/../api/version", 307, "/api/version", None),
        ("GET /./api/version", 307, "/api/version", None),
        ("GET /api/version/.", 307, "/api/version", None),
        ("GET /api/version//", 307, "/api/version/", None),
        ("POST //api/version", 307, "/api/version", b""),
        ("GET /api/blobs/../../etc/passwd", 307, "/etc/passwd", None),
        ("GET //evil.com/", 307, "/evil.com/", None),
        ("GET /%", 400, None, b"400 Bad Request"),
        ("GET /%zz", 400, None, b"400 Bad Request"),
        ("GET /v1/models/a%2Fb", 404, None, b"404 page not found"),
        ("GET /nope", 404, None, b"404 page not found"),
        ("TRACE /", 405, None, b"405 method not allowed"),
    ],
)
def test_paths(url: str, line: str, status: int, location: str | None, body: bytes | None) -> None:
    got, headers, rest = ask(url, line)
    assert (got, headers.get("location")) == (status, location)
    assert body is None or rest == body


@pytest.mark.parametrize("path, allowed", [("/", "HEAD, GET"), ("/api/chat", "POST"), ("/v1/models", "GET")])
def test_a_known_path_names_its_methods(url: str, path: str, allowed: str) -> None:
    for method in ("PUT", "PATCH", "TRACE", "OPTIONS"):
        status, headers, body = ask(url, f"{method} {path}", "Content-Length: 0")
        assert (status, headers["allow"], body) == (405, allowed, b"405 method not allowed")
        assert headers["content-type"] == "text/plain"
    assert ask(url, f"OPTIONS {path}", host="localhost:{port}")[:2][0] == 204
    assert ask(url, f"OPTIONS {path}", host="localhost:{port}")[1]["allow"] == allowed
    assert ask(url, f"OPTIONS {path}", host="evil.com")[1]["allow"] == allowed
    assert "allow" not in ask(url, "OPTIONS /nope", host="localhost:{port}")[1]


HOSTS = {
    200: [
        "", "localhost", "LOCALHOST:1", "localhost:abc", "localhost:", "127.0.0.1", "127.0.0.1:",
        "127.1.2.3:9", "0.0.0.0", "10.1.2.3", "192.168.0.1:80", "172.16.0.1", "[::1]:80", "::1",
        "[fd00::1]:1", "a.localhost", "x.local", "x.internal", "a.b.LOCAL:1", "host.docker.internal",
        "..local",
    ],
    403: [
        "evil.com", "evil.com:80", "172.32.0.1", "8.8.8.8", "169.254.1.1", "[::1]", "[fe80::1]",
        "[2001:db8::1]", "local", "internal", "localhost.", "127.0.0.1.", "2130706433", "0x7f.1", "127.1",
        "[::]", "[::ffff:8.8.8.8]", "localhost:1:2", "100.64.0.1", "local:80", "-", "localhost.evil.com",
    ],
    400: ["evil.com#localhost", "user@localhost", "localhost evil", 'a"b', "a/b"],
}  # fmt: skip


@pytest.mark.parametrize(
    "host, status", [(host, status) for status, hosts in HOSTS.items() for host in hosts]
)
def test_hosts(url: str, host: str, status: int) -> None:
    got, headers, body = ask(url, "GET /api/version", host=host)
    assert got == status
    if status == 403:
        assert body == b"" and headers["content-length"] == "0"
    if status == 400:
        assert body == b"400 Bad Request: malformed Host header"


def test_a_host_must_be_there_once(url: str) -> None:
    assert ask(url, "GET /", host=None)[2] == b"400 Bad Request: missing required Host header"
    assert ask(url, "GET /", "Host: evil.com")[0] == 400
    assert ask(url, "GET /", host=None, version="1.0")[0] == 200
    assert ask(url, "GET http://evil.com/api/version")[0] == 403
    assert ask(url, "GET http://localhost/api/version", host="evil.com")[0] == 200


ORIGINS = {
    True: [
        "http://localhost", "http://localhost:3", "https://127.0.0.1:99", "http://0.0.0.0", "app://x", "app://",
        "file://", "tauri://localhost", "vscode-webview://abc", "vscode-file://x", "http://localhost:abc",
    ],
    False: [
        "http://evil.com", "null", "chrome-extension://abc", "http://localhost.evil.com", "HTTP://LOCALHOST",
        "http://LOCALHOST:1", "ftp://localhost", "localhost", "http://127.0.0.2", "http://[::1]", "APP://x",
        "http://localhost/", "http://localhostevil.com",
    ],
}  # fmt: skip


@pytest.mark.parametrize("origin, fine", [(o, fine) for fine, origins in ORIGINS.items() for o in origins])
def test_origins(url: str, origin: str, fine: bool) -> None:
    status, headers, body = ask(url, "GET /api/version", f"Origin: {origin}")
    assert status == (200 if fine else 403)
    assert headers.get("access-control-allow-origin") == (origin if fine else None)
    assert headers.get("vary") == ("Origin" if fine else None)
    status, headers, body = ask(url, "OPTIONS /api/chat", f"Origin: {origin}")
    assert (status, headers["allow"], body) == (204 if fine else 403, "POST", b"")
    if fine:
        assert headers["access-control-allow-methods"] == "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
        assert headers["access-control-max-age"] == "43200"
        assert headers["vary"].startswith("Origin, Access-Control-Request-Method")


def test_an_origin_of_the_server_itself_is_none(url: str) -> None:
    for scheme in ("http", "https"):
        status, headers, _ = ask(url, "GET /api/version", f"Origin: {scheme}://127.0.0.1:{{port}}")
        assert status == 200 and "access-control-allow-origin" not in headers
    assert ask(url, "GET /", "Origin: http://evil.com", host="evil.com")[0] == 403


def test_redirects_come_before_cors_and_errors_after(url: str) -> None:
    page = "Origin: http://localhost:3"
    assert "vary" not in ask(url, "GET /api/version/", page)[1]
    assert ask(url, "GET /nope", page)[1]["access-control-allow-origin"] == "http://localhost:3"
    assert ask(url, "PUT /api/chat", page)[1]["access-control-allow-origin"] == "http://localhost:3"


@pytest.mark.parametrize(
    "origins, page, allowed",
    [
        ("http://a.example,https://*.b.example", "http://a.example", "http://a.example"),
        ("http://a.example,https://*.b.example", "https://x.b.example", "https://x.b.example"),
        ("http://a.example,https://*.b.example", "https://b.example", None),
        ("chrome-extension://*", "chrome-extension://abc", "chrome-extension://abc"),
        ("*", "http://anyone.example", "*"),
    ],
)
def test_more_origins_by_environment(
    monkeypatch: pytest.MonkeyPatch, origins: str, page: str, allowed: str | None
) -> None:
    from helpers.practice import transport

    monkeypatch.setenv("OLLAMA_ORIGINS", origins)
    assert transport.allowed_origin(page) is (allowed is not None)


BODY_ERROR = {"error": "model is required"}


@pytest.mark.parametrize(
    "headers, body, status, said",
    [
        (["Content-Length: 2"], b"{}", 400, BODY_ERROR),
        (["Content-Length: 2", "Content-Type: application/x-www-form-urlencoded"], b"{}", 400, BODY_ERROR),
        (["Transfer-Encoding: chunked"], b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 400, BODY_ERROR),
        (["Transfer-Encoding: chunked"], b"2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n", 400, BODY_ERROR),
        ([], b"", 400, {"error": "missing request body"}),
        (["Content-Length: abc"], b"{}", 400, None),
        (["Content-Length: -1"], b"{}", 400, None),
        (["Content-Length: 2", "Content-Length: 3"], b"{}", 400, None),
        (["Content-Length: 99999999999999999999"], b"{}", 400, None),
        (["Transfer-Encoding: gzip"], b"{}", 501, None),
        (["Transfer-Encoding: gzip, chunked"], b"2\r\n{}\r\n0\r\n\r\n", 501, None),
        (["Bad Header: x"], b"", 400, None),
        ([": x"], b"", 400, None),
        (["nocolon"], b"", 400, None),
        (["X: a\x00b"], b"", 400, None),
        (["X: " + "y" * 1_100_000], b"", 431, None),
    ],
)
def test_bodies_and_heads(
    url: str, headers: list[str], body: bytes, status: int, said: dict[str, str] | None
) -> None:
    try:
        got, kind, rest = ask(url, "POST /api/show", *headers, body=body)
    except ConnectionResetError:
        assert status == 431  # the rest of a head that is too long was still on its way
        return
    assert got == status
    assert said is None or json.loads(rest) == said
    assert kind["content-type"].startswith("text/plain" if said is None else "application/json")


def test_a_client_that_waits_is_told_to_continue(url: str) -> None:
    port = int(url.rsplit(":", 1)[1])
    head = b"POST /api/show HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
    got = raw(port, head + b"Connection: close\r\n\r\n{}")
    assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize(
    ("expected", "path", "status", "closes"),
    [
        ("100-CONTINUE, other", "/api/show", b"100 Continue", False),
        ("100-continue", "/nowhere", b"404 Not Found", True),  # the body was never asked for
        ("other", "/api/show", b"417 Expectation Failed", True),
        ("100-continues", "/api/show", b"417 Expectation Failed", True),
    ],
)
def test_what_a_client_expects(url: str, expected: str, path: str, status: bytes, closes: bool) -> None:
    port = int(url.rsplit(":", 1)[1])
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: {expected}\r\nContent-Length: 2\r\n\r\n"
    got = raw(port, head.encode(), hang_up=True)
    assert got.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert (b"\r\nconnection: close\r\n" in got.lower()) == closes


ASK = "GET /api/version HTTP/1.1\r\nHost: localhost\r\n"
SHOW = "POST /api/show HTTP/1.1\r\nHost: localhost\r\n"
BLOB = f"POST /api/blobs/sha256:{'a' * 64} HTTP/1.1\r\nHost: localhost\r\n"
ABSENT = '{"model":"nope"}'
CHUNKS = SHOW + "Transfer-Encoding: chunked\r\n"

# What is sent, and of each reply to it the status and a part of the rest, as Ollama 0.32.15 answers.
RAW: list[tuple[str, list[tuple[str, str]]]] = [
    (ASK + "\r\n" + ASK + "\r\n", [("200 OK", '"version"'), ("200 OK", '"version"')]),
    (ASK + "\r\nGARBAGE\r\n", [("200 OK", '"version"'), ("400 Bad Request", "400 Bad Request")]),
    ("\r\n" + ASK + "\r\n", [("400 Bad Request", "400 Bad Request")]),
    ("GET /api/version HTTP/1.1\nHost: localhost\n\n", [("200 OK", '"version"')]),
    ("GET /api/version\r\n\r\n", [("400 Bad Request", "400 Bad Request")]),
    ("GET  /api/version HTTP/1.1\r\n", [("400 Bad Request", "400 Bad Request")]),
    ("GET /api/version HTTP/1.0\r\n\r\n", [("200 OK", '"version"')]),
    ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", [("200 OK", "keep-alive")]),
    ("GET / HTTP/1.2\r\nHost: localhost\r\n\r\n", [("200 OK", "Ollama is running")]),
    (
        "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
        [("505 HTTP Version Not Supported: unsupported protocol version", "505 ")],
    ),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [("400 Bad Request", "content-length: 0")]),
    (
        "get /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n",
        [("405 Method Not Allowed", "allow: head, get")],
    ),
    ("BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", [("405 Method Not Allowed", "405 method not allowed")]),
    ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", [("200 OK", "content-length: 0")]),
    ("GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", [("400 Bad Request", "content-length: 0")]),
    ("CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", [("404 Not Found", "x-content-type-options: nosniff")]),
    ("GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", [("400 Bad Request", "400 Bad Request")]),
    ("GET /api/%76ersion HTTP/1.1\r\nHost: localhost\r\n\r\n", [("200 OK", '"version"')]),
    (
        "GET /" + "a" * 100_000 + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
        [("404 Not Found", "404 page not found")],
    ),
    (ASK + "X: " + "a" * 2_000_000 + "\r\n\r\n", [("431 Request Header Fields Too Large", "431 Request")]),
    (ASK + "Bad Header: x\r\n\r\n", [("400 Bad Request: invalid header name", "connection: close")]),
    (ASK + "NoColon\r\n\r\n", [("400 Bad Request", "400 Bad Request")]),
    (ASK + "X: a\r\n b\r\n\r\n", [("200 OK", '"version"')]),
    (ASK + "Expect: 100-continue\r\n\r\n" + ASK + "\r\n", [("200 OK", '"version"'), ("200 OK", '"version"')]),
    (
        ASK + "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + ASK + "\r\n",
        [("200 OK", ""), ("200 OK", "")],
    ),
    (SHOW + "Transfer-Encoding: gzip\r\n\r\n", [("501 Not Implemented", "Unsupported transfer encoding")]),
    (
        CHUNKS + f"\r\n10\r\n{ABSENT}\r\n0\r\nX: y\r\n\r\n" + ASK + "\r\n",
        [("404 Not Found", ""), ("200 OK", "")],
    ),
    (CHUNKS + f"Content-Length: 3\r\n\r\n10\r\n{ABSENT}\r\n0\r\n\r\n", [("404 Not Found", "not found")]),
    (CHUNKS + f"\r\nzz\r\n{ABSENT}\r\n", [("400 Bad Request", '{"error":"invalid byte in chunk length"}')]),
    (SHOW + f"Content-Length: 16\r\nContent-Length: 16\r\n\r\n{ABSENT}", [("404 Not Found", "not found")]),
    (
        SHOW + f"Content-Length: 16\r\nContent-Length: 17\r\n\r\n{ABSENT}",
        [("400 Bad Request", "400 Bad Request")],
    ),
    (SHOW + "Content-Length: x\r\n\r\n", [("400 Bad Request", "400 Bad Request")]),
    (SHOW + "Content-Length: 16\r\n\r\n" + ABSENT[:9], [("400 Bad Request", '{"error":"unexpected EOF"}')]),
    (
        SHOW + f"Transfer-Encoding: chunked\r\n\r\n9\r\n{ABSENT[:9]}\r\n0\r\nX: {'y' * 5000}",
        [("400 Bad Request", '{"error":"http: suspiciously long trailer after chunked body"}')],
    ),
    (
        BLOB + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        [("500 Internal Server Error", '{"error":"invalid byte in chunk length"}')],
    ),
    (
        BLOB + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX\r\n",
        [("500 Internal Server Error", '{"error":"malformed chunked encoding"}')],
    ),
    (
        BLOB + "Content-Length: 10\r\n\r\nhello",
        [("500 Internal Server Error", '{"error":"unexpected EOF"}')],
    ),
]


@pytest.mark.parametrize(("sent", "replies"), RAW, ids=[sent[:70] for sent, _ in RAW])
def test_raw_requests(url: str, sent: str, replies: list[tuple[str, str]]) -> None:
    port = int(url.rsplit(":", 1)[1])
    got = raw(port, sent.encode(), hang_up=True).decode()
    _, *each = re.split(r"HTTP/1\.[01] ", got)
    assert [one.partition("\r\n")[0] for one in each] == [status for status, _ in replies]
    for one, (_, part) in zip(each, replies, strict=True):
        assert part.lower() in one.lower()


def test_an_old_client_reads_a_stream_until_its_end(url: str) -> None:
    port = int(url.rsplit(":", 1)[1])
    asked = b'{"model":"llama3.2","prompt":"hi"}'
    head = b"POST /api/generate HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(asked)
    answer, _, lines = raw(port, head + asked).partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n") and b"chunked" not in answer
    assert all(json.loads(line) for line in lines.splitlines()) and json.loads(lines.splitlines()[-1])["done"]


def test_requests_sent_without_waiting_are_answered_in_their_order(url: str) -> None:
    port = int(url.rsplit(":", 1)[1])
    chat = json.dumps(
        {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    )
    key = "Authorization: Bearer sk-practice\r\n"
    first = f"POST /openai/v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n{key}"
    first += f"Content-Length: {len(chat)}\r\n\r\n{chat}"
    second = "GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = "HEAD /api/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    got = raw(port, (first + second + last).encode())
    one, two, three = (b"HTTP/1.1 200 OK" + part for part in got.split(b"HTTP/1.1 200 OK")[1:])
    assert b"\r\ntransfer-encoding: chunked\r\n" in one and one.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert two.endswith(b'\r\n\r\n{"version":"0.32.15"}') and b"connection" not in two
    assert b"\r\nconnection: close\r\n" in three and three.endswith(b"\r\n\r\n")


def test_a_body_beyond_the_limit_is_refused_unread(client: httpx.Client) -> None:
    for path, read in [
        ("/api/chat", lambda reply: reply["error"]),
        ("/v1/chat/completions", lambda reply: reply["error"]["message"]),
        ("/openai/v1/chat/completions", lambda reply: reply["error"]["message"]),
    ]:
        head = ["Content-Length: 100000000000"]
        status, _, body = ask(str(client.base_url).rstrip("/"), f"POST {path}", *head)
        assert status == 413 and re.search("too large|limit", read(json.loads(body)))


def test_the_access_log_is_gins(tmp_path: Path) -> None:
    with served(tmp_path / "home", "--log") as own:
        httpx.get(f"{own.url}/api/tags?a=1", trust_env=False)
        httpx.post(f"{own.url}/api/show", json={"model": "x"}, trust_env=False)
        assert own.process.stdout
        own.process.stdout.readline()
        lines = [own.process.stdout.readline() for _ in range(2)]
    form = r"\[GIN\] \d{4}/\d\d/\d\d - \d\d:\d\d:\d\d \| %s \| +[\d.]+(?:µs|ms|s) \|       127\.0\.0\.1 \| %s"
    assert re.fullmatch(form % (200, 'GET      "/api/tags\\?a=1"\n'), lines[0])
    assert re.fullmatch(form % (404, 'POST     "/api/show"\n'), lines[1])
