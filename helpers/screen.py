"""What a terminal shows: its lines, with those that have scrolled away, as text and as HTML."""

from __future__ import annotations

import html
from collections.abc import Iterator

import pyte
from pyte.screens import Char

from helpers.show import visible

PRE = (
    "white-space: pre; overflow-x: auto; margin: 4px 0; padding: 6px 10px; line-height: 1.3; "
    "border: 1px solid var(--jp-border-color2, rgba(128, 128, 128, 0.4)); "
    "font-family: var(--jp-code-font-family, monospace); font-size: var(--jp-code-font-size, inherit); "
    "color: var(--jp-content-font-color1, inherit); background: var(--jp-layout-color1, transparent)"
)
FAINT = "color: var(--jp-content-font-color2, inherit); opacity: 0.75"
BOLD = "font-weight: bold"
PLAIN_COLOURS = ("default", "black", "white", "brightblack", "brightwhite")

Row = list[tuple[str, str]]  # texts and their CSS


class Screen(pyte.Screen):
    """A terminal's screen that forgets nothing."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__(columns, rows)
        self._past: list[dict[int, Char]] = []
        self._stream = pyte.Stream(self)

    def feed(self, text: str) -> None:
        """Take what a program wrote."""
        self._stream.feed(text)

    def index(self) -> None:
        if self.cursor.y == self.lines - 1 and not self.margins:
            self._past.append(dict(self.buffer[0]))
        super().index()

    @property
    def cursor_line(self) -> str:
        """The line that the cursor is in, with the row above if it goes on from there."""
        rows, row = self.display, self.cursor.y
        above = rows[row - 1] if row > 0 and rows[row - 1][-1:].strip() else ""
        return (above + rows[row]).rstrip()

    @property
    def text(self) -> str:
        """All lines, without what is blank at their ends and at the end of all."""
        return "\n".join("".join(text for text, _ in row) for row in self.rows())

    @property
    def html(self) -> str:
        lines = []
        for row in self.rows():
            texts = ((html.escape(text), css) for text, css in row)
            lines.append(
                "".join(f'<span style="{css}">{text}</span>' if css else text for text, css in texts)
            )
        return f'<pre style="{PRE}">' + "\n".join(lines) + "</pre>"

    def rows(self) -> list[Row]:
        """The lines as texts with the CSS they are shown in, "" for none."""
        rows = [_row(line, self.columns) for line in self._past]
        rows += [_row(self.buffer[number], self.columns) for number in range(self.lines)]
        while rows and not rows[-1]:
            rows.pop()
        return rows


def _row(line: dict[int, Char], columns: int) -> Row:
    row: Row = []
    last = max((at for at, char in line.items() if char.data.strip()), default=-1)
    for text, css in _chars(line, min(last + 1, columns)):
        if row and row[-1][1] == css:
            row[-1] = (row[-1][0] + text, css)
        else:
            row.append((text, css))
    return [(visible(text), css) for text, css in row]


def _chars(line: dict[int, Char], columns: int) -> Iterator[tuple[str, str]]:
    for at in range(columns):
        char = line.get(at)
        if char is None:
            yield " ", ""
        else:  # the second half of a wide letter has no text
            yield char.data, _css(char) if char.data.strip() else ""


def _css(char: Char) -> str:
    styles = [BOLD] if char.bold else []
    if char.fg not in PLAIN_COLOURS:
        styles.append(FAINT)  # the greys of placeholder and thinking; other colours read well so too
    return "; ".join(styles)
