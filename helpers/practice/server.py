"""The practice server: one process, one port, three surfaces, one home.

python -m helpers practice [--port N|0] [--home DIR] [--models all] [--frozen] [--log]
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import uvicorn
from filelock import FileLock, Timeout
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.server import ServerState

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
from .connection import Connection
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

    def connection(config: Any, server_state: ServerState, app_state: Any, _loop: Any) -> Connection:
        return Connection(app.call, server_state)

    config = uvicorn.Config(
        cast(Any, app),
        http=cast(Any, connection),
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
    sys.set_asyncgen_hooks(firstiter=None)  # a list of all generators is for who closes them at the end
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
