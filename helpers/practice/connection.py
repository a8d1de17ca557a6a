"""HTTP/1.1 on one connection, as Go's server speaks it: what is read, what is refused and in which words, and
how a reply is written.

It stands in for uvicorn's own protocol. uvicorn's server still accepts connections, keeps the date, and ends.

Sources: net/http of Go 1.26 (server.go, request.go, transfer.go).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import httptools
from starlette.types import Message, Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

HEAD_LIMIT = 1024 * 1024 + 4096  # bytes of a request's head, as Go has it
BODY_WAITS = 64 * 1024  # bytes of a body that may wait to be read
SHORT = 256  # bytes of a path or a header that is likely to come again
BAD_REQUEST, NOT_EXPECTED = "400 Bad Request", "417 Expectation Failed"

Pair = tuple[bytes, bytes]  # a header: its name in lower case, its value

_HOST = re.compile(rb"[\w!$%&'()*+,\-.:;=\[\]~]*").fullmatch
_CONTINUE = re.compile(rb"(?:.*[ ,\t])?100-continue(?:[ ,\t].*)?", re.IGNORECASE).fullmatch
_BAD_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2})").search


class Connection(asyncio.Protocol):
    """Reads requests, and has one after another answered by the Call that `call` makes of it."""

    def __init__(
        self, call: Callable[[Connection, Scope, dict[bytes, bytes]], Call], state: ServerState
    ) -> None:
        self.call = call
        self.state = state
        self.parser: Any = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.read: Call | None = None  # whose body comes now
        self.answering: Call | None = None
        self.waiting: deque[Call] = deque()
        self.in_head, self.head_size, self.url = True, 0, b""
        self.headers: list[Pair] = []
        self.refusal = BAD_REQUEST

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.flow = FlowControl(transport)
        self.loop = asyncio.get_running_loop()
        self.server, self.client = (
            (transport.get_extra_info(name) or ("", 0))[:2] for name in ("sockname", "peername")
        )
        self.state.connections.add(self)  # type: ignore[arg-type]

    def connection_lost(self, error: Exception | None) -> None:
        self.state.connections.discard(self)
        self.parser = None
        self.waiting.clear()
        if self.answering:
            self.answering.hung_up()
        self.flow.resume_writing()

    def pause_writing(self) -> None:
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        self.flow.resume_writing()

    def shutdown(self) -> None:
        self.transport.close()  # the real server lets no reply end either

    # --- reading ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.parser is None:
            return
        if self.in_head:
            self.head_size += len(data)
            if self.head_size > HEAD_LIMIT:
                self.refusal = "431 Request Header Fields Too Large"
                self._refuse()
                return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            self._refuse()
            return
        self._next()

    def on_message_begin(self) -> None:
        self.url, self.headers = b"", []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.in_head, self.head_size = False, 0
        headers, version = self.headers, self.parser.get_http_version()
        first = dict(reversed(headers))  # of several, the first
        path, raw_path, query, host = (_short_parts if len(self.url) < SHORT else _parts)(self.url)
        self._check(first, version)
        if host and not self.url.startswith(b"/"):
            headers[:] = [(b"host", host), *(one for one in headers if one[0] != b"host")]
            first[b"host"] = host
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": self.parser.get_method().decode("ascii"),
            "scheme": "http",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": self.client,
            "server": self.server,
        }
        call = self.read = self.call(self, scope, first)
        call.keeps_alive = version != "1.0" and self.parser.should_keep_alive()
        call.awaited = b"expect" in first and version != "1.0" and first.get(b"content-length") != b"0"
        self.waiting.append(call)

    def on_body(self, body: bytes) -> None:
        if self.read and not self.read.ended:
            self.read.body_came(body)

    def on_message_complete(self) -> None:
        self.in_head = True
        if self.read and not self.read.ended:
            self.read.body_ended()

    def _check(self, first: dict[bytes, bytes], version: str) -> None:
        """Raises httptools.HttpParserError for a request that is refused unread, and says why."""
        last = first if len(first) == len(self.headers) else dict(self.headers)
        hosts = 1 if last is first else sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (b"%" in self.url and _BAD_ESCAPE(self.url)) or self.url == b"*":
            raise httptools.HttpParserError
        if b"host" not in first and version == "1.1":
            self.refusal = "400 Bad Request: missing required Host header"
        elif not _HOST(last.get(b"host", b"")):
            self.refusal = "400 Bad Request: malformed Host header"
        elif last.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            self.refusal = "501 Not Implemented"
        elif first.get(b"expect") and not _CONTINUE(first[b"expect"]):
            self.refusal = NOT_EXPECTED
        else:
            return
        raise httptools.HttpParserError

    def _refuse(self) -> None:
        """Say why nothing more is read, after the replies to what was read before."""
        self.parser = None
        self._next()

    # --- answering --------------------------------------------------------------------------------

    def _next(self) -> None:
        """Answer the next request, if none is being answered."""
        if self.answering is None and self.waiting:
            self.answering = self.waiting.popleft()
            task = self.loop.create_task(self.answering.answered())
            self.state.tasks.add(task)
            task.add_done_callback(self.state.tasks.discard)
        if self.waiting:
            self.flow.pause_reading()
        elif self.answering is None and self.parser is None and not self.transport.is_closing():
            self.transport.write(_refused(self.refusal))
            self.transport.close()

    def answered(self, keeps_alive: bool) -> None:
        """A reply was written. The next request may come at any time: the real server knows no limit."""
        self.answering = None
        if not keeps_alive:
            self.waiting.clear()
            self.transport.close()
        elif not self.transport.is_closing():
            self.flow.resume_reading()
            self._next()


class Call:
    """One request of a connection, and its reply.

    `first` are the request's headers, of several of one name the first. What a subclass does is `run`.
    """

    def __init__(self, connection: Connection, scope: Scope, first: dict[bytes, bytes]) -> None:
        self.connection = connection
        self.transport = connection.transport
        self.scope = scope
        self.first = first
        self.keeps_alive = True
        self.awaited = False  # the client waits for a word before it sends the body
        self.gone = False  # the client hung up
        self.started = self.ended = False
        self._body, self._more = bytearray(), True
        self._head = b""
        self._left: int | None = None  # bytes of the reply still to be written, where that is known
        self._chunked = False
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Answer the request."""
        raise NotImplementedError

    async def answered(self) -> None:
        """Run; whatever happens, the client gets an end."""
        try:
            await self.run()
        except BaseException:
            name = f"{self.scope['method']} {self.scope['path']}"
            logging.getLogger("uvicorn.error").exception("The practice server failed at %s", name)
        if self.ended or self.gone:
            return
        if self.started:
            self.transport.close()
        else:
            self.keeps_alive = False
            self.write(500, [line(b"content-type", b"text/plain; charset=utf-8")], b"Internal Server Error")

    # --- what the connection tells ----------------------------------------------------------------

    def body_came(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > BODY_WAITS:
            self.connection.flow.pause_reading()
        self._news.set()

    def body_ended(self) -> None:
        self._more = False
        self._news.set()

    def hung_up(self) -> None:
        self.gone = True
        self._news.set()

    # --- what the application uses ----------------------------------------------------------------

    async def receive(self) -> Message:
        """The next part of the request, as in ASGI."""
        if self.awaited and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.awaited = False
        if not (self.gone or self.ended):
            self.connection.flow.resume_reading()
            if not self._news.is_set():
                await self._news.wait()
            self._news.clear()
        if self.gone or self.ended:
            return {"type": "http.disconnect"}
        body, self._body = bytes(self._body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self._more}

    async def send(self, message: Message) -> None:
        """The next part of the reply, as in ASGI, but a header can also be as it is written.

        The headers go out together with the first of the body.
        """
        if self.connection.flow.write_paused and not self.gone:
            await self.connection.flow.drain()
        if self.gone:
            return
        if message["type"] == "http.response.start":
            lines = [one if isinstance(one, bytes) else line(*one) for one in message["headers"]]
            length = next((int(one[16:]) for one in lines if one.startswith(b"content-length: ")), None)
            self._begin(message["status"], lines, length)
        else:
            self._write(message.get("body", b""), message.get("more_body", False))

    def write(self, status: int, lines: list[bytes], body: bytes) -> None:
        """The whole reply; `lines` are its headers as they are written, all but the length."""
        if not self.gone:
            self._begin(status, [*lines, b"content-length: %d\r\n" % len(body)], len(body))
            self._write(body, False)

    def _begin(self, status: int, lines: list[bytes], length: int | None) -> None:
        if self.started:
            raise RuntimeError("a second reply to one request")
        self.started = True
        if self.awaited:  # the body was not asked for, so what comes next may be it or not
            self.keeps_alive = self.awaited = False
        old = self.scope["http_version"] == "1.0"
        if not self.keeps_alive and not old:
            lines.append(b"connection: close\r\n")
        self._left = length
        if length is None and self.scope["method"] != "HEAD" and status not in (204, 304) and not old:
            self._chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        start = b"HTTP/1.0" + STATUS_LINE[status][8:] if old else STATUS_LINE[status]
        date = [line(*pair) for pair in self.connection.state.default_headers]
        self._head = b"".join((start, *date, *lines, b"\r\n"))

    def _write(self, body: bytes, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            body = b""
        elif self._chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        elif self._left is not None:  # otherwise the body ends where the connection does
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the reply's body is not as long as its content-length")
        self.transport.write(self._head + body)
        self._head = b""
        if not more:
            self.ended = True
            self._news.set()
            self.connection.answered(self.keeps_alive)


def line(name: bytes, value: bytes) -> bytes:
    """A header as it is written. Raises RuntimeError where that would be several lines."""
    return _short_line(name, value) if len(value) < SHORT else _line(name, value)


def _line(name: bytes, value: bytes) -> bytes:
    written = b"%b: %b\r\n" % (name, value)
    if written.count(b"\n") != 1 or written.count(b"\r") != 1:
        raise RuntimeError("a line end in a header of the reply")
    return written


def _parts(url: bytes) -> tuple[str, bytes, bytes, bytes | None]:
    """A request's path, the same as it was sent, its query, and the host where it names one."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b"", parsed.host


_short_line, _short_parts = lru_cache(1024)(_line), lru_cache(256)(_parts)


def _refused(status: str) -> bytes:
    text = status.encode()
    kind, body = b"Content-Type: text/plain; charset=utf-8", text
    if status == NOT_EXPECTED:
        kind, body = b"Content-Length: 0", b""
    return b"HTTP/1.1 %b\r\n%b\r\nConnection: close\r\n\r\n%b" % (text, kind, body)
