"""How an answer is written to a terminal: thinking set apart, lines wrapped at words, timings below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import gojson
from .cli_format import duration, letter_width, width
from .cli_progress import terminal_size

GREY, BOLD, PLAIN = "\x1b[38;5;245m", "\x1b[1m", "\x1b[0m"
MARGIN = 5  # columns that wrapped text leaves free
NARROWEST = 10  # columns below which text is not wrapped


class Answer:
    """Turns the pieces of a stream into what is written: thinking set apart, lines wrapped at words."""

    def __init__(self, wrap: bool, hide_thinking: bool, coloured: bool) -> None:
        self._wrap = wrap
        self._hide = hide_thinking
        self._coloured = coloured
        self._thinking = ""
        self._open = False
        self._column = 0
        self._word = ""

    def add(self, piece: dict[str, Any]) -> Iterator[str]:
        """What one piece of the stream adds to stdout."""
        thinking, text = piece.get("thinking", ""), piece.get("response", "")
        calls = piece.get("tool_calls") or []
        if thinking and not self._hide:
            if not self._open:
                title = "Thinking...\n"
                yield f"{GREY}{BOLD}{title}{PLAIN}{GREY}" if self._coloured else title
                self._open = True
            self._thinking += thinking
            yield self._laid_out(thinking)
        if self._open and (text or calls):
            if not self._thinking.endswith("\n"):
                yield "\n"
            title = "...done thinking.\n\n"
            yield f"{GREY}{BOLD}{title}{PLAIN}" if self._coloured else title
            self._open = False
            self._column, self._word = 0, ""
        yield self._laid_out(text)
        if calls:
            yield _tool_calls(calls, self._coloured)

    def _laid_out(self, text: str) -> str:
        """`text` wrapped: a word that does not fit is taken back and written again on the next line."""
        columns = terminal_size(1)[0] or 80
        if not self._wrap or columns < NARROWEST:
            word, self._word = self._word, ""
            return word + text
        out = []
        for letter in text:
            if self._column + 1 > columns - MARGIN:
                taken = width(self._word)
                if taken > columns - NARROWEST:
                    out.append(self._word + letter)
                    self._word, self._column = "", 0
                    continue
                back = f"\x1b[{taken}D" if taken else ""
                out.append(f"{back}\x1b[K\n{self._word}{letter}")
                self._column = taken + letter_width(letter)
                continue
            out.append(letter)
            self._column += letter_width(letter)
            if letter in "\n\r":
                self._column = 0
            self._word = "" if letter in " \t\n\r" or letter_width(letter) >= 2 else self._word + letter
        return "".join(out)


def _tool_calls(calls: list[dict[str, Any]], coloured: bool) -> str:
    note, value, end = (GREY + BOLD, PLAIN, PLAIN) if coloured else ("", "", "")
    lines = []
    for call in calls:
        name = call["function"]["name"]
        arguments = gojson.encode(call["function"]["arguments"]).decode()
        lines.append(
            f"  Model called a non-existent function '{value}{name}{note}()' "
            f"with arguments: {value}{arguments}{note}"
        )
    return note + "\n".join(lines) + end


def summary(last: dict[str, Any]) -> str:
    """What --verbose says of the last piece of a stream; what is zero is left out."""
    total, load = last.get("total_duration", 0), last.get("load_duration", 0)
    text = f"total duration:       {duration(total)}\n" if total > 0 else ""
    text += f"load duration:        {duration(load)}\n" if load > 0 else ""
    for name, key in (("prompt eval", "prompt_eval"), ("eval", "eval")):
        count, time = last.get(f"{key}_count", 0), last.get(f"{key}_duration", 0)
        if count > 0:
            text += f"{name + ' count:':<22}{count} token(s)\n"
        if time > 0:
            text += f"{name + ' duration:':<22}{duration(time)}\n"
            text += f"{name + ' rate:':<22}{count / (time / 1e9):.2f} tokens/s\n"
    return text
