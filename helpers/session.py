"""A person at a terminal, played from a list: what is typed, what the program shows."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from helpers import child
from helpers.child import Terminal
from helpers.errors import CourseError
from helpers.screen import Screen

OLLAMA = r"(>>> Send a message \(/\? for help\)|\.\.\. Press Enter to send)$"  # with nothing typed yet
QUIET = 0.25  # seconds without output after which a key that was not Enter has had its effect
SETTLED = 0.02  # seconds without output after which a prompt is taken to stand
LAST_LINES = 12  # lines of the screen that an error shows

ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]|\r")


class Key(str, Enum):
    """One press of a key that is no letter, as a terminal sends it."""

    ENTER = "\r"
    TAB = "\t"
    BACKSPACE = "\x7f"
    ESCAPE = "\x1b"
    DELETE = "\x1b[3~"
    UP = "\x1b[A"
    DOWN = "\x1b[B"
    RIGHT = "\x1b[C"
    LEFT = "\x1b[D"
    HOME = "\x1b[H"
    END = "\x1b[F"
    ALT_B = "\x1bb"
    ALT_F = "\x1bf"
    CTRL_A = "\x01"
    CTRL_C = "\x03"
    CTRL_D = "\x04"
    CTRL_E = "\x05"
    CTRL_G = "\x07"
    CTRL_J = "\n"
    CTRL_K = "\x0b"
    CTRL_L = "\x0c"
    CTRL_U = "\x15"
    CTRL_W = "\x17"
    CTRL_Z = "\x1a"


@dataclass(frozen=True)
class Type:
    """Something typed: with Enter if `enter`; if `until` is given, the session goes on as soon as the program
    has written that text.
    """

    text: str
    enter: bool = False
    until: str = ""


@dataclass(frozen=True, repr=False)
class Transcript:
    """What a terminal showed in the end (`text`, `html`), after each step (`screens`), and how it ended.

    `returncode` is None where the program still ran when its terminal was closed.
    """

    command: str
    text: str
    html: str
    screens: tuple[str, ...]
    returncode: int | None

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


def session(
    command: str | Sequence[str],
    steps: Sequence[str | Key | Type],
    timeout: float = 60,
    prompt: str = OLLAMA,
    columns: int = 80,
    rows: int = 24,
    env: dict[str, str] | None = None,
) -> Transcript:
    """Run a command in a terminal, type the steps, and return what it showed.

    Args:
        command: words and quotes as in a shell, or a list of words.
        steps: a text is typed and sent with Enter; a Key is pressed; a Type says what else.
        timeout: seconds for the whole session.
        prompt: a regular expression; the program asks for more when the cursor's line matches it.
        env: variables on top of this process's own.

    Raises:
        CourseError: the command cannot be run, or a step was not answered in time.
    """
    deadline = time.monotonic() + child.seconds(timeout)
    environ = {**os.environ, **(env or {}), "TERM": "xterm-256color"}
    environ |= {"COLUMNS": str(columns), "LINES": str(rows)}
    words = child.words(command)
    typed = _typed(steps)
    screen = Screen(columns, rows)
    terminal = Terminal(words, environ, columns, rows)
    asks = re.compile(prompt)
    code = None
    try:
        if not _wait(terminal, screen, asks, deadline):
            raise CourseError(_too_late(command, "with its prompt", timeout, screen))
        screens = [screen.text]
        for step, one in zip(steps, typed, strict=True):
            if terminal.ended:
                raise CourseError(_ended_early(command, step, screen))
            terminal.write(one.text + (Key.ENTER.value if one.enter else ""))
            if not _wait(terminal, screen, asks, deadline, one):
                raise CourseError(_too_late(command, _name(step), timeout, screen))
            screens.append(screen.text)
    finally:
        code = terminal.close()
    return Transcript(child.shown(command), screen.text, screen.html, tuple(screens), code)


def _typed(steps: Sequence[str | Key | Type]) -> list[Type]:
    if isinstance(steps, (str, Key, Type)):
        raise CourseError(f"The steps of a session are a list. Write [{_name(steps)}].")
    typed = []
    for step in steps:
        if not isinstance(step, (str, Key, Type)):
            raise CourseError(f"A step is a text, a Key or a Type, not {step!r}.")
        if isinstance(step, Key):
            typed.append(Type(step.value))
        else:
            typed.append(step if isinstance(step, Type) else Type(step, enter=True))
    return typed


def _wait(
    terminal: Terminal, screen: Screen, asks: re.Pattern[str], deadline: float, after: Type | None = None
) -> bool:
    """Reads until the program asks for more, or what else the step waits for; False if it never did."""
    patient = after is None or after.enter or after.text == Key.CTRL_C.value
    written = ""
    while not terminal.ended:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        asking = bool(written) and asks.search(screen.cursor_line) is not None
        if asking and not (after and after.until):
            wait = SETTLED
        else:
            wait = left if patient or (after and after.until) else QUIET
        piece = terminal.read(min(wait, left))
        if not piece and not terminal.ended and wait < left:
            return True
        screen.feed(piece)
        written += piece
        if after and after.until and _written(written).count(after.until) > after.text.count(after.until):
            return True  # beyond the echo of what was typed
    return True


def _written(output: str) -> str:
    """Output without escape sequences, a line that was typed over several rows in one piece."""
    return ESCAPES.sub("", output).replace("\n... ", "")


def _too_late(command: str | Sequence[str], what: str, timeout: float, screen: Screen) -> str:
    shown = "\n".join(screen.text.split("\n")[-LAST_LINES:])
    return (
        f"`{child.shown(command)}` had not answered {what} after {timeout:g} s and was stopped. "
        f"Give it longer: timeout={timeout * 5:g}. Its screen ended with:\n{shown}"
    )


def _ended_early(command: str | Sequence[str], step: object, screen: Screen) -> str:
    shown = "\n".join(screen.text.split("\n")[-LAST_LINES:])
    return (
        f"`{child.shown(command)}` had ended before {_name(step)}. Leave out what comes after its end. "
        f"Its screen ended with:\n{shown}"
    )


def _name(step: object) -> str:
    if isinstance(step, Key):
        return f"Key.{step.name}"
    return repr(step.text if isinstance(step, Type) else step)
