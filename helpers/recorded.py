"""An Exchange as JSON and back: what was sent, what came, and when, with the secrets already hidden."""

from __future__ import annotations

import json
from typing import Any

import httpx

from helpers.frames import Lines
from helpers.wire import Exchange, Request, Timings

LEFT = "recorded before its end"


def to_record(exchange: Exchange) -> dict[str, Any]:
    """Return what json.dumps takes: request, reply, and the times in seconds since the request was sent."""
    request, reply = exchange.request, exchange.reply
    return {
        "request": {
            "method": request.method,
            "url": request.url,
            "path": request.path,
            "headers": request.headers.multi_items(),
            "content": _text(request.content),
        },
        "reply": {
            "status": reply.status,
            "reason": reply.reason,
            "headers": reply.headers.multi_items(),
            "body": _text(reply.body),
        },
        "times": [frame.at for frame in exchange.frames],
        "timings": list(exchange.timings),
        "broken": LEFT if exchange.streaming else exchange.broken,
    }


def from_record(record: dict[str, Any]) -> Exchange:
    """Read the recorded bytes again, each frame at its time. Raises KeyError for what is no record."""
    request, reply, timings = record["request"], record["reply"], Timings(*record["timings"])
    content = _bytes(request["content"])
    exchange = Exchange(
        Request(
            request["method"],
            request["url"],
            request["path"],
            httpx.Headers([tuple(pair) for pair in request["headers"]]),
            content,
            json.loads(content),
        ),
        bytes,
    )
    times = [*record["times"], timings.total or 0.0]
    exchange._now = lambda: times[len(exchange.frames)]  # type: ignore[method-assign]
    headers = [tuple(pair) for pair in reply["headers"]]
    extensions = {"reason_phrase": reply["reason"].encode()}
    exchange._open(httpx.Response(reply["status"], headers=headers, extensions=extensions))
    body = _bytes(reply["body"])
    if exchange._kind is None:
        exchange._take(body)
    else:
        lines = Lines()
        for line in [*lines.feed(body), *lines.end()]:
            exchange._record([line])
    exchange._finish(record["broken"])
    exchange._first_byte, _, exchange._total = timings
    return exchange


def _text(content: bytes) -> str:
    return content.decode(errors="surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
