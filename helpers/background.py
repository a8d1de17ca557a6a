"""A command that runs on while a notebook goes on, such as `ollama serve`: read what it says, stop it.

Between the notebook and the command stands a guard, a small process whose stdin is a pipe from the notebook.
When that pipe closes, because the kernel has ended in whatever way, the guard ends the command and all that
it started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from helpers import child
from helpers.errors import CourseError
from helpers.show import visible

ROOT = Path(__file__).resolve().parents[1]
INTERRUPT = b"interrupt\n"


class Background:
    """A running command. As a context manager it is stopped at the end of the block."""

    def __init__(self, command: str, guard: subprocess.Popen[bytes]) -> None:
        self.command = command
        self._guard = guard
        self._text = b""
        self._more = threading.Condition()
        self._open = True
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        output = self._guard.stdout
        assert output
        while piece := output.read1(child.BLOCK):  # type: ignore[attr-defined]
            with self._more:
                self._text += piece
                self._more.notify_all()
        with self._more:
            self._open = False
            self._more.notify_all()

    @property
    def lines(self) -> list[str]:
        """What the command has written so far, stdout and stderr together, line by line."""
        return [visible(line) for line in self._text.decode("utf-8", "replace").splitlines()]

    @property
    def running(self) -> bool:
        return self._guard.poll() is None

    def wait_for(self, text: str, timeout: float = 20) -> str:
        """Wait until the command has written a line with `text` in it, and return the first such line.

        Raises CourseError if it ends or the time is over without one.
        """
        deadline = time.monotonic() + child.seconds(timeout)
        with self._more:
            while True:
                whole = self.lines if self._text.endswith(b"\n") or not self._open else self.lines[:-1]
                found = next((line for line in whole if text in line), None)
                if found is not None:
                    return found
                left = deadline - time.monotonic()
                if not self._open or left <= 0:
                    break
                self._more.wait(left)
            ended = not self._open
        how = "ended" if ended else f"had written nothing like it after {timeout:g} s"
        written = "\n".join(self.lines[-12:]) or "(nothing)"
        raise CourseError(f"No line with {text!r}: `{self.command}` {how}. Its last lines:\n{written}")

    def interrupt(self) -> None:
        """Do what Ctrl-C does in a terminal."""
        assert self._guard.stdin
        with suppress(OSError, ValueError):  # it has ended
            self._guard.stdin.write(INTERRUPT)
            self._guard.stdin.flush()

    def stop(self, timeout: float = 10) -> int:
        """Ctrl-C, and the end if that does not help within `timeout` seconds. Returns the command's code."""
        child.seconds(timeout)
        self.interrupt()
        try:
            self._guard.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(OSError):
                assert self._guard.stdin
                self._guard.stdin.close()  # the guard ends the command now
            self._guard.wait()
        self._listener.join(child.GRACE)
        return self._guard.returncode

    def __enter__(self) -> Background:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else f"ended with exit code {self._guard.returncode}"
        return "\n".join([*self.lines, f"[{self.command}: {state}]"])


def background(command: str | Sequence[str], env: dict[str, str] | None = None) -> Background:
    """Start a command and return while it runs. It ends with `stop`, or with this process.

    Raises CourseError if there is no such command.
    """
    words = child.words(command)
    environ = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
    apart: dict[str, object] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    starter = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); "]
    starter[-1] += "from helpers.background import guard; guard(sys.argv[1:])"
    try:
        process = subprocess.Popen(
            [*starter, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            **apart,  # type: ignore[call-overload]
        )
    except (OSError, ValueError) as error:
        raise child.unrunnable(words[0], error) from None
    return Background(child.shown(command), process)


def guard(command: list[str]) -> None:
    """Run a command until it ends or stdin does; a line on stdin is a Ctrl-C for it."""
    apart: dict[str, object] = {"start_new_session": True}
    interrupt = signal.SIGINT
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        interrupt = signal.CTRL_BREAK_EVENT
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **apart)  # type: ignore[call-overload]
    except (OSError, ValueError) as error:
        sys.exit(str(child.unrunnable(command[0], error)))

    def listen() -> None:
        while sys.stdin.buffer.readline():
            with suppress(OSError):
                process.send_signal(interrupt)
        child.end(process.pid)

    threading.Thread(target=listen, daemon=True).start()
    code = process.wait()
    os._exit(code if code >= 0 else 128 - code)
