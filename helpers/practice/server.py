"""The practice server: one process, one port, three surfaces, one home.

python -m helpers practice [--port N|0] [--home DIR] [--models all] [--frozen] [--log]
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httptools
import uvicorn
from filelock import FileLock, Timeout
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from helpers.errors import CourseError

from . import (
    anthropic,
    cloud,
    compat,
    create,
    library,
    models,
    ollama,
    openai,
    process,
    pull,
    push,
    registry,
    responses,
    transcriptions,
)
from .clock import Clock
from .engines import Engine, smollm2
from .engines.script import Script
from .errors import Refusal
from .journal import Journal
from .replies import route
from .scheduler import Scheduler
from .state import Practice
from .store import Model, Store, no_prune
from .transport import Application

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 11434
OWNER_CHECK = 0.5  # seconds between two looks at who still uses the server
LAST_WORDS = 1  # seconds that requests still have when the server ends
HEAD_LIMIT = 1024 * 1024 + 4096  # bytes of a request's head, as Go has it
FALSE = ("", "0", "f", "false")  # what an environment variable says that is off


def build(
    home: Path,
    *,
    frozen: bool = False,
    everything: bool = False,
    pace: float = 0.0,
    log: Callable[[str], None] | None = None,
    model_folder: Path | None = None,
) -> Application:
    """The application over `home`; a new home gets its first models. Reads and writes below `home` only.

    `pace` is tokens a second, 0 for full speed; `log` gets a line for each reply; `model_folder` is where
    the models are, by default in the home.
    """
    clock = Clock(frozen)
    store = Store(home, model_folder)
    if not no_prune():
        store.prune()
    new = not any(store.manifests.iterdir())
    if new or everything:
        library.fill(store, everything, clock.now())
    journal = Journal(clock)

    async def show_journal(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal() or len(after) > 18:
            return JSONResponse({"error": "after must be the number of a journal entry"}, 400)
        return JSONResponse(journal.shown(int(after)))

    async def clear_journal(request: Request) -> Response:
        journal.clear()
        return Response(status_code=204)

    async def add_owner(request: Request) -> Response:
        app.state.owners.add(request.path_params["pid"])
        return JSONResponse({"pid": os.getpid()})

    async def remove_owner(request: Request) -> Response:
        app.state.owners.discard(request.path_params["pid"])
        return JSONResponse({"pid": os.getpid()})

    routes: list[Route] = [
        *models.routes,
        *cloud.routes,
        *ollama.routes,
        *create.routes,
        *pull.routes,
        *push.routes,
        *registry.routes,
        *compat.routes,
        *responses.routes,
        *transcriptions.routes,
        *anthropic.routes,
        *openai.routes,
        route("/practice/journal", show_journal, "GET"),
        route("/practice/journal", clear_journal, "DELETE"),
        route("/practice/owners/{pid:int}", add_owner, "POST"),
        route("/practice/owners/{pid:int}", remove_owner, "DELETE"),
    ]
    app = Application(routes, journal, log)
    script = Script()

    async def start(model: Model, launch: dict[str, Any], parallel: int) -> Engine:
        return await smollm2.start(home, model, launch, parallel) if smollm2.runs(model) else script

    app.state.practice = Practice(home, store, script, Scheduler(clock, start), clock, pace)
    app.state.owners = set()
    app.state.openai_kept = {}
    return app


def main(argv: list[str]) -> int:
    """Serve in the foreground until Ctrl-C, or until the last owner has gone; the URL is the first line
    printed.
    """
    given = _parser().parse_args(argv)
    try:
        return _serve(given)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m helpers practice",
        description="Serve Ollama's API, its OpenAI-compatible one and api.openai.com's.",
    )
    parser.add_argument("--host", default=DEFAULT_HOST, help="where to listen (default: this machine only)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port there; 0 takes a free one")
    parser.add_argument("--home", type=Path, help="where models are kept (default: .practice in the course)")
    parser.add_argument("--models", choices=["all"], help="install everything the library has")
    parser.add_argument("--frozen", action="store_true", help="ids and times depend on the request alone")
    parser.add_argument("--pace", type=float, default=0.0, help="tokens a second in a reply; 0 is full speed")
    parser.add_argument("--log", action="store_true", help="print a line for each reply, as Ollama does")
    parser.add_argument("--owner", type=int, help=argparse.SUPPRESS)
    return parser


def _serve(given: argparse.Namespace) -> int:
    home = (given.home or process.course_home()).absolute()
    lock = _take(home)
    try:
        listener = _listen(given.host, given.port)
        address, port = listener.getsockname()[:2]
        url = f"http://{f'[{address}]' if ':' in address else address}:{port}"
        logged = given.log or os.environ.get("OLLAMA_DEBUG", "").strip().lower() not in FALSE
        try:
            app = build(
                home,
                frozen=given.frozen,
                everything=given.models == "all",
                pace=given.pace,
                log=_print_line if logged else None,
            )
            process.announce(home, url)
        except (OSError, Refusal) as error:
            raise CourseError(
                f"{home} cannot be used ({error}). Choose another folder with --home or COURSE_HOME."
            ) from None
        if given.owner:
            app.state.owners.add(given.owner)
        print(url, flush=True)
        if not given.owner:
            print(f"home {home}; Ctrl-C stops the server", flush=True)
        if not ipaddress.ip_address(address).is_loopback:
            print(f"Anyone who can reach {address} can use this server; it checks no key.", file=sys.stderr)
        run(app, listener, owned=bool(given.owner))
    finally:
        lock.release()
    return 0


def run(app: Application, listener: socket.socket, owned: bool = False) -> None:
    """Serve until Ctrl-C or, if `owned`, until the last owner has gone."""
    app.loopback = ipaddress.ip_address(listener.getsockname()[0]).is_loopback
    _allow_many_connections()
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=LAST_WORDS,
    )
    server = uvicorn.Server(config)
    new_loop = config.get_loop_factory() or asyncio.new_event_loop  # uvloop's where it exists
    loop = new_loop()
    try:
        loop.run_until_complete(_until_done(server, listener, app.state.owners if owned else None))
    except KeyboardInterrupt:
        pass
    finally:
        loop.close()


async def _until_done(server: uvicorn.Server, listener: socket.socket, owners: set[int] | None) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while owners is not None and not serving.done():
        await asyncio.wait([serving], timeout=OWNER_CHECK)
        owners -= {pid for pid in owners if not process.alive(pid)}
        if not owners:
            server.should_exit = True
            server.force_exit = True
            break
    await serving


def _print_line(line: str) -> None:
    print(line, flush=True)


class Cycle(RequestResponseCycle):
    """uvicorn's request and reply, except that a reply's headers are looked at all at once, and go out
    together with the first of its body, as Go's do.
    """

    head = b""

    async def send(self, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], [*self.default_headers, *message["headers"]])
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self.scope["method"] == "HEAD":
            body, self.expected_content_length = b"", 0
        elif self.chunked_encoding:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        elif self.chunked_encoding is False:  # otherwise the body ends where the connection does
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (self.expected_content_length and not more):
                raise RuntimeError("the reply's body is not as long as its content-length")
        self.transport.write(self.head + body)
        self.head = b""
        if not more:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        if self.response_started:
            raise RuntimeError("a second reply to one request")
        old = self.scope["http_version"] == "1.0"
        if self.waiting_for_100_continue:  # the body was not asked for, so what comes next may be it or not
            self.keep_alive = False
        self.response_started, self.waiting_for_100_continue = True, False
        length = dict(headers).get(b"content-length")
        if not self.keep_alive and not old:
            headers.append((b"connection", b"close"))
        if length is not None:
            self.chunked_encoding, self.expected_content_length = False, int(length)
        elif self.scope["method"] != "HEAD" and status not in (204, 304) and not old:
            self.chunked_encoding = True
            headers.append((b"transfer-encoding", b"chunked"))
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers):
            raise RuntimeError("a line end in a header of the reply")
        self.head = b"%b%b\r\n" % (STATUS_LINE[status], lines)
        if old:
            self.head = b"HTTP/1.0" + self.head[8:]


NOT_EXPECTED = "417 Expectation Failed"


class Protocol(HttpToolsProtocol):
    """uvicorn's reader of requests, which refuses what Go's refuses, in its words."""

    in_head, head_size, refusal = True, 0, "400 Bad Request"

    def data_received(self, data: bytes) -> None:
        if self.in_head:
            self.head_size += len(data)
            if self.head_size > HEAD_LIMIT:
                self.refusal = "431 Request Header Fields Too Large"
                self.send_400_response(self.refusal)
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: Any = self.scope
        scope["practice.hang_up"] = self.transport.close

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.in_head, self.head_size = False, 0
        given = dict(self.headers)
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (b"%" in self.url and _BAD_ESCAPE(self.url)) or self.url == b"*":
            raise httptools.HttpParserError
        version = self.parser.get_http_version()
        if not hosts and version == "1.1":
            self._refuse("400 Bad Request: missing required Host header")
        if not _HOST(given.get(b"host", b"")):
            self._refuse("400 Bad Request: malformed Host header")
        if given.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            self._refuse("501 Not Implemented")
        expected = next((value for name, value in self.headers if name == b"expect"), b"")
        if expected and not _CONTINUE(expected):
            self._refuse(NOT_EXPECTED)
        url = httptools.parse_url(self.url)
        if url.host and not self.url.startswith(b"/"):
            self.headers[:] = [(b"host", url.host), *(one for one in self.headers if one[0] != b"host")]
        path = url.path.decode("ascii")
        scope: Any = self.scope
        scope["http_version"] = version
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        before, self.cycle = (
            self.cycle,
            Cycle(
                scope=scope,
                transport=self.transport,
                flow=self.flow,
                logger=self.logger,
                access_logger=self.access_logger,
                access_log=False,
                default_headers=self.server_state.default_headers,
                message_event=asyncio.Event(),
                expect_100_continue=bool(expected)
                and version != "1.0"
                and given.get(b"content-length") != b"0",
                keep_alive=version != "1.0" and self.parser.should_keep_alive(),
                on_response=self.on_response_complete,
            ),
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_message_complete(self) -> None:
        self.in_head = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Take the next request, however long it lets the connection rest: the real server knows no limit."""
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def shutdown(self) -> None:
        self.transport.close()  # the real server lets no reply end either

    def send_400_response(self, msg: str) -> None:
        text = self.refusal.encode()
        kind, body = b"Content-Type: text/plain; charset=utf-8", text
        if self.refusal == NOT_EXPECTED:
            kind, body = b"Content-Length: 0", b""
        self.transport.write(b"HTTP/1.1 %b\r\n%b\r\nConnection: close\r\n\r\n%b" % (text, kind, body))
        self.transport.close()

    def _refuse(self, why: str) -> None:
        self.refusal = why
        raise httptools.HttpParserError


_HOST = re.compile(rb"[\w!$%&'()*+,\-.:;=\[\]~]*").fullmatch
_CONTINUE = re.compile(rb"(?:.*[ ,\t])?100-continue(?:[ ,\t].*)?", re.IGNORECASE).fullmatch
_BAD_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2})").search


def _allow_many_connections() -> None:
    """As many open files as this process may have, as Go programs do; some systems start with 256."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 10_240  # the most that macOS takes
    if soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _take(home: Path) -> FileLock:
    """The home, for this process alone. Raises CourseError."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home / "server.lock")
        lock.acquire(timeout=0)
    except Timeout:
        running = process.announced(home)
        where = f" at {running.url}" if running else ""
        raise CourseError(
            f"A practice server already uses {home}{where}. Stop it, or choose another --home."
        ) from None
    except OSError as error:
        raise CourseError(
            f"{home} cannot be written ({error.strerror}). Choose another folder with --home or COURSE_HOME."
        ) from None
    return lock


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket on a numeric address, or localhost. Raises CourseError."""
    host = DEFAULT_HOST if host == "localhost" else host.strip("[]")
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        raise CourseError(
            f"{host} is no address to listen on; use 127.0.0.1, or 0.0.0.0 for every network of this machine."
        ) from None
    # The protocol is named because asyncio switches Nagle's delay (44 ms a reply) off only where it is.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        raise CourseError(
            f"Port {port} on {host} cannot be taken ({error}). Another program, perhaps Ollama itself, "
            "uses it; choose another with --port, or --port 0 for a free one."
        ) from None
    return listener


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(main(sys.argv[1:]))
