"""Command lines as processes: their words, how one gets a terminal of its own, and how it is ended."""

from __future__ import annotations

import codecs
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

from helpers.errors import CourseError
from helpers.show import visible

GRACE = 2.0  # seconds between asking a process to end and ending it
BLOCK = 65536  # bytes
PIECE = 512  # bytes written to a terminal at once

# Makes the terminal the controlling one of the session that this process leads, then becomes the command.
TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def words(command: str | Sequence[str]) -> list[str]:
    """The words of a command line, the first as the path of the program. Raises CourseError."""
    if isinstance(command, str):
        lexer = shlex.shlex(command, posix=True, punctuation_chars=False)
        lexer.whitespace_split = True
        lexer.commenters = ""
        if os.name == "nt":
            lexer.escape = ""  # there a backslash is part of a path
        try:
            found = list(lexer)
        except ValueError:
            raise CourseError(
                f"A quote or backslash in `{visible(command)}` is not closed. Close it."
            ) from None
    else:
        found = [os.fspath(word) for word in command]
    if not found:
        raise CourseError("There is no command to run. Write one, for example run('ollama ls').")
    program = shutil.which(found[0])
    if program is None:
        fix = "Check its spelling, or install it."
        if found[0] == "ollama":
            fix = "Run the lesson's first cell, or install Ollama from https://ollama.com/download."
        raise CourseError(f"There is no command {found[0]!r} here. {fix}")
    return [program, *found[1:]]


def shown(command: str | Sequence[str]) -> str:
    """A command line as one text."""
    return visible(command if isinstance(command, str) else shlex.join(command))


def unrunnable(program: str, error: Exception) -> CourseError:
    reason = getattr(error, "strerror", None) or error
    return CourseError(f"{program} cannot be run: {reason}. Check the command.")


def seconds(timeout: float, name: str = "timeout") -> float:
    """A time-out. Raises CourseError if it is none."""
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < float("inf"):
        raise CourseError(f"{name} must be a number of seconds above 0, not {timeout!r}.")
    return timeout


def end(pid: int) -> None:
    """End a process, which leads its session, and all that it started."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    for one in family:
        with suppress(psutil.Error):
            one.terminate()
    _, left = psutil.wait_procs(family, timeout=GRACE)
    for one in left:
        with suppress(psutil.Error):
            one.kill()
    if sys.platform != "win32":  # and what lost its parent meanwhile
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


if sys.platform == "win32":
    from queue import Empty, Queue
    from threading import Thread

    class Terminal:
        """A command in a console of its own (ConPTY, by way of pywinpty). Raises CourseError."""

        def __init__(self, command: list[str], env: dict[str, str], columns: int, rows: int) -> None:
            try:
                from winpty import PtyProcess
            except ImportError:
                raise CourseError(
                    "A session needs pywinpty on Windows. Install it: python -m pip install pywinpty"
                ) from None
            try:
                self._process = PtyProcess.spawn(command, env=env, dimensions=(rows, columns))
            except Exception as error:  # pywinpty raises its own
                raise unrunnable(command[0], error) from None
            self._queue: Queue[str] = Queue()
            self.ended = False
            Thread(target=self._listen, daemon=True).start()

        def _listen(self) -> None:
            try:
                while text := self._process.read(BLOCK):
                    self._queue.put(text)
            except (EOFError, OSError):
                pass
            self._queue.put("")

        def read(self, wait: float) -> str:
            try:
                text = self._queue.get(timeout=wait)
            except Empty:
                return ""
            self.ended = not text
            return text

        def write(self, text: str) -> None:
            with suppress(EOFError, OSError):
                self._process.write(text)

        def close(self) -> int | None:
            code = self._process.exitstatus if self.ended and not self._process.isalive() else None
            end(self._process.pid)
            self._process.close(force=True)
            return code

else:
    import fcntl
    import struct
    import termios

    class Terminal:
        """A command in a terminal of its own. Raises CourseError."""

        def __init__(self, command: list[str], env: dict[str, str], columns: int, rows: int) -> None:
            self._keyboard, screen = os.openpty()
            self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
            self.ended = False
            fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            starter = [sys.executable, "-I", "-S", "-c", TAKE_TERMINAL, *command]
            try:
                self._process = subprocess.Popen(
                    starter, stdin=screen, stdout=screen, stderr=screen, env=env, start_new_session=True
                )
            except (OSError, ValueError) as error:
                os.close(self._keyboard)
                raise unrunnable(command[0], error) from None
            finally:
                os.close(screen)

        def read(self, wait: float) -> str:
            """What the command wrote, "" if that was nothing within `wait` seconds or if it has ended."""
            if not select.select([self._keyboard], [], [], wait)[0]:
                return ""
            try:
                block = os.read(self._keyboard, BLOCK)
            except OSError:  # Linux's way to say that the other end is closed
                block = b""
            self.ended = not block
            return self._decoder.decode(block, final=not block)

        def write(self, text: str) -> None:
            data = text.encode("utf-8", "replace")
            for start in range(0, len(data), PIECE):
                with suppress(OSError):  # nobody reads any more
                    os.write(self._keyboard, data[start : start + PIECE])

        def close(self) -> int | None:
            """Close the terminal, end what still runs, and return the code of what had ended by itself."""
            code = None
            if self.ended:
                with suppress(subprocess.TimeoutExpired):
                    code = self._process.wait(GRACE)
            os.close(self._keyboard)
            deadline = time.monotonic() + GRACE
            while self._process.poll() is None and time.monotonic() < deadline:
                with suppress(subprocess.TimeoutExpired):  # the closed terminal has told it to end
                    self._process.wait(0.05)
            end(self._process.pid)
            self._process.wait()
            return code
