"""What every reply of api.openai.com has: a key that was checked, a request id, headers, an error's shape."""

from __future__ import annotations

import base64
import binascii
import json
import string
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .errors import OpenAIRefusal
from .gojson import BadBody, parse
from .replies import BARE_JSON, Whole, written
from .state import Stamp, header
from .transport import openai_error

PRACTICE_KEY = "sk-practice"
LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
VERSION = {
    "openai-version": "2020-10-01",
    "openai-organization": "org-practice",
    "openai-project": "proj_practice",
}
EXPOSED = {"access-control-expose-headers": "X-Request-ID"}


def authorised(request: Request) -> None:
    """Raises OpenAIRefusal unless the key is one of the practice form; it is never shown whole.

    `api-key` is Azure's header, whose newer form has the same paths as OpenAI.
    """
    scheme, _, key = header(request, b"authorization").partition(" ")
    key = key.strip()
    if scheme.lower() == "basic":
        key = _password(key)
    elif scheme.lower() != "bearer":
        key = header(request, b"api-key")
    if not key:
        raise OpenAIRefusal("no key")
    if not key.startswith(PRACTICE_KEY):
        shown = key[:8] + "*" * (len(key) - 12) + key[-4:] if len(key) > 12 else "*" * len(key)
        raise OpenAIRefusal("key", key=shown)


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def body_of(request: Request, body: bytes) -> dict[str, Any]:
    """The object in `body`, members that are null left out. Raises OpenAIRefusal."""
    kind = header(request, b"content-type")
    if kind and "json" not in kind.lower():
        return {}  # what a form says is not looked at
    try:
        asked = parse(body) if body.strip() else {}
    except BadBody as error:
        raise OpenAIRefusal("json") from error
    if not isinstance(asked, dict):
        raise OpenAIRefusal("json")
    return {key: value for key, value in asked.items() if value is not None}


def request_id(stamp: Stamp) -> str:
    return "req_" + stamp.letters(32, HEX, "request")


def id_headers(stamp: Stamp) -> dict[str, str]:
    return {"x-request-id": request_id(stamp), **EXPOSED}


def limit_headers(requests: int, tokens: int, used: int) -> dict[str, str]:
    """How much of an account's limits a minute is left, with the times until they are full again."""
    return {
        "x-ratelimit-limit-requests": str(requests),
        "x-ratelimit-limit-tokens": str(tokens),
        "x-ratelimit-remaining-requests": str(requests - 1),
        "x-ratelimit-remaining-tokens": str(max(0, tokens - used)),
        "x-ratelimit-reset-requests": go_duration(60_000 / requests),
        "x-ratelimit-reset-tokens": go_duration(used * 60_000 / tokens),
    }


def go_duration(milliseconds: float) -> str:
    """A time as those headers write it: 1ms, 1.25s, 6m0s."""
    whole = round(milliseconds)
    if whole < 1000:
        return f"{whole}ms" if whole else "0s"
    minutes, rest = divmod(whole, 60_000)
    seconds = f"{rest / 1000:g}s"
    return f"{minutes}m{seconds}" if minutes else seconds


def reply(value: Any, lines: list[bytes], status: int = 200) -> Response:
    """`value` as a reply; `lines` are its other headers as they are written."""
    return reply_text(indented(value), lines, status)


def reply_text(text: str, lines: list[bytes], status: int = 200) -> Response:
    """As `reply`, where the JSON is already spelled."""
    return Whole(text.encode("utf-8", "replace"), status, [*_JSON, *lines])


_JSON = written({"content-type": BARE_JSON})


def indented(value: Any, line: str = "\n") -> str:
    """`value` as JSON with two spaces for each level; the json module takes ten times as long."""
    kind = type(value)
    if kind is str:
        return _quoted(value)
    inner = line + "  "
    if kind is dict and value:
        members = [
            f"{_quoted(key)}: {_quoted(item) if type(item) is str else indented(item, inner)}"
            for key, item in value.items()
        ]
        return f"{{{inner}{(',' + inner).join(members)}{line}}}"
    if kind is list and value:
        return f"[{inner}{(',' + inner).join([indented(item, inner) for item in value])}{line}]"
    return _WORDS[value] if value is None or kind is bool else str(value) if kind is int else _spell(value)


_WORDS = {None: "null", True: "true", False: "false"}
_quoted = json.encoder.encode_basestring
_spell = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def compact(value: Any) -> bytes:
    return _spell(value).encode("utf-8", "replace")


async def answer(request: Request, make: Callable[[Request, bytes, Stamp], Any]) -> Response:
    """The reply of an endpoint that only looks something up; what `make` refuses is answered as an error."""
    body = await request.body()
    stamp = Stamp.of(request, body)
    try:
        made = make(request, body, stamp)
    except OpenAIRefusal as refusal:
        return openai_error(refusal, id_headers(stamp))
    return reply(made, written({**id_headers(stamp), **VERSION}))
