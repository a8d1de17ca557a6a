"""HTTP/1.1 on one connection, as Go's server speaks it: requests are read one after another, and answered in
their order.

It stands in for uvicorn's own protocol. uvicorn's server still accepts connections, keeps the date, and ends.

Sources: net/http (server.go, transfer.go, internal/chunked.go) of Go 1.26.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from starlette.types import Message, Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from . import request_head
from .request_head import CHUNKED, SHORT, Head, Pair, Refused

HEAD_LIMIT = 1024 * 1024 + 4096  # bytes of a request's head
CHUNK_LINE = 4096  # bytes of the line before a chunk, and of all lines after the last one
BODY_WAITS = 64 * 1024  # bytes of a body that may wait to be read
LINGER = 0.5  # seconds until a refused connection is closed, so that the client can read why

_SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "scheme": "http",
    "root_path": "",
}
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_HEX = re.compile(rb"[0-9a-fA-F]+").fullmatch


class Connection(asyncio.Protocol):
    """Reads requests, and has one after another answered by the Call that `call` makes of it."""

    def __init__(self, call: Callable[[Connection, Scope, Head], Call], state: ServerState) -> None:
        self.call = call
        self.state = state
        self.unread = bytearray()
        self.looked = 0  # bytes of it in which no head ends
        self.reading: Call | None = None  # whose body comes now
        self.missing = 0  # bytes of that body, or of its chunk
        self.in_chunks = self.after_chunk = False
        self.answering: Call | None = None
        self.waiting: deque[Call] = deque()
        self.refused: Refused | None = None  # nothing more is read
        self.heard_all = False  # the client will send no more

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.flow = FlowControl(transport)
        self.loop = asyncio.get_running_loop()
        server, client = (
            (transport.get_extra_info(name) or ("", 0))[:2] for name in ("sockname", "peername")
        )
        self.scope = {**_SCOPE, "server": server, "client": client}
        self.state.connections.add(self)  # type: ignore[arg-type]

    def connection_lost(self, error: Exception | None) -> None:
        self.state.connections.discard(self)
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
        if self.refused:
            return
        self.unread += data
        try:
            while self.unread and (self._read_body() if self.reading else self._read_head()):
                pass
        except Refused as refused:
            self.refused = refused
        self._next()

    def eof_received(self) -> bool:
        """The client sends no more, but may still listen."""
        self.heard_all = True
        if self.reading:
            self.reading.broken("unexpected EOF")
            self.reading = None
        elif self.unread and not self.refused:
            self.refused = Refused()
        self._next()
        return True

    def _read_head(self) -> bool:
        """Whether a whole head was there. Raises Refused."""
        found = _END_OF_HEAD.search(self.unread, self.looked)
        self.looked = 0 if found else max(0, len(self.unread) - 2)
        if self.unread[:1] in b"\r\n" or not found:
            end = self.unread.find(b"\n")
            if end >= 0:
                request_head.first_line(bytes(self.unread[:end]).removesuffix(b"\r"))
        if (found.end() if found else len(self.unread)) > HEAD_LIMIT:
            raise Refused("431 Request Header Fields Too Large")
        if not found:
            return False
        head = request_head.read(bytes(self.unread[: found.start() + 1]))
        del self.unread[: found.end()]
        call = self._call(head)
        self.waiting.append(call)
        self.missing, self.in_chunks = max(head.length, 0), head.length == CHUNKED
        if head.length:
            self.reading, self.after_chunk = call, False
        else:
            call.body_ended()
        return True

    def _call(self, head: Head) -> Call:
        scope = {
            **self.scope,
            "http_version": f"1.{head.minor}",
            "method": head.method,
            "path": head.path,
            "raw_path": head.target,
            "query_string": head.query,
            "headers": head.headers,
        }
        return self.call(self, scope, head)

    def _read_body(self) -> bool:
        """Whether there is more to read."""
        assert self.reading
        if not self.missing and self.in_chunks:
            try:
                if not self._read_chunk_line():
                    return False
            except ValueError as error:
                self.reading.broken(str(error))
                self.reading.keeps_alive, self.reading = False, None
                self.unread.clear()
                self.refused = Refused("")
                return False
        body = bytes(self.unread[: self.missing])
        del self.unread[: len(body)]
        self.missing -= len(body)
        if body and not self.reading.ended:
            self.reading.body_came(body)
        if not self.missing and not self.in_chunks:
            self.reading.body_ended()
            self.reading = None
        return True

    def _read_chunk_line(self) -> bool:
        """Whether the line before a chunk was there, or those after the last.

        Raises ValueError in Go's words.
        """
        at = self.unread.find(b"\n")
        if at < 0:
            if len(self.unread) > CHUNK_LINE:
                raise ValueError("header line too long")
            return False
        found = bytes(self.unread[:at]).rstrip(b" \t\r")
        if self.after_chunk:
            if found:
                raise ValueError("malformed chunked encoding")
            del self.unread[: at + 1]
            self.after_chunk = False
            return self._read_chunk_line()
        size = found.partition(b";")[0].rstrip(b" \t")
        if not size:
            raise ValueError("empty hex number for chunk length")
        if not _HEX(size):
            raise ValueError("invalid byte in chunk length")
        if len(size) > 16:
            raise ValueError("http chunk length too large")
        self.missing = int(size, 16)
        if self.missing:
            del self.unread[: at + 1]
            self.after_chunk = True
            return True
        end = _END_OF_HEAD.search(self.unread, at)
        if not end:
            if len(self.unread) > CHUNK_LINE:
                raise ValueError("http: suspiciously long trailer after chunked body")
            return False
        del self.unread[: end.end()]
        self.in_chunks = False
        return True

    # --- answering --------------------------------------------------------------------------------

    def _next(self) -> None:
        """Answer the next request, if none is being answered."""
        if self.answering is None and self.waiting:
            self.answering = self.waiting.popleft()
            self.state.tasks.add(self.loop.create_task(self.answering.answered()))
        if self.waiting:
            self.flow.pause_reading()
        elif self.answering:
            if self.heard_all:
                self.answering.left_alone()
        elif self.refused:
            self._say_why(self.refused)
        elif self.heard_all:
            self.transport.close()

    def _say_why(self, refused: Refused) -> None:
        if refused.text and not self.transport.is_closing():
            body = refused.body.encode()
            kind = [line(b"content-type", b"text/plain; charset=utf-8")]
            if not body:
                kind = [b"content-length: 0\r\n", *lines_of(self.state.default_headers)]
            start = b"HTTP/1.1 %b\r\n" % refused.text.encode()
            self.transport.write(b"".join((start, *kind, b"connection: close\r\n\r\n", body)))
        self.refused = Refused("")
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
        self.loop.call_later(LINGER, self.transport.close)

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
    """One request of a connection, and its reply. What a subclass does is `run`."""

    def __init__(self, connection: Connection, scope: Scope, head: Head) -> None:
        self.connection = connection
        self.transport = connection.transport
        self.scope = scope
        self.head = head
        self.keeps_alive = head.keeps_alive
        self.awaited = head.expects  # the client waits for a word before it sends the body
        self.gone = False  # the client hung up
        self.alone = False  # it sends no more, which for a long reply is the same
        self.fault = ""  # why the body cannot be read
        self.heard_all = False  # the whole request was received
        self.started = self.ended = False
        self._body, self._more = bytearray(), True
        self._start = b""  # of the reply: all before its body, until that is written
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
        finally:
            self.connection.state.tasks.discard(asyncio.current_task())
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

    def broken(self, why: str) -> None:
        self.fault, self._more = why, False
        self._news.set()

    def left_alone(self) -> None:
        self.alone = True
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
        if self.gone or self.ended or self.fault or (self.alone and self.heard_all):
            return {"type": "http.disconnect"}
        self.heard_all = not self._more
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
            lines = lines_of(message["headers"])
            self._begin(message["status"], lines, _length(lines))
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
        if old:
            self.keeps_alive = self.keeps_alive and length is not None
            if self.keeps_alive:
                lines.append(b"connection: keep-alive\r\n")
        elif not self.keeps_alive:
            lines.append(b"connection: close\r\n")
        self._left = length
        if length is None and self.scope["method"] != "HEAD" and status not in (204, 304) and not old:
            self._chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        date = lines_of(self.connection.state.default_headers)
        self._start = b"".join((_status(status, old), *date, *lines, b"\r\n"))

    def _write(self, body: bytes, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            body = b""
        elif self._chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        elif self._left is not None:  # otherwise the body ends where the connection does
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the reply's body is not as long as its content-length")
        self.transport.write(self._start + body)
        self._start = b""
        if not more:
            self.ended = True
            self._news.set()
            self.connection.answered(self.keeps_alive)


def _length(lines: list[bytes]) -> int | None:
    """Of a reply's body in bytes, if its headers say so."""
    for one in lines:
        if one.startswith(b"content-length: "):
            return int(one[16:])
    return None


# Where Python's names of a status are not Go's, or have changed between Pythons.
_PHRASES = {413: "Request Entity Too Large", 418: "I'm a teapot", 422: "Unprocessable Entity"}
_PHRASES = {one.value: one.phrase for one in HTTPStatus} | _PHRASES


@lru_cache
def _status(status: int, old: bool) -> bytes:
    """The first line of a reply."""
    return f"HTTP/1.{0 if old else 1} {status} {_PHRASES.get(status, f'status code {status}')}\r\n".encode()


def lines_of(headers: Iterable[Pair | bytes]) -> list[bytes]:
    """Headers as they are written; some of them can be so already."""
    return [one if isinstance(one, bytes) else line(*one) for one in headers]


def line(name: bytes, value: bytes) -> bytes:
    """A header as it is written. Raises RuntimeError where that would be several lines."""
    return _short_line(name, value) if len(value) < SHORT else _line(name, value)


def _line(name: bytes, value: bytes) -> bytes:
    written = b"%b: %b\r\n" % (name, value)
    if written.count(b"\n") != 1 or written.count(b"\r") != 1:
        raise RuntimeError("a line end in a header of the reply")
    return written


_short_line = lru_cache(1024)(_line)
