"""Routes and replies as Ollama's server has them."""

from __future__ import annotations

import types
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from .connection import line
from .errors import Refusal
from .gojson import encode

JSON = "application/json; charset=utf-8"
BARE_JSON = "application/json"
NDJSON = "application/x-ndjson"
SCRIPTED, REAL = line(b"x-practice", b"scripted"), line(b"x-practice", b"model")
author = ContextVar("author", default=SCRIPTED)  # who makes the words of this reply, as its header says it
AT_ONCE = 64 * 1024  # bytes of frames that are sent in one piece at most


def reply(value: Any, status: int = 200, kind: str = JSON) -> Response:
    return Whole(encode(value), status, written({"content-type": kind}))


def refused(refusal: Refusal, kind: str = JSON) -> Response:
    return reply({"error": refusal.text, **refusal.more}, refusal.status, kind)


def route(path: str, endpoint: Any, *methods: str) -> Route:
    """A route that takes exactly `methods`; Starlette alone would add HEAD to every GET."""
    one = Route(path, endpoint, methods=list(methods))
    one.methods = set(methods)
    return one


class Whole(Response):
    """A reply in one piece; `lines` are its headers as they are written, all but the length."""

    def __init__(self, body: bytes, status_code: int, lines: list[bytes]) -> None:
        self.whole = body
        self.status_code = status_code
        self.lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        lines = [*self.lines, b"content-length: %d\r\n" % len(self.whole)]
        await send({"type": "http.response.start", "status": self.status_code, "headers": lines})
        await send({"type": "http.response.body", "body": self.whole})


class Stream(Response):
    """A reply that is sent as it is made: a frame at once, together with those that were ready with it.

    `lines` are its headers as they are written.
    """

    def __init__(self, frames: AsyncIterator[bytes], lines: list[bytes]) -> None:
        self.frames = frames
        self.lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.lines})
        ready: list[bytes] = []

        def part() -> Message:
            body = b"".join(ready)
            ready.clear()
            return {"type": "http.response.body", "body": body, "more_body": True}

        async def collect() -> None:
            size = 0
            async for frame in self.frames:
                size = size + len(frame) if ready else len(frame)
                ready.append(frame)
                if size >= AT_ONCE:
                    await send(part())

        try:
            await at_each_wait(collect(), lambda: send(part()) if ready else None)
        finally:
            if isinstance(self.frames, AsyncGenerator):
                await self.frames.aclose()
        await send({**part(), "more_body": False})


def written(headers: Mapping[str, str]) -> list[bytes]:
    """Headers as they are written."""
    return [_line(name, value) for name, value in headers.items()]


@lru_cache(maxsize=1024)
def _line(name: str, value: str) -> bytes:
    return line(name.encode("latin-1"), value.encode("latin-1"))


@types.coroutine
def at_each_wait(
    work: Coroutine[Any, Any, Any], before_wait: Callable[[], Awaitable[None] | None]
) -> Generator[Any, Any, Any]:
    """Await `work`; whenever it would wait, call `before_wait`, and await what that returns, first."""
    value, error = None, None
    while True:
        try:
            waiting = work.throw(error) if error else work.send(value)
        except StopIteration as end:
            return end.value
        value, error = None, None
        try:
            if first := before_wait():
                yield from first.__await__()
            value = yield waiting
        except BaseException as raised:  # it was cancelled: so is the work
            error = raised
