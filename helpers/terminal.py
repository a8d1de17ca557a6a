"""A command line in a notebook: run to its end or a time-out, its output as a reader would have seen it."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass

import psutil

from helpers.errors import CourseError
from helpers.show import visible

GRACE = 2.0  # seconds between asking a process to end and ending it
FARTHEST = 1000  # columns that an escape sequence moves to at most

# Runs of plain text; escape sequences, of which those with a final letter may move; control characters.
PIECES = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f]+)"
    r"|\x1b\[(?P<numbers>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[ -/]*[0-~]"
    r"|(?P<control>[\x00-\x1f\x7f])"
)


@dataclass(frozen=True, repr=False)
class Result:
    """What a command wrote, raw, and its return code; shown as a terminal would show it in the end."""

    command: str
    stdout: str
    stderr: str
    returncode: int

    def __repr__(self) -> str:
        parts = [clean(self.stdout), clean(self.stderr)]
        parts += [f"[exit code {self.returncode}]"] if self.returncode else []
        return "\n".join(part for part in parts if part)


def run(command: str, timeout: float = 60, stdin: str | None = None) -> Result:
    """Run a command line, without a shell, and return what it wrote, whatever its return code.

    Args:
        command: words and quotes as in a shell; pipes, variables and wildcards mean nothing here.
        timeout: seconds after which the command and all that it started are ended.
        stdin: what the command reads; by default nothing.

    Raises:
        CourseError: there is no such command, it cannot be run, or it did not end in time.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf:
        raise CourseError(f"timeout must be a number of seconds above 0, not {timeout!r}.")
    words = _split(command)
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CourseError(f"{words[0]} cannot be run: {reason}. Check the command.") from None
    try:
        given = None if stdin is None else stdin.encode(errors="replace")
        out, err = process.communicate(given, timeout=timeout)
    except BaseException as error:  # the time-out, or an interrupt
        _end(process)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise CourseError(
            f"`{visible(command)}` had not ended after {timeout:g} s and was stopped. "
            f"Give it longer: timeout={timeout * 5:g}."
        ) from None
    return Result(command, out.decode(errors="replace"), err.decode(errors="replace"), process.returncode)


def clean(text: str) -> str:
    """Return what a terminal shows in the end: no escape sequences, of a progress bar only the last state."""
    lines, row, column = [""], 0, 0
    for piece in PIECES.finditer(text):
        words, final, control = piece["text"], piece["final"], piece["control"]
        if words:
            before, after = lines[row][:column].ljust(column), lines[row][column + len(words) :]
            lines[row] = before + words + after
            column += len(words)
        elif final:
            first = piece["numbers"].partition(";")[0]
            count = min(int(first[:9]), FARTHEST) if first.isdecimal() else 0
            if final == "A":
                row = max(row - (count or 1), 0)
            elif final == "B":
                row = min(row + (count or 1), len(lines) - 1)
            elif final == "C":
                column = min(column + (count or 1), max(column, FARTHEST))
            elif final == "D":
                column = max(column - (count or 1), 0)
            elif final == "G":
                column = max(count - 1, 0)
            elif final in "JK":
                kept = " " * (column + 1) + lines[row][column + 1 :] if count == 1 else ""
                lines[row] = kept if count else lines[row][:column]
                if final == "J":
                    del lines[row + 1 :]
        elif control == "\n":
            row, column = row + 1, 0
            if row == len(lines):
                lines.append("")
        elif control == "\r":
            column = 0
        elif control == "\b":
            column = max(column - 1, 0)
        elif control == "\t":
            column += 8 - column % 8
    return "\n".join(visible(line).rstrip() for line in lines).rstrip("\n")


def _split(command: str) -> list[str]:
    """The words of a command line, the first as the path of the program. Raises CourseError."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    if os.name == "nt":
        lexer.escape = ""  # there a backslash is part of a path
    try:
        words = list(lexer)
    except ValueError:
        raise CourseError(f"A quote or backslash in `{visible(command)}` is not closed. Close it.") from None
    if not words:
        raise CourseError("There is no command to run. Write one, for example run('ollama ls').")
    program = shutil.which(words[0])
    if program is None:
        fix = "Check its spelling, or install it."
        if words[0] == "ollama":
            fix = "Run the lesson's first cell, or install Ollama from https://ollama.com/download."
        raise CourseError(f"There is no command {words[0]!r} here. {fix}")
    return [program, *words[1:]]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    try:
        parent = psutil.Process(process.pid)
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
            os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=GRACE)
