"""The practice server: one process, one port, three surfaces, one home.

python -m helpers practice [--port N|0] [--home DIR] [--models all] [--frozen]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from helpers.errors import CourseError

from . import anthropic, compat, create, library, models, ollama, openai, process, pull, responses
from .clock import Clock
from .engines.script import Script
from .journal import Journal
from .replies import route
from .scheduler import Scheduler
from .state import Practice
from .store import Store
from .transport import Gate, no_route

DEFAULT_PORT = 11434
OWNER_CHECK = 0.5  # seconds between two looks at who still uses the server


def build(home: Path, *, frozen: bool = False, everything: bool = False, pace: float = 0.0) -> Starlette:
    """The application over `home`; a new home gets its first models. Reads and writes below `home` only."""
    clock = Clock(frozen)
    store = Store(home)
    new = not any(store.manifests.iterdir())
    if new or everything:
        library.fill(store, everything, clock.now())
    journal = Journal(clock)

    async def show_journal(request: Request) -> Response:
        return JSONResponse({"entries": [entry.shown() for entry in journal.entries]})

    async def clear_journal(request: Request) -> Response:
        journal.entries.clear()
        return Response(status_code=204)

    async def add_owner(request: Request) -> Response:
        app.state.owners.add(request.path_params["pid"])
        return JSONResponse({"pid": os.getpid()})

    async def remove_owner(request: Request) -> Response:
        app.state.owners.discard(request.path_params["pid"])
        return JSONResponse({"pid": os.getpid()})

    routes: list[Route] = [
        *models.routes,
        *ollama.routes,
        *create.routes,
        *pull.routes,
        *compat.routes,
        *responses.routes,
        *anthropic.routes,
        *openai.routes,
        route("/practice/journal", show_journal, "GET"),
        route("/practice/journal", clear_journal, "DELETE"),
        route("/practice/owners/{pid:int}", add_owner, "POST"),
        route("/practice/owners/{pid:int}", remove_owner, "DELETE"),
    ]

    async def not_routed(request: Request, error: Exception) -> Response:
        return await no_route(request, error, routes)

    app = Starlette(routes=routes, exception_handlers={404: not_routed, 405: not_routed})
    app.router.redirect_slashes = False
    app.state.practice = Practice(home, store, Script(), Scheduler(clock), clock, pace)
    app.state.owners = set()
    app.add_middleware(Gate, routes=routes, journal=journal)
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
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port on 127.0.0.1; 0 takes a free one"
    )
    parser.add_argument("--home", type=Path, help="where models are kept (default: .practice in the course)")
    parser.add_argument("--models", choices=["all"], help="install everything the library has")
    parser.add_argument("--frozen", action="store_true", help="ids and times depend on the request alone")
    parser.add_argument("--pace", type=float, default=0.0, help="tokens a second in a reply; 0 is full speed")
    parser.add_argument("--owner", type=int, help=argparse.SUPPRESS)
    return parser


def _serve(given: argparse.Namespace) -> int:
    home = (given.home or process.course_home()).absolute()
    lock = _take(home)
    listener = _listen(given.port)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = build(home, frozen=given.frozen, everything=given.models == "all", pace=given.pace)
    config = uvicorn.Config(app, log_level="warning", ws="none", lifespan="off", server_header=False)
    server = uvicorn.Server(config)
    if given.owner:
        app.state.owners.add(given.owner)
    process.announce(home, url)
    print(url, flush=True)
    if not given.owner:
        print(f"home {home}; Ctrl-C stops the server", flush=True)
    new_loop = config.get_loop_factory() or asyncio.new_event_loop  # uvloop's where it exists
    loop = new_loop()
    try:
        loop.run_until_complete(_run(server, listener, app if given.owner else None))
    except KeyboardInterrupt:
        pass
    finally:
        loop.close()
        lock.release()
    return 0


async def _run(server: uvicorn.Server, listener: socket.socket, owned: Starlette | None) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while owned is not None and not serving.done():
        await asyncio.wait([serving], timeout=OWNER_CHECK)
        gone = {pid for pid in owned.state.owners if not process.alive(pid)}
        owned.state.owners -= gone
        if not owned.state.owners:
            server.should_exit = True
            server.force_exit = True
            break
    await serving


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


def _listen(port: int) -> socket.socket:
    # The protocol is named because asyncio switches Nagle's delay (44 ms a reply) off only where it is.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        raise CourseError(
            f"Port {port} on 127.0.0.1 cannot be taken ({error}). Another program, perhaps Ollama itself, "
            "uses it; choose another with --port, or --port 0 for a free one."
        ) from None
    return listener


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(main(sys.argv[1:]))
