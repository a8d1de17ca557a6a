"""What happens to a request around its endpoint: the application itself.

In the real server's order: paths that are not clean are redirected, the route is found, then come CORS, the
Host rule, and the endpoint, 404 or 405. Added here: the label, the journal, faults on demand, a limit on
bodies, and that a request ends with its client.

Sources: net/http of Go 1.26 (ServeMux, Redirect), gin 1.10 (redirects, 404, 405), gin-contrib/cors 1.7, and
Ollama v0.32.15, server/routes.go (allowedHostsMiddleware) and envconfig (AllowedOrigins).
"""

from __future__ import annotations

import asyncio
import html
import ipaddress
import json
import os
import posixpath
import re
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Message, Scope, Send

from . import faults
from .cli_format import duration
from .connection import Call, Connection, lines_of
from .errors import BrokenBody, OpenAIRefusal, Refusal
from .gojson import encode
from .journal import Journal
from .replies import JSON, SCRIPTED, Whole, at_each_wait, author
from .request_head import Head, Pair

METHODS = ("HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
BODY_LIMIT = 64 * 1024 * 1024  # bytes; no more of a body is read into memory
STREAMED = ("/api/blobs/", "/v2/")  # bodies that go to disk as they come

_PREFLIGHT = {
    "access-control-allow-methods": "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS",
    "access-control-allow-headers": "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,"
    "Openai-Beta,X-Stainless-Arch,X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,"
    "X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,"
    "X-Stainless-Runtime-Version,X-Stainless-Timeout",
    "access-control-max-age": "43200",
}
_VARY = ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")
_PATH_SAFE = "/$&+,:;=@!'()*~"  # what Go leaves as it is in a path

Endpoint = Callable[[Request], Any]


class Application:
    """Every request's way in. `state` is what its endpoints share; `log` gets a line for each reply.

    `loopback` says that it listens on this machine only, where the Host rule holds.
    """

    def __init__(
        self, routes: Sequence[Route], journal: Journal, log: Callable[[str], None] | None = None
    ) -> None:
        self.routes = routes
        self.journal = journal
        self.log = log
        self.loopback = True
        self.state = SimpleNamespace()
        self._counts = faults.Counts()
        self._fixed: dict[tuple[str, str], Endpoint] = {}
        for one in reversed(routes):
            if "{" not in one.path:
                self._fixed |= {(method, one.path): one.endpoint for method in one.methods or ()}
        self._shaped = [one for one in routes if "{" in one.path]

    def call(self, connection: Connection, scope: Scope, head: Head) -> Call:
        """What answers a request that came on `connection`."""
        return _Exchange(self, connection, scope, head)

    def endpoint(self, scope: Scope) -> Endpoint | None:
        """What answers this method and path; path parameters are put into `scope`."""
        found = self._fixed.get((scope["method"], scope["path"]))
        if found is not None:
            scope["path_params"] = {}
            return found
        for one in self._shaped:
            match, child = one.matches(scope)
            if match == Match.FULL:
                scope.update(child)
                return one.endpoint
        scope["path_params"] = {}
        return None

    def fault(self, header: bytes) -> faults.Fault | None:
        """The fault that this request gets. Raises faults.BadFault."""
        wanted = faults.asked_for(header.decode("latin-1"))
        return wanted if self._counts.strikes(wanted) else None


class _Request(Request):
    """Starlette's, whose body is put together in fewer steps."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            parts, more = [], True
            while more:
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                parts.append(message.get("body", b""))
                more = message.get("more_body", False)
            self._body = b"".join(parts)
        return self._body


class _TooLarge(Exception):
    """A body is longer than BODY_LIMIT."""


class _Exchange(Call):
    """One request and its reply."""

    def __init__(self, app: Application, connection: Connection, scope: Scope, head: Head) -> None:
        super().__init__(connection, scope, head)
        scope["app"], scope["practice.headers"] = app, head.first
        self.app = app
        self.origin = head.first.get(b"origin", b"").decode("latin-1")
        self.host = head.first.get(b"host", b"").decode("latin-1")
        self.entry = app.journal.open(scope["method"], scope["path"], scope["query_string"], scope["headers"])
        self.added: list[Pair] = []
        self.status = 0
        self.size = 0
        self.said_all = False
        self.watcher: asyncio.Task[None] | None = None

    async def run(self) -> None:
        author.set(SCRIPTED)
        log, began = self.app.log, datetime.now() if self.app.log else None
        try:
            await at_each_wait(self._answer(), self._watch)
        except asyncio.CancelledError:
            if self.watcher is None or not self.watcher.done():
                raise
        except (ClientDisconnect, faults.HungUp):
            pass
        except Refusal:  # the model failed in the middle of a stream
            if self.watcher is not None:
                self.watcher.cancel()
            await self._hang_up()
        except BaseException:
            self.status = self.status or 500
            raise
        finally:
            if self.watcher is not None:
                self.watcher.cancel()
            if self.entry is not None:
                self.app.journal.close(self.entry, self.status)
            if log and began:
                log(_log_line(began, self.scope, self.status))

    def _watch(self) -> None:
        """Called when the request has to wait: from then on it ends with its client."""
        if self.watcher is None and self.heard_all:
            self.watcher = asyncio.create_task(self._end_with_client(asyncio.current_task()))

    async def _end_with_client(self, task: asyncio.Task[Any] | None) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        if task is not None and not self.said_all:
            task.cancel()

    async def _answer(self) -> None:
        try:
            response, send = await self._response()
            if type(response) is Whole and send == self._say:
                self.status, self.said_all = response.status_code, True
                self.write(response.status_code, [*response.lines, *self._label()], response.whole)
            else:
                await response(self.scope, self._hear, send)
        except BrokenBody as broken:
            await faults.refused(broken, self.scope["path"])(self.scope, self._hear, self._say)
        except _TooLarge:
            await _too_large(self.scope["path"], self.size)(self.scope, self._hear, self._say)

    async def _response(self) -> tuple[Response, Send]:
        """The reply, and how it is sent."""
        if nowhere := self._nowhere():
            return nowhere, self._say
        if moved := _cleaned(self.scope):
            return moved, self._say
        endpoint = self.app.endpoint(self.scope)
        if endpoint is None and (moved := _with_or_without_slash(self.app.routes, self.scope)):
            return moved, self._say
        if turned_away := self._turned_away():
            return turned_away, self._say
        if endpoint is None:
            return no_route(self.app.routes, self.scope), self._say
        if self.head.length > BODY_LIMIT and not self.scope["path"].startswith(STREAMED):
            self.size = self.head.length
            raise _TooLarge
        request = _Request(self.scope, self._hear)
        send: Send = self._say
        if faults.HEADER in self.head.first and not self.scope["path"].startswith("/practice/"):
            try:
                fault = self.app.fault(self.head.first[faults.HEADER])
            except faults.BadFault as error:
                return faults.refused(error, self.scope["path"]), self._say
            if fault is not None:
                if self.entry is not None:
                    self.entry.fault = fault.name
                if fault.status:
                    return await faults.answer(fault, request), self._say
                await faults.delay(fault)
                send = faults.spoil(fault, self._say, self._hang_up)
        try:
            return await endpoint(request), send
        except Refusal as refusal:  # the model failed in the middle of a reply
            return faults.refused(refusal, self.scope["path"]), self._say

    def _nowhere(self) -> Response | None:
        """The answer to a request that is for no path."""
        method = self.scope["method"]
        if method == "CONNECT":
            kind = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
            return Response("404 page not found\n", 404, headers=kind)
        if self.scope["raw_path"] != b"*":
            return None
        self.keeps_alive = self.keeps_alive and method == "OPTIONS"
        return Response(status_code=200 if method == "OPTIONS" else 400)

    def _turned_away(self) -> Response | None:
        """What CORS and the Host rule answer instead, if they do."""
        scope, origin = self.scope, self.origin
        options = scope["method"] == "OPTIONS"
        if origin and origin not in (f"http://{self.host}", f"https://{self.host}"):
            if not allowed_origin(origin):
                return self._empty(403)
            everyone = "*" in _origins()
            self.added.append(
                (b"access-control-allow-origin", b"*" if everyone else origin.encode("latin-1"))
            )
            if options:
                preflight = self._empty(204)
                preflight.raw_headers += [(k.encode(), v.encode()) for k, v in _PREFLIGHT.items()]
                preflight.raw_headers += [(b"vary", name.encode()) for name in _VARY if not everyone]
                return preflight
            if not everyone:
                self.added.append((b"vary", b"Origin"))
        if self.app.loopback and not allowed_host(self.host):
            return self._empty(403)
        if options and not _is_address(_without_port(self.host)):
            return self._empty(204)
        return None

    def _empty(self, status: int) -> Response:
        """A reply without a body; a path that is known, but not for this method, has its Allow header."""
        allowed = allowed_methods(self.app.routes, self.scope["path"])
        known = allowed and self.scope["method"] not in allowed
        return Response(status_code=status, headers={"allow": ", ".join(allowed)} if known else None)

    async def _hear(self) -> Message:
        message = await self.receive()
        if message["type"] == "http.request":
            body = message.get("body", b"")
            self.size += len(body)
            if body and self.entry is not None:
                self.app.journal.hear(self.entry, body)
            if self.size > BODY_LIMIT and not self.scope["path"].startswith(STREAMED):
                raise _TooLarge
        elif self.fault:
            raise BrokenBody(self.fault)
        return message

    async def _say(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self._label()]
        elif not message.get("more_body", False):
            self.said_all = True
        await self.send(message)

    def _label(self) -> list[bytes]:
        """The headers that every reply has."""
        return [author.get(), *lines_of(self.added)]

    async def _hang_up(self) -> None:
        """Break the connection in the middle of the reply."""
        self.transport.close()
        while (await self.receive())["type"] != "http.disconnect":
            pass


# --- CORS and the Host rule -------------------------------------------------------------------------


def _origins() -> list[str]:
    own = os.environ.get("OLLAMA_ORIGINS", "").strip().strip("\"'")
    return own.split(",") if own else []


_ORIGINS = [
    f"{scheme}://{host}{port}"
    for host in ("localhost", "127.0.0.1", "0.0.0.0")
    for scheme in ("http", "https")
    for port in ("", ":*")
] + ["app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*"]


def allowed_origin(origin: str) -> bool:
    """Whether a page of this origin may ask: local pages, desktop shells, and what OLLAMA_ORIGINS adds.

    A pattern may have one `*`, which stands for any text.
    """
    for pattern in [*_origins(), *_ORIGINS]:
        start, star, end = pattern.partition("*")
        if origin == pattern.lower() or (star and origin.startswith(start) and origin.endswith(end)):
            return True
    return False


@lru_cache(maxsize=64)
def allowed_host(host: str) -> bool:
    """Whether a Host header may reach a loopback server; this is what stops DNS rebinding."""
    name = _without_port(host).lower()
    address = _address(name)
    if address is not None and (
        address.is_loopback or address.is_unspecified or _is_private(address) or _is_own(address)
    ):
        return True
    return name in ("", "localhost", socket.gethostname().lower()) or name.endswith(
        (".localhost", ".local", ".internal")
    )


def _without_port(host: str) -> str:
    """The name in a Host header; as in Go, what is not quite name:port is taken whole."""
    found = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]]*)):[^:\[\]]*", host)
    return (found[1] or found[2] or "") if found else host


_PRIVATE = [
    ipaddress.ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
]


def _is_private(address: Any) -> bool:
    return any(address in net for net in _PRIVATE if net.version == address.version)


def _is_own(address: Any) -> bool:
    import psutil

    found = {
        one.address.partition("%")[0] for all_of_it in psutil.net_if_addrs().values() for one in all_of_it
    }
    return str(address) in found


def _address(name: str) -> Any:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_address(name: str) -> bool:
    return _address(name) is not None


# --- where no route fits ----------------------------------------------------------------------------


def allowed_methods(routes: Sequence[Route], path: str) -> list[str]:
    """The methods that `path` has a route for, in the real server's order."""
    found = {method for one in routes if one.path_regex.match(path) for method in one.methods or ()}
    return [method for method in METHODS if method in found]


def _cleaned(scope: Scope) -> Response | None:
    """A redirect to the clean form of a path that has `//` or `.` parts."""
    path = scope["path"]
    if not ("//" in path or "/." in path) or path.startswith("/openai/"):
        return None
    clean = "/" + posixpath.normpath(path).lstrip("/")
    if path.endswith("/") and clean != "/":
        clean += "/"
    return _moved(scope, clean, 307) if clean != path else None


def _with_or_without_slash(routes: Sequence[Route], scope: Scope) -> Response | None:
    """A redirect to the route that differs in a trailing slash."""
    path, method = scope["path"], scope["method"]
    other = path[:-1] if path.endswith("/") else path + "/"
    if path == "/" or path.startswith("/openai/") or method not in allowed_methods(routes, other):
        return None
    return _moved(scope, other, 301 if method == "GET" else 307)


def _moved(scope: Scope, path: str, status: int) -> Response:
    query = scope["query_string"].decode("latin-1")
    where = quote(path, safe=_PATH_SAFE) + (f"?{query}" if query else "")
    if scope["method"] not in ("GET", "HEAD"):
        return Response(status_code=status, headers={"location": where})
    title = {301: "Moved Permanently", 307: "Temporary Redirect"}[status]
    page = f'<a href="{html.escape(where)}">{title}</a>.\n\n'
    return Response(page, status, headers={"location": where, "content-type": "text/html; charset=utf-8"})


def no_route(routes: Sequence[Route], scope: Scope) -> Response:
    """405 or 404, in the words of the surface."""
    path, method = scope["path"], scope["method"]
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
    return Response("404 page not found", 404, headers={"content-type": "text/plain"})


def openai_error(refusal: OpenAIRefusal, headers: dict[str, str] | None = None) -> Response:
    text = json.dumps(refusal.body, indent=2, ensure_ascii=False)
    kind = {"content-type": "application/json; charset=utf-8"}
    return Response(text.encode("utf-8", "replace"), refusal.status, headers={**kind, **(headers or {})})


def _too_large(path: str, size: int) -> Response:
    if path.startswith("/openai/"):
        text = f"Maximum content size limit ({BODY_LIMIT}) exceeded ({size} bytes read)"
        error: Any = {"message": text, "type": "server_error", "param": None, "code": None}
    elif path.startswith("/v1/"):
        text = "http: request body too large"
        error = {"message": text, "type": "api_error", "param": None, "code": None}
    else:
        error = "http: request body too large"
    return Response(encode({"error": error}), 413, headers={"content-type": JSON})


def _log_line(began: datetime, scope: Scope, status: int) -> str:
    """A line of the access log, as gin writes it."""
    took = round((datetime.now() - began).total_seconds() * 1e9)
    client = (scope.get("client") or ("", 0))[0]
    query = scope["query_string"].decode("latin-1")
    path = json.dumps(scope["path"] + (f"?{query}" if query else ""))
    at = began.strftime("%Y/%m/%d - %H:%M:%S")
    return f"[GIN] {at} | {status:3d} | {duration(took):>13} | {client:>15} | {scope['method']:<7}  {path}"
