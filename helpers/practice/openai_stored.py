"""Chat completions that were asked to be stored: list, read, label, delete, and their messages."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .errors import OpenAIRefusal
from .openai_checks import check_metadata
from .openai_http import answer, authorised, body_of
from .openai_kept import kept, page, shelf
from .openai_rules import MAP, check
from .replies import route
from .state import Stamp

Shown = dict[str, Any]


async def stored(request: Request) -> Response:
    return await answer(request, _list)


async def one(request: Request) -> Response:
    return await answer(request, {"GET": _read, "POST": _label, "DELETE": _delete}[request.method])


async def messages(request: Request) -> Response:
    return await answer(request, _messages)


def _entry(request: Request) -> dict[str, Any]:
    authorised(request)
    return kept(request, "completions")


def _shown(entry: dict[str, Any]) -> Shown:
    return {**entry["made"], "metadata": entry["asked"].get("metadata", {})}


def _list(request: Request, body: bytes, stamp: Stamp) -> Shown:
    """All that is stored; to an account that stored nothing the path takes POST alone, as callers report."""
    authorised(request)
    entries = shelf(request, "completions").values()
    if not entries:
        raise OpenAIRefusal("method", allowed="POST")
    return page([_shown(entry) for entry in entries], request)


def _read(request: Request, body: bytes, stamp: Stamp) -> Shown:
    return _shown(_entry(request))


def _label(request: Request, body: bytes, stamp: Stamp) -> Shown:
    entry = _entry(request)
    labels = body_of(request, body).get("metadata")
    if labels is None:
        raise OpenAIRefusal("missing", "metadata")
    check(labels, MAP, "metadata")
    check_metadata(labels)
    entry["asked"]["metadata"] = labels
    return _shown(entry)


def _delete(request: Request, body: bytes, stamp: Stamp) -> Shown:
    key = _entry(request)["made"]["id"]
    del shelf(request, "completions")[key]
    return {"object": "chat.completion.deleted", "id": key, "deleted": True}


def _messages(request: Request, body: bytes, stamp: Stamp) -> Shown:
    entry = _entry(request)
    key = entry["made"]["id"]
    said = [
        {"id": f"{key}-{n}", "content_parts": None, **message}
        for n, message in enumerate(entry["asked"]["messages"])
    ]
    return page(said, request)


routes = [
    route("/openai/v1/chat/completions", stored, "GET"),
    route("/openai/v1/chat/completions/{id}", one, "GET", "POST", "DELETE"),
    route("/openai/v1/chat/completions/{id}/messages", messages, "GET"),
]
