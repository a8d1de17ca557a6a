"""What happens to a request before any endpoint sees it: CORS, the Host rule, the label, the journal; and
404, 405.

Sources: server/routes.go (allowedHostsMiddleware) and envconfig (AllowedOrigins), v0.32.15; gin 1.10 and
gin-contrib/cors 1.7 for the order of headers and the bodies of 404, 405 and redirects.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import OpenAIRefusal
from .journal import Journal

METHODS = ("HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
LABEL = "scripted"

_LOCAL = re.compile(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::\d+)?", re.IGNORECASE)
_APPS = ("app://", "file://", "tauri://", "vscode-webview://", "vscode-file://")
_PREFLIGHT = {
    "access-control-allow-methods": "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS",
    "access-control-allow-headers": "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,"
    "Openai-Beta,X-Stainless-Arch,X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,"
    "X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,"
    "X-Stainless-Runtime-Version,X-Stainless-Timeout",
    "access-control-max-age": "43200",
}


class Gate:
    """The outermost application."""

    def __init__(self, app: ASGIApp, routes: list[Route], journal: Journal) -> None:
        self.app = app
        self.routes = routes
        self.journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin, host = headers.get("origin", ""), headers.get("host", "")
        entry = self.journal.open(scope["method"], scope["path"], headers)
        cross: dict[str, str] = {}
        turned_away: Response | None = None
        if origin and origin not in (f"http://{host}", f"https://{host}"):
            if not allowed_origin(origin):
                turned_away = Response(status_code=403)
            elif scope["method"] == "OPTIONS":
                turned_away = self._preflight(scope["path"], origin)
            else:
                cross = {"access-control-allow-origin": origin, "vary": "Origin"}
        if turned_away is None and not allowed_host(host, scope):
            turned_away = Response(status_code=403)
        elif turned_away is None and scope["method"] == "OPTIONS" and not _is_address(host):
            turned_away = Response(status_code=204)

        async def heard() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                entry.hear(message.get("body", b""))
            return message

        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
                mutable = MutableHeaders(scope=message)
                mutable["x-practice"] = LABEL
                for name, value in cross.items():
                    mutable[name] = value
            await send(message)

        if turned_away is not None:
            await turned_away(scope, heard, labelled)
        else:
            await self.app(scope, heard, labelled)

    def _preflight(self, path: str, origin: str) -> Response:
        vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        allow = {"allow": ", ".join(found)} if (found := allowed_methods(self.routes, path)) else {}
        own = {"access-control-allow-origin": origin, "vary": vary}
        return Response(status_code=204, headers={**allow, **own, **_PREFLIGHT})


def allowed_origin(origin: str) -> bool:
    """Whether a page of this origin may ask: local pages, desktop shells, and what OLLAMA_ORIGINS adds."""
    if _LOCAL.fullmatch(origin) or origin.lower().startswith(_APPS):
        return True
    extra = [text.strip() for text in os.environ.get("OLLAMA_ORIGINS", "").split(",") if text.strip()]
    return any(re.fullmatch(re.escape(text).replace(r"\*", ".*"), origin) for text in extra)


def allowed_host(host: str, scope: Scope) -> bool:
    """Whether a Host header may reach a loopback server; this is what stops DNS rebinding."""
    listening = scope.get("server") or ("127.0.0.1", 0)
    if not _is_loopback(listening[0]):
        return True
    name = _without_port(host).lower()
    address = _address(name)
    if address is not None:
        return address.is_loopback or address.is_private or address.is_unspecified
    return name in ("", "localhost", socket.gethostname().lower()) or name.endswith(
        (".localhost", ".local", ".internal")
    )


def _without_port(host: str) -> str:
    return re.sub(r":\d+$", "", host).strip("[]")


def _address(name: str) -> Any:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _is_address(host: str) -> bool:
    return _address(_without_port(host)) is not None


def _is_loopback(name: str) -> bool:
    address = _address(name)
    return address is not None and address.is_loopback


def allowed_methods(routes: list[Route], path: str) -> list[str]:
    """The methods that `path` has a route for, in the real server's order."""
    found = {method for one in routes if one.path_regex.match(path) for method in one.methods or ()}
    return [method for method in METHODS if method in found]


async def no_route(request: Request, error: Exception, routes: list[Route]) -> Response:
    """The reply where no route fits: a redirect from a trailing slash, 405 or 404, each in its surface's
    words.
    """
    path, method = request.url.path, request.method
    allowed = allowed_methods(routes, path)
    if path.startswith("/openai/"):
        if allowed:
            refusal = OpenAIRefusal("method", allowed=" and ".join(allowed))
        else:
            refusal = OpenAIRefusal("url", method=method, path=path.removeprefix("/openai"))
        return openai_error(refusal)
    if allowed:
        headers = {"allow": ", ".join(allowed), "content-type": "text/plain"}
        return Response("405 method not allowed", 405, headers=headers)
    other = path.rstrip("/") if path.endswith("/") else path + "/"
    if method in allowed_methods(routes, other):
        return _moved(method, other)
    return Response("404 page not found", 404, headers={"content-type": "text/plain"})


def _moved(method: str, path: str) -> Response:
    if method != "GET":
        return Response(status_code=307, headers={"location": path})
    page = f'<a href="{path}">Moved Permanently</a>.\n\n'
    return Response(page, 301, headers={"location": path, "content-type": "text/html; charset=utf-8"})


def openai_error(refusal: OpenAIRefusal, headers: dict[str, str] | None = None) -> Response:
    text = json.dumps(refusal.body, indent=2, ensure_ascii=False)
    kind = {"content-type": "application/json; charset=utf-8"}
    return Response(text, refusal.status, headers={**kind, **(headers or {})})
