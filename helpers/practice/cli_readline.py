"""Reads a line at a prompt as Ollama's own line editor does: keys, wrapped lines, placeholder, paste.

A port of Ollama's readline package (v0.32.15), whose escape codes it writes in the same order; what that
package does with keys it does not know, it does too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from .cli_format import letter_width, width
from .cli_keys import Keyboard
from .cli_progress import terminal_size

GREY, PLAIN = "\x1b[38;5;245m", "\x1b[0m"
START_PASTE, END_PASTE = "\x1b[?2004h", "\x1b[?2004l"
UP, DOWN, LEFT, START = "\x1b[1A", "\x1b[1B", "\x1b[1D", "\x1b[1G"
CLEAR_LINE, CLEAR_SCREEN, TOP = "\x1b[K", "\x1b[2J", "\x1b[0;0f"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"

PROMPT, MORE = ">>> ", "... "
PLACEHOLDER, MORE_PLACEHOLDER = "Send a message (/? for help)", "Press Enter to send"
INDENT = len(PROMPT)  # columns; both prompts are as wide
TAB = 8  # blanks
REMEMBERED = 100  # lines of history


class Interrupted(Exception):
    """Ctrl-C was pressed."""


class Edit(Exception):
    """Ctrl-G was pressed: `text` is to be edited elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


def right(columns: int) -> str:
    return f"\x1b[{columns}C"


def left(columns: int) -> str:
    return f"\x1b[{columns}D"


def up(lines: int) -> str:
    return f"\x1b[{lines}A"


def down(lines: int) -> str:
    return f"\x1b[{lines}B"


class Reader:
    """Reads line after line. `alt` asks for the second prompt, `pasting` says that a paste goes on, `prefill`
    is what the next line starts with. Raises OSError if there is no terminal or `history` cannot be kept.
    """

    def __init__(self, history: Path) -> None:
        self.keys = Keyboard()
        self.history = History(history)
        self.alt = False
        self.pasting = False
        self.prefill = ""
        self._above: list[str] = []  # lines of this message that Ctrl-J has ended

    def read(self) -> str:
        """The next message. Raises Interrupted, Edit and EOFError."""
        with self.keys.raw():
            try:
                return self._read()
            finally:
                sys.stdout.flush()

    def _prompt(self) -> str:
        return MORE if self.alt else PROMPT

    def _read(self) -> str:
        _write(MORE if self.pasting else self._prompt())
        line = Line(self._prompt(), self._placeholder)
        self.history.unsent = ""
        self._fill(line)
        escaped = ""  # what came of an escape sequence so far
        swallow = False  # the end of a delete key's sequence
        typed_ahead = last_ahead = False
        while True:
            if last_ahead:
                typed_ahead = last_ahead = False
            if not line.letters and (not self.pasting or self.alt):
                _write(_placeholder(self._placeholder()))
            sys.stdout.flush()
            key = self.keys.read()
            if self.keys.more():
                typed_ahead = True
            elif typed_ahead:
                last_ahead = True
            if not line.letters:
                _write(CLEAR_LINE)
            if not key:
                raise EOFError
            if escaped == "[":
                escaped = ""
                if key == "2":
                    self._paste(self._code())
                elif key == "3":
                    line.delete()
                    swallow = True
                else:
                    self._arrow(key, line)
            elif escaped:
                escaped = ""
                if key == "[":
                    escaped = "["
                elif key in _META:
                    _META[key](line)
            elif key == "\x1b":
                escaped = key
            elif key == "\x03":
                self._above, self.alt = [], False
                raise Interrupted
            elif key in ("\x10", "\x0e"):
                self._recall(line, back=key == "\x10")
            elif key in _CONTROL:
                _CONTROL[key](line)
            elif key in ("\x7f", "\b"):
                self._erase(line)
            elif key == "\t":
                line.add(" " * TAB)
            elif key == "\x04":
                if not line.letters:
                    raise EOFError
                line.delete()
            elif key == "\x07":
                raise Edit(self._take_away(line))
            elif key == "\x1a":
                sys.stdout.flush()
                self.keys.suspend()
                return ""
            elif key == "\n" and not typed_ahead:
                self._next_line(line)
            elif key in "\r\n":
                return self._finish(line)
            elif key >= " ":
                if not swallow:
                    line.add(key)
                swallow = False

    def _placeholder(self) -> str:
        return MORE_PLACEHOLDER if self.alt else PLACEHOLDER

    def _fill(self, line: Line) -> None:
        rows, self.prefill = self.prefill.split("\n"), ""
        for number, row in enumerate(rows):
            line.add(row)
            if number < len(rows) - 1:
                self._next_line(line)

    def _next_line(self, line: Line) -> None:
        self._above.append("".join(line.letters))
        line.forget()
        self.alt = True
        line.prompt = MORE
        _write("\n" + MORE)

    def _code(self) -> str:
        code = ""
        for _ in range(3):
            key = self.keys.read()
            if not key:
                raise EOFError
            code += key
        return code

    def _paste(self, code: str) -> None:
        if code in ("00~", "01~"):
            self.pasting = code == "00~"

    def _arrow(self, key: str, line: Line) -> None:
        if key in "AB":
            self._recall(line, back=key == "A")
        elif key in _ARROWS:
            _ARROWS[key](line)

    def _recall(self, line: Line, back: bool) -> None:
        shown = self.history.back("".join(line.letters)) if back else self.history.forth()
        for text in shown:
            line.replace(text)

    def _erase(self, line: Line) -> None:
        if line.letters or not self._above:
            line.remove()
            return
        text = self._above.pop()
        _write(START + CLEAR_LINE + UP + START + CLEAR_LINE)
        if not self._above:
            self.alt = False
            line.prompt = PROMPT
        _write(line.prompt)
        line.add(text)

    def _joined(self, line: Line) -> str:
        text = "\n".join([*self._above, "".join(line.letters)])
        self._above = []
        return text

    def _take_away(self, line: Line) -> str:
        """The message, wiped off the screen."""
        above = len(self._above)
        text = self._joined(line)
        row, last = line.shown // line.width, line.size() // line.width
        if last > row:
            _write(down(last - row))
        _write((START + CLEAR_LINE + UP) * (last + above) + START + CLEAR_LINE)
        self.alt = False
        return text

    def _finish(self, line: Line) -> str:
        text = self._joined(line)
        if text:
            self.history.add(text)
        line.to_end()
        _write("\n")
        self.alt = False
        return text


class Line:
    """The line that is edited, and where the cursor stands: `place` in letters, `shown` in columns.

    A line wider than the terminal goes on below under a prompt of its own; `_gaps` says of each of its rows
    whether a letter of two columns did not fit at its end.
    """

    def __init__(self, prompt: str, placeholder: Callable[[], str]) -> None:
        self.letters: list[str] = []
        self.place = self.shown = 0
        self.prompt = prompt
        self._placeholder = placeholder
        self._columns = terminal_size(1)[0]
        self.width = max(self._columns - INDENT, 1)
        self._gaps: list[bool] = []

    def size(self) -> int:
        return width("".join(self.letters))

    def forget(self) -> None:
        self.letters, self.place, self.shown, self._gaps = [], 0, 0, []

    # --- moving

    def left(self) -> None:
        if self.place == 0:
            return
        wide = letter_width(self.letters[self.place - 1])
        if self.shown % self.width == 0:
            _write(UP + START + right(self._columns) + (LEFT if wide == 2 else ""))
            if self._gap(self.shown // self.width - 1):
                self.shown -= 1
                _write(LEFT)
        else:
            _write(left(wide))
        self.place -= 1
        self.shown -= wide

    def right(self) -> None:
        if self.place == len(self.letters):
            return
        wide = letter_width(self.letters[self.place])
        self.place += 1
        gap = self._gap(self.shown // self.width)
        self.shown += wide
        if self.shown % self.width == 0:
            _write(DOWN + START + right(INDENT))
        elif (self.shown - wide) % self.width == self.width - 1 and gap:
            _write(DOWN + START + right(INDENT + wide))
            self.shown += 1
        elif self.shown % self.width == self.width - 1 and gap:
            _write(DOWN + START + right(INDENT))
            self.shown += 1
        else:
            _write(right(wide))

    def left_word(self) -> None:
        self._back_a_word(self.left)

    def _back_a_word(self, step: Callable[[], None]) -> None:
        """Step over the blanks before the cursor, then over the word before them."""
        found = False
        while self.place > 0:
            if self.letters[self.place - 1] != " ":
                found = True
            elif found:
                break
            step()

    def right_word(self) -> None:
        while self.place < len(self.letters):
            self.right()
            if self.letters[self.place : self.place + 1] == [" "]:
                break

    def to_start(self) -> None:
        if self.place > 0:
            _write(UP * (self.shown // self.width) + START + right(INDENT))
            self.place = self.shown = 0

    def to_end(self) -> None:
        if self.place == len(self.letters):
            return
        size = self.size()
        rows = size // self.width - self.shown // self.width
        if rows > 0:
            _write(DOWN * rows + START + right(INDENT + size % self.width))
        else:
            _write(right(size - self.shown))
        self.place, self.shown = len(self.letters), size

    # --- writing

    def add(self, text: str) -> None:
        for letter in text:
            self._add(letter, inside=self.place < len(self.letters))

    def _add(self, letter: str, inside: bool) -> None:
        wide = letter_width(letter)
        self.shown += wide
        if self.place > 0 and self.shown % self.width == 0:
            _write(f"{letter}\n{MORE}")
            self._mark(False, inside)
        elif self.place > 0 and self.shown % self.width < (self.shown - wide) % self.width:
            _write(f"{CLEAR_LINE if inside else ''}\n{MORE}{letter}")
            self.shown += 1
            self._mark(True, inside)
        else:
            _write(letter)
        self.letters.insert(self.place, letter)
        self.place += 1
        if inside:
            self._draw_rest()

    def _mark(self, gap: bool, inside: bool) -> None:
        self._set_gap(self.shown // self.width - 1 if inside else len(self._gaps), gap)

    def replace(self, text: str) -> None:
        rows = self.size() // self.width
        self.letters, self.place, self.shown = [], 0, 0
        _write(START + CLEAR_LINE + (UP + START + CLEAR_LINE) * rows + START + self.prompt)
        self.add(text)

    def _draw_rest(self) -> None:
        """Writes what follows the cursor again, row by row, and comes back."""
        rest = self.letters[self.place :]
        begun = self.shown % self.width if self.place > 0 else 0
        count = self._fitting(begun)
        row, later = "".join(rest[:count]), rest[count:]
        used, number = width(row), self.shown // self.width
        _write(HIDE + CLEAR_LINE + (row + left(used) if row else ""))
        if used == self.width - begun:
            self._set_gap(number, False)
        elif width("".join(rest)) != used:
            self._set_gap(number, True)
        else:
            self._drop_gap(number)
        if (self.shown + used) % self.width == 0 and not later:
            _write(f"{right(used)}\n{MORE}{UP}{START}{right(self._columns - used)}")
        if width("".join(later)) > 0:
            self._draw_later(later, used, number)
        _write(SHOW)

    def _draw_later(self, letters: list[str], used: int, number: int) -> None:
        rows = drawn = 0
        length = used
        for letter in letters:
            wide = letter_width(letter)
            if drawn == 0 or (drawn + wide) % self.width < drawn % self.width:
                _write(f"\n{MORE}")
                rows += 1
                if drawn:
                    self._set_gap(number + rows - 1, length != self.width)
                length = 0
            drawn += wide
            length += wide
            _write(letter)
        _write(CLEAR_LINE + up(rows) + START + right(self._columns - used))
        if self._gap(number) and self.shown % self.width != self.width - 1:
            _write(LEFT)

    def _fitting(self, begun: int) -> int:
        """How many letters after the cursor fit in its row, `begun` columns of which are taken."""
        count = 0
        for letter in self.letters[self.place :]:
            begun += letter_width(letter)
            if begun > self.width:
                break
            count += 1
        return count

    # --- deleting

    def remove(self) -> None:
        """Deletes the letter before the cursor."""
        if self.place == 0:
            return
        wide = letter_width(self.letters[self.place - 1])
        before = self.shown // self.width - 1
        gap = self._gap(before)
        size = self.size()
        to_row_above = START + CLEAR_LINE + UP + START + right(self._columns)
        if self.shown % self.width == 0:
            _write(to_row_above)
            if size % self.width < (size - wide) % self.width:
                self._drop_gap(before)
            if gap:
                self.shown -= 1
                _write(LEFT)
            _write(f"{LEFT}  {left(2)}" if wide == 2 else f" {LEFT}")
        elif (self.shown - wide) % self.width == 0 and gap:
            _write(to_row_above)
            if self.place == len(self.letters):
                self._drop_gap(before)
            self.shown -= 1
        else:
            _write(left(wide) + " " * wide + left(wide))
        row_left_over = (size - 1) % self.width == 0 or size % self.width == 0
        row_left_over = row_left_over or (wide == 2 and (size - 2) % self.width == 0)
        self.place -= 1
        self.shown -= wide
        del self.letters[self.place]
        if self.place < len(self.letters):
            self._draw_rest()
            if row_left_over:
                self._wipe_below((self.size() - self.shown) // self.width + 1)

    def delete(self) -> None:
        """Deletes the letter under the cursor."""
        if self.place == len(self.letters):
            return
        del self.letters[self.place]
        self._draw_rest()
        size = self.size()
        if size % self.width == 0 and self.shown != size:
            self._wipe_below((size - self.shown) // self.width)

    def _wipe_below(self, rows: int) -> None:
        _write(down(rows) + START + CLEAR_LINE + up(rows) + right(self.shown % self.width + INDENT))

    def delete_before(self) -> None:
        for _ in range(self.place):
            self.remove()

    def delete_rest(self) -> None:
        for _ in range(len(self.letters) - self.place):
            self.delete()

    def delete_word(self) -> None:
        self._back_a_word(self.remove)

    # --- the screen

    def clear_screen(self) -> None:
        _write(CLEAR_SCREEN + TOP + self.prompt)
        if not self.letters:
            _write(_placeholder(self._placeholder()))
            return
        place, shown = self.place, self.shown
        self.place = self.shown = 0
        self._draw_rest()
        _write(TOP + right(INDENT))
        if shown > 0:
            _write(DOWN * (shown // self.width))
            if shown % self.width:
                _write(right(shown % self.width))
            else:
                _write(START + MORE)
        self.place, self.shown = place, shown

    # --- rows with a gap at their end

    def _gap(self, row: int) -> bool:
        return 0 <= row < len(self._gaps) and self._gaps[row]

    def _set_gap(self, row: int, gap: bool) -> None:
        if 0 <= row <= len(self._gaps):
            self._gaps[row : row + 1] = [gap]

    def _drop_gap(self, row: int) -> None:
        if row >= 0:
            del self._gaps[row : row + 1]


_CONTROL = {
    "\x01": Line.to_start,
    "\x02": Line.left,
    "\x05": Line.to_end,
    "\x06": Line.right,
    "\x0b": Line.delete_rest,
    "\x0c": Line.clear_screen,
    "\x15": Line.delete_before,
    "\x17": Line.delete_word,
}
_META = {"b": Line.left_word, "f": Line.right_word, "\x7f": Line.delete_word}
_ARROWS = {"C": Line.right, "D": Line.left, "F": Line.to_end, "H": Line.to_start}


class History:
    """The lines that were sent, kept in a file while `enabled`. Raises OSError if it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.enabled = True
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        lines = path.read_text("utf-8", "replace").split("\n")
        self._lines = [line.strip() for line in lines if line.strip()][-REMEMBERED:]
        self._place = len(self._lines)
        self.unsent = ""

    def add(self, line: str) -> None:
        self._lines = [*self._lines, line][-REMEMBERED:]
        self._place = len(self._lines)
        if self.enabled:
            part = self._path.with_name(f"{self._path.name}.tmp")
            try:
                with open(part, "w", encoding="utf-8", opener=_private) as file:
                    file.writelines(f"{line}\n" for line in self._lines)
                os.replace(part, self._path)
            except OSError:
                pass  # a line that cannot be kept is sent all the same

    def back(self, unsent: str) -> list[str]:
        """The line before, if there is one; `unsent` is what stands at the prompt."""
        if self._place == 0:
            return []
        if self._place == len(self._lines):
            self.unsent = unsent
        self._place -= 1
        return [self._lines[self._place]]

    def forth(self) -> list[str]:
        """What is to be shown, one after the other: the line after; at the end what was not sent yet."""
        if self._place == len(self._lines):
            return []
        self._place += 1
        return ["", self.unsent] if self._place == len(self._lines) else [self._lines[self._place]]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _placeholder(text: str) -> str:
    return GREY + text + left(len(text)) + PLAIN


def _write(text: str) -> None:
    sys.stdout.write(text)
