"""The question with two answers that Ollama asks in a terminal; the arrows choose, Enter confirms."""

from __future__ import annotations

from .cli_keys import Keyboard
from .cli_progress import say

_CHOSEN, _OTHER = "\x1b[1;48;5;236m {} \x1b[0m", "\x1b[38;5;246m {} \x1b[0m"
_KEYS = "\x1b[38;5;244m←/→ navigate • enter confirm • esc cancel\x1b[0m"
_WIPE = "\r\x1b[4A\x1b[J"


def confirmed(question: str) -> bool:
    """Ask and wait; Esc, Ctrl-C and the end of the input mean no. Raises OSError if stdin is no terminal."""
    keyboard, yes = Keyboard(), True
    with keyboard.raw():
        say("\x1b[?25l" + _picture(question, yes))
        while (key := keyboard.read()) != "\r":
            if key in ("", "\x03") or (key == "\x1b" and not keyboard.more()):
                yes = False
                break
            if key == "\x1b" and keyboard.read() == "[":
                yes = {"C": False, "D": True}.get(keyboard.read(), yes)
                say(_WIPE + _picture(question, yes))
        say(_WIPE + "\x1b[?25h")
    return yes


def _picture(question: str, yes: bool) -> str:
    left, right = (_CHOSEN, _OTHER) if yes else (_OTHER, _CHOSEN)
    answers = f"  {left.format('Yes')}  {right.format('No')}"
    return f"\x1b[1m{question}\x1b[0m\r\n\r\n{answers}\r\n\r\n{_KEYS}\r"
