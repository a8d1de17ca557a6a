"""Faults on demand: a request says which in the header x-practice-fault, and nobody else sees one.

    x-practice-fault: 429; retry-after=2
    x-practice-fault: 503; times=2; id=mine     the first two requests with this id fail, the third passes

401, 404, 429, 500 and 503 answer in the surface's own words (faults.toml) instead of the endpoint; `slow`
delays the first byte; `cut` breaks the connection, and `broken-frame` spoils one frame, after some frames of
the endpoint's own reply.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Send

from .connection import lines_of
from .errors import Refusal
from .gojson import BadBody, encode, parse
from .state import Stamp
from .toml import read

HEADER = b"x-practice-fault"
LONGEST_WAIT = 600  # seconds
MOST_FRAMES = 1_000_000
IDS = 1000  # how many ids are counted; the oldest is forgotten first
HEX = "0123456789abcdef"

_FACTS = read(Path(__file__).with_name("faults.toml"))
SETTINGS: dict[str, dict[str, Any]] = _FACTS["settings"]
_COUNTED = {"times": 0, "id": ""}
_LIMITS = {"seconds": LONGEST_WAIT, "retry-after": 86_400, "after": MOST_FRAMES, "times": MOST_FRAMES}
_WHOLE = ("after", "times")


class BadFault(ValueError):
    """The header asks for no known fault; the text says what it may be."""

    def __init__(self, refusal: str, /, **words: str) -> None:
        super().__init__(_FACTS["refusals"][refusal].format(**words))


@dataclass(frozen=True)
class Fault:
    """One fault with its settings, the ones not given at their defaults."""

    name: str
    settings: dict[str, Any]

    @property
    def status(self) -> int | None:
        """The status it answers with, None for a fault of the reply's bytes."""
        return int(self.name) if self.name.isdigit() else None


def asked_for(header: str) -> Fault:
    """The fault that a header's value names. Raises BadFault."""
    name, *parts = (part.strip() for part in header.split(";"))
    if name not in SETTINGS:
        raise BadFault("fault", name=name, faults=", ".join(SETTINGS))
    settings = {**SETTINGS[name], **_COUNTED}
    for part in filter(None, parts):
        key, _, value = (text.strip() for text in part.partition("="))
        if key not in settings:
            raise BadFault("setting", name=name, key=key, keys=", ".join(settings))
        settings[key] = _setting(key, value)
    if settings["times"] and not settings["id"]:
        raise BadFault("id", name=name)
    return Fault(name, settings)


def _setting(key: str, value: str) -> Any:
    if key == "id":
        return value
    if key == "reason":
        words = _FACTS["reasons"]["words"]
        if value not in words:
            raise BadFault("value", key=key, value=value, wanted=f"one of {', '.join(words)}")
        return value
    wanted = f"a{' whole' if key in _WHOLE else ''} number from 0 to {_LIMITS[key]}"
    try:
        number = float(value)
    except ValueError:
        number = -1
    if not 0 <= number <= _LIMITS[key] or (key in _WHOLE and number % 1):
        raise BadFault("value", key=key, value=value, wanted=wanted)
    return int(number) if number % 1 == 0 else number


class Counts:
    """How often each id has failed already."""

    def __init__(self) -> None:
        self._failed: dict[str, int] = {}

    def strikes(self, fault: Fault) -> bool:
        """Whether this request fails. After `times` failures one passes, and the count starts anew."""
        times, key = fault.settings["times"], fault.settings["id"]
        if not times:
            return True
        failed = self._failed.pop(key, 0)
        if failed >= times:
            return False
        self._failed[key] = failed + 1
        if len(self._failed) > IDS:
            del self._failed[next(iter(self._failed))]
        return True


# --- a status instead of the reply ------------------------------------------------------------------


async def answer(fault: Fault, request: Request) -> Response:
    """The error reply of the surface that was asked."""
    body = await request.body()
    words = {
        "model": _model(request, body),
        "key": _masked(request.headers.get("authorization", "").partition(" ")[2]),
        "wait": fault.settings.get("retry-after", 0),
        "version": parse_qs(request.scope["query_string"].decode("latin-1")).get("api-version", [""])[0],
        "request": "req_" + Stamp.of(request, body).letters(32, HEX, "request"),
    }
    reason = fault.settings.get("reason", "")
    said, headers = _surface(request.scope["path"])(str(fault.status), reason, words)
    if words["wait"] and reason != "quota":
        headers["retry-after"] = str(words["wait"])
    return Response(said, fault.status or 500, headers=headers)


def refused(error: ValueError | Refusal, path: str) -> Response:
    """What `path`'s surface answers to a header that names no fault, to a broken body, or when a model has
    failed.
    """
    status = error.status if isinstance(error, Refusal) else 400
    kind = "invalid_request_error" if status < 500 else "api_error"
    said = {"message": str(error), "type": kind, "param": None, "code": None}
    value: Any = {"error": str(error) if _surface(path) is _ollama else said}
    if _surface(path) is _anthropic:
        value = {"type": "error", **value}
    return Response(encode(value), status, headers={"content-type": "application/json; charset=utf-8"})


Said = tuple[bytes, dict[str, str]]  # body and headers
Surface = Callable[[str, str, dict[str, Any]], Said]


def _surface(path: str) -> Surface:
    return next(surface for start, surface in _SURFACES if path.startswith(start))


def _ollama(status: str, reason: str, words: dict[str, Any]) -> Said:
    said = encode({"error": _FACTS["ollama"][status].format(**words)})
    return said, {"content-type": "application/json; charset=utf-8"}


def _compat(status: str, reason: str, words: dict[str, Any]) -> Said:
    kind = _FACTS["compat"].get(status, "api_error")
    text = _FACTS["ollama"][status].format(**words)
    error = {"message": text, "type": kind, "param": None, "code": None}
    return encode({"error": error}) + b"\n", {"content-type": "application/json"}


def _anthropic(status: str, reason: str, words: dict[str, Any]) -> Said:
    kind, text = _FACTS["anthropic"][status]
    error = {"type": kind, "message": text.format(**words)}
    value = {"type": "error", "error": error, "request_id": words["request"][:28]}
    return encode(value) + b"\n", {"content-type": "application/json"}


def _openai(status: str, reason: str, words: dict[str, Any]) -> Said:
    kind, code, text = _FACTS["openai"][f"{status} {reason}".strip()]
    error = {"message": text.format(**words), "type": kind, "param": None, "code": code or None}
    limits = _FACTS["openai-limits"].get(reason, {})
    headers = {k: v.format(**words) for k, v in {**_FACTS["openai-headers"], **limits}.items()}
    said = json.dumps({"error": error}, indent=2, ensure_ascii=False)
    return said.encode("utf-8", "replace"), {"content-type": "application/json; charset=utf-8", **headers}


def _azure(status: str, reason: str, words: dict[str, Any]) -> Said:
    code, text = _FACTS["azure"][f"{status} {reason}".strip()]
    said = encode({"error": {"code": code, "message": text.format(**words)}})
    return said, {"content-type": "application/json", "apim-request-id": words["request"][4:]}


_SURFACES: tuple[tuple[str, Surface], ...] = (
    ("/openai/deployments/", _azure),
    ("/openai/", _openai),
    ("/v1/messages", _anthropic),
    ("/v1/", _compat),
    ("", _ollama),
)


def _model(request: Request, body: bytes) -> str:
    """The model that was asked for, in the body, or in the path of a deployment."""
    try:
        asked = parse(body)
    except BadBody:
        asked = None
    name = asked.get("model", "") if isinstance(asked, dict) else ""
    return name if isinstance(name, str) and name else request.path_params.get("deployment", "")


def _masked(key: str) -> str:
    return key[:8] + "*" * (len(key) - 12) + key[-4:] if len(key) > 12 else "*" * len(key)


# --- a fault in the reply's bytes -------------------------------------------------------------------


async def delay(fault: Fault) -> None:
    if fault.name == "slow":
        await asyncio.sleep(fault.settings["seconds"])


class HungUp(Exception):
    """The connection was broken on purpose."""


def spoil(fault: Fault, send: Send, hang_up: Callable[[], Awaitable[None]]) -> Send:
    """A `send` whose reply is cut off, or has a broken frame, after the first `after` frames.

    A frame is a line of NDJSON or an event of SSE; of a reply that is no stream the second half is lost. An
    error stays as it is. A cut raises HungUp into whoever sends.
    """
    if fault.name not in ("cut", "broken-frame"):
        return send
    cut, left = fault.name == "cut", fault.settings["after"]
    part, end, spoilt, fine = b"", b"", False, True

    async def spoiling(message: Message) -> None:
        nonlocal left, part, end, spoilt, fine
        if message["type"] == "http.response.start":
            fine = message["status"] < 400
            lines = lines_of(message["headers"])
            kind = next((one for one in lines if one.startswith(b"content-type:")), b"")
            end = b"\n\n" if b"event-stream" in kind else b"\n" if b"ndjson" in kind else b""
        if message["type"] == "http.response.start" or not fine:
            await send(message)
            return
        more = message.get("more_body", False)
        data = part + message.get("body", b"")
        if end:
            *frames, part = data.split(end)
        else:
            frames, part = ([], data) if more else ([data], b"")
        out = b""
        for frame in frames:
            if spoilt or (end and left):
                left -= 1
                out += frame + end
                continue
            spoilt = True
            half = frame[: len(frame) // 2]
            out += half if cut else half + (end or b" " * (len(frame) - len(half)))
            if cut:
                break
        if not more and not cut:
            out += part
        await send({"type": "http.response.body", "body": out, "more_body": more or cut})
        if cut and (spoilt or not more):
            await hang_up()
            raise HungUp

    return spoiling
