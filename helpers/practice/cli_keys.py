"""The keyboard in raw mode, letter by letter: of a POSIX terminal, or of a Windows console.

Both know `raw` (a context in which every key comes at once and nothing is echoed), `read` (the next letter,
"" at the end), `more` (letters are already waiting) and `suspend` (what Ctrl-Z does).
"""

from __future__ import annotations

import codecs
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BLOCK = 4096  # bytes

# What a Windows console gives for a key without a letter, and the escape sequence that terminals send for it.
WINDOWS_KEYS = {
    "H": "\x1b[A",
    "P": "\x1b[B",
    "M": "\x1b[C",
    "K": "\x1b[D",
    "G": "\x1b[H",
    "O": "\x1b[F",
    "S": "\x1b[3~",
}

if sys.platform == "win32":
    import msvcrt

    class Keyboard:
        def __init__(self) -> None:
            self._waiting = ""

        @contextmanager
        def raw(self) -> Iterator[None]:
            yield  # getwch reads a console in raw mode anyway

        def read(self) -> str:
            if not self._waiting:
                letter = msvcrt.getwch()
                if letter in ("\0", "\xe0"):
                    letter = WINDOWS_KEYS.get(msvcrt.getwch(), "\0")
                if "\ud800" <= letter < "\udc00":
                    letter = (letter + msvcrt.getwch()).encode("utf-16", "surrogatepass").decode("utf-16")
                self._waiting = letter
            letter, self._waiting = self._waiting[0], self._waiting[1:]
            return letter

        def more(self) -> bool:
            return bool(self._waiting)

        def suspend(self) -> None:
            pass

else:
    import termios

    class Keyboard:
        """Raises OSError if stdin is no terminal."""

        def __init__(self) -> None:
            self._bytes = b""
            self._letters = ""
            self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
            self._cooked: Any = None
            with self.raw():
                pass

        @contextmanager
        def raw(self) -> Iterator[None]:
            try:
                cooked = termios.tcgetattr(0)
            except termios.error as error:
                raise OSError(*error.args) from None
            mode = list(cooked)
            mode[0] &= ~(
                termios.IGNBRK
                | termios.BRKINT
                | termios.PARMRK
                | termios.ISTRIP
                | termios.INLCR
                | termios.IGNCR
                | termios.ICRNL
                | termios.IXON
            )
            mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
            mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
            mode[6] = [*cooked[6]]
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
            self._cooked = cooked
            termios.tcsetattr(0, termios.TCSANOW, mode)
            try:
                yield
            finally:
                termios.tcsetattr(0, termios.TCSANOW, cooked)

        def read(self) -> str:
            while not self._letters:
                block = os.read(0, BLOCK)
                self._letters = self._decoder.decode(block, final=not block)
                if not block and not self._letters:
                    return ""
            letter, self._letters = self._letters[0], self._letters[1:]
            return letter

        def more(self) -> bool:
            return bool(self._letters)

        def suspend(self) -> None:
            termios.tcsetattr(0, termios.TCSANOW, self._cooked)
            os.kill(0, signal.SIGSTOP)
