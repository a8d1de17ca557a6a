"""Command lines in a notebook: one to its end, a session in a terminal, a server in the background.

    run("ollama ls")                                # to its end or a time-out: a Result
    session("ollama run llama3.2", [                # a person at a terminal: a Transcript
        "Why is the sky blue?",                     #   a text is typed and sent with Enter
        "/set verbose",
        Type("half a line"), Key.CTRL_C,            #   a Type leaves Enter out; a Key is one key
        Type("Tell me a story.", enter=True, until="once"), Key.CTRL_C,    # goes on once that is written
        Key.CTRL_D,
    ])
    with background("ollama serve", env={"OLLAMA_HOST": "127.0.0.1:11500"}) as server:    # a Background
        server.wait_for("Listening on")
        server.lines                                # what it has written so far

After each step a session waits until the program asks for more (`prompt`), has ended or, after a Key or a
Type, has been quiet for a moment. When the steps are done the terminal is closed, which ends the program.

    run(command, timeout=60, stdin=None, env=None) -> Result          .stdout .stderr .returncode
    session(command, steps, timeout=60, prompt=OLLAMA, columns=80, rows=24, env=None) -> Transcript
                                                   .text .html .screens (before and after each step)
                                                   .returncode (None if closing the terminal ended it)
    background(command, env=None) -> Background    .wait_for(text, timeout=20) -> its line; .lines; .running
                                                   .interrupt() (Ctrl-C), .stop(timeout=10) -> return code
    clean(text) -> str                             what a terminal shows in the end

`command` is one text, or a list of words. `env` is added to the environment. A Result, a Transcript and a
Background are shown as what was seen in the end: no escape codes, of an animation the last frame alone.
All raise CourseError with what to do; a time-out or an interrupt ends the program and all that it started.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from helpers import child
from helpers.background import Background, background
from helpers.errors import CourseError
from helpers.session import OLLAMA, Key, Transcript, Type, session
from helpers.show import visible

__all__ = [
    "OLLAMA",
    "Background",
    "Key",
    "Result",
    "Transcript",
    "Type",
    "background",
    "clean",
    "run",
    "session",
]

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


def run(
    command: str | Sequence[str],
    timeout: float = 60,
    stdin: str | None = None,
    env: dict[str, str] | None = None,
) -> Result:
    """Run a command line, without a shell, and return what it wrote, whatever its return code.

    Args:
        command: words and quotes as in a shell, or a list of words; pipes, variables and wildcards mean
            nothing here.
        timeout: seconds after which the command and all that it started are ended.
        stdin: what the command reads; by default nothing.
        env: variables on top of this process's own.

    Raises:
        CourseError: there is no such command, it cannot be run, or it did not end in time.
    """
    child.seconds(timeout)
    words = child.words(command)
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **env} if env else None,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise child.unrunnable(words[0], error) from None
    try:
        given = None if stdin is None else stdin.encode(errors="replace")
        out, err = process.communicate(given, timeout=timeout)
    except BaseException as error:  # the time-out, or an interrupt
        child.end(process.pid)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=child.GRACE)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise CourseError(
            f"`{child.shown(command)}` had not ended after {timeout:g} s and was stopped. "
            f"Give it longer: timeout={timeout * 5:g}."
        ) from None
    return Result(
        child.shown(command), out.decode(errors="replace"), err.decode(errors="replace"), process.returncode
    )


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
