"""Routes and small replies as Ollama's server has them."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from .errors import Refusal
from .gojson import encode

JSON = "application/json; charset=utf-8"
BARE_JSON = "application/json"
NDJSON = "application/x-ndjson"


def reply(value: Any, status: int = 200, kind: str = JSON) -> Response:
    return Response(encode(value), status, headers={"content-type": kind})


def refused(refusal: Refusal, kind: str = JSON) -> Response:
    return reply({"error": refusal.text}, refusal.status, kind)


def route(path: str, endpoint: Any, *methods: str) -> Route:
    """A route that takes exactly `methods`; Starlette alone would add HEAD to every GET."""
    one = Route(path, endpoint, methods=list(methods))
    one.methods = set(methods)
    return one
