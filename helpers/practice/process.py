"""The practice server of a home as a process: find it, start it, let it go.

A home has at most one server. `<home>/server.json` says where it listens; who holds `<home>/server.lock` is
alive. A server that was started here ends by itself when the last process that asked for it has ended. With
COURSE_FROZEN set, as in the tests, it is a frozen one.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from helpers.errors import CourseError

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT = 20.0  # seconds
PACE = 60  # tokens a second, about what a small model makes on a laptop


@dataclass(frozen=True)
class Server:
    """A running practice server; `started` says that this very call started it."""

    url: str
    pid: int
    home: Path
    started: bool


def course_home() -> Path:
    """Where the course's practice server keeps its things: COURSE_HOME, else .practice in the course's
    folder.
    """
    return Path(os.environ.get("COURSE_HOME") or ROOT / ".practice").absolute()


def ensure(home: Path | None = None, owner: int | None = None) -> Server:
    """The home's server, started if there is none. It stays at least as long as the process `owner` lives.

    `owner` is a process id, by default default_owner(). Takes about a millisecond when the server is there.
    Raises CourseError with what to do.
    """
    home = home or course_home()
    owner = owner or default_owner()
    if running := _greet(home, owner):
        return running
    from filelock import FileLock

    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / "start.lock", timeout=START_LIMIT):
            return _greet(home, owner) or _start(home, owner)
    except OSError as error:
        raise CourseError(
            f"The practice server cannot use {home} ({error.strerror or error}). "
            "Set COURSE_HOME to a folder you can write."
        ) from None


def default_owner() -> int:
    """The lab this process belongs to (COURSE_OWNER), else its parent: a Jupyter server, or a shell.

    The lab names itself, because on Windows a kernel's parent is a starter that a kernel restart takes along.
    """
    lab = os.environ.get("COURSE_OWNER", "")
    return int(lab) if lab.isdecimal() and alive(int(lab)) else os.getppid()


def leave(home: Path | None = None, owner: int | None = None) -> None:
    """Tell the home's server that `owner` is done; if it was the last, wait until the server has ended."""
    running = announced(home or course_home())
    if running and _ask(running.url, "DELETE", owner or default_owner()) == running.pid:
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline and _ask(running.url, "DELETE", owner or default_owner()):
            time.sleep(0.05)


def announce(home: Path, url: str) -> None:
    """Write down where this process serves `home`."""
    part = home / f"server.{os.getpid()}.part"
    part.write_text(json.dumps({"url": url, "pid": os.getpid()}), "utf-8")
    os.replace(part, home / "server.json")


def announced(home: Path) -> Server | None:
    """The server that was last written down for `home`, alive or not."""
    try:
        said = json.loads((home / "server.json").read_text("utf-8"))
        return Server(said["url"], said["pid"], home, started=False)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def alive(pid: int) -> bool:
    """Whether a process of that id runs."""
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _greet(home: Path, owner: int) -> Server | None:
    said = announced(home)
    return said if said and _ask(said.url, "POST", owner) == said.pid else None


def _ask(url: str, method: str, owner: int) -> int | None:
    """The process id of the practice server at `url`, told about `owner`; None if there is none."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=1)
    try:
        connection.request(method, f"/practice/owners/{owner}")
        return json.loads(connection.getresponse().read())["pid"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None
    finally:
        connection.close()


def _start(home: Path, owner: int) -> Server:
    before = announced(home)
    port = urlsplit(before.url).port if before else None
    flags = ["--frozen"] if os.environ.get("COURSE_FROZEN") else ["--pace", str(PACE)]
    for wanted in dict.fromkeys([port or 0, 0]):
        command = [
            sys.executable,
            "-m",
            "helpers.practice.server",
            "--port",
            str(wanted),
            "--home",
            str(home),
        ]
        server = _spawn([*command, "--owner", str(owner), *flags], home)
        url = server.stdout.readline().decode().strip() if server.stdout else ""
        if url.startswith("http"):
            if server.stdout:
                server.stdout.close()
            return Server(url, server.pid, home, started=True)
        server.wait(START_LIMIT)
    lines = (home / "server.log").read_text("utf-8", "replace").strip().splitlines()
    raise CourseError(f"The practice server did not start: {lines[-1] if lines else 'it said nothing'}")


def _spawn(command: list[str], home: Path) -> subprocess.Popen[bytes]:
    """Start a server that outlives this process, in a session of its own, its complaints in server.log."""
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    }
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    with open(home / "server.log", "wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            env=environ,
            **apart,
        )
