"""The progress display of pull, push, create and run: spinners and bars on stderr, drawn ten times a second.

The escape codes go out even when stderr is no terminal; so they do in Ollama.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from .cli_format import duration, human_bytes

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
TICK = 0.1  # seconds
REMEMBERED = 10  # one-second samples from which a bar's rate is taken


def terminal_size(descriptor: int) -> tuple[int, int]:
    """Columns and lines of the terminal behind a file descriptor, 80 and 24 if there is none."""
    try:
        columns, lines = os.get_terminal_size(descriptor)
    except (OSError, ValueError):
        return 80, 24
    return columns, lines


class Spinner:
    """A line of text with a turning wheel until it is stopped."""

    def __init__(self, message: str) -> None:
        self.message = message
        self._started = time.monotonic()
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def text(self) -> str:
        message = f"{self.message.strip()} " if self.message else ""
        if self._stopped:
            return message
        return f"{message}{FRAMES[int((time.monotonic() - self._started) / TICK) % len(FRAMES)]} "


class Bar:
    """A line with a bar that grows from `start` to `total` bytes, its rate and the time it still needs."""

    def __init__(self, message: str, total: int, start: int) -> None:
        self.message = message.strip()
        self._total = total
        self._start = self._value = start
        self._started = time.monotonic()
        self._samples: list[tuple[float, int]] = []

    def set(self, value: int) -> None:
        self._value = min(value, self._total)
        now = time.monotonic()
        if not self._samples or now - self._samples[-1][0] > 1:
            self._samples = [*self._samples, (now, self._value)][-REMEMBERED:]

    def text(self) -> str:
        share = self._value / self._total * 100 if self._total > 0 else 0.0
        before = f"{self.message} {share:3.0f}%" if self.message else f"{share:3.0f}%"
        total = f"{human_bytes(self._total):>6}"
        rate = self._rate()
        if self._value >= self._total:
            after = total + " " * 25
        elif rate > 0:
            left = duration(int((self._total - self._value) / rate) * 10**9)
            after = (
                f"{human_bytes(self._value):>6}/{total}  {human_bytes(int(rate)):>6}/s  {_two_units(left):>6}"
            )
        else:
            after = f"{human_bytes(self._value):>6}/{total}" + " " * 18
        cells = terminal_size(2)[0] - len(before) - len(after) - 5
        full = int(cells * share / 100)
        return f"{before} ▕{'█' * full}{' ' * (cells - max(full, 0))}▏ {after}"

    def _rate(self) -> float:
        """Bytes per second over the remembered samples."""
        if not self._samples:
            return 0.0
        since, least = self._samples[0] if len(self._samples) > 1 else (self._started, self._start)
        until, most = self._samples[-1]
        seconds = int(until - since + 0.5)
        return (most - least) / seconds if seconds else 0.0


def _two_units(text: str) -> str:
    """At most hours and minutes of a Go duration."""
    hours, separator, rest = text.partition("h")
    if not separator:
        return text
    return "99h+" if int(hours) >= 100 else f"{hours}h{rest.partition('m')[0]}m"


class Progress:
    """A block of lines on stderr. On leaving, it stays as it is or, if `erase`, is wiped away."""

    def __init__(self, erase: bool = False) -> None:
        self._erase = erase
        self._lines: list[Spinner | Bar] = []
        self._drawn = 0
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is KeyboardInterrupt:
            self._done.set()  # what was drawn stands as it is
        elif self._erase:
            self.clear()
        else:
            self.stop()

    def add(self, line: Spinner | Bar) -> None:
        with self._lock:
            self._lines.append(line)

    def stop(self) -> None:
        """Draws the last picture and lets it stand."""
        if not self._done.is_set():
            self._finish()
            _write("\n")

    def clear(self) -> None:
        """Draws no more and wipes what was drawn."""
        _write("\x1b[?25l")
        if not self._done.is_set():
            self._finish()
            _write("\x1b[A".join(["\x1b[2K\x1b[1G"] * self._drawn))
        _write("\x1b[?25h")

    def _finish(self) -> None:
        self._done.set()
        with self._lock:
            for line in self._lines:
                if isinstance(line, Spinner):
                    line.stop()
            self._draw()

    def _run(self) -> None:
        while not self._done.wait(TICK):
            with self._lock:
                if not self._done.is_set():
                    self._draw()

    def _draw(self) -> None:
        shown = self._lines[-terminal_size(2)[1] :]
        up = "\x1b[A" * (self._drawn - 1)
        picture = "\n".join(line.text() + "\x1b[K" for line in shown)
        _write(f"\x1b[?2026h\x1b[?25l{up}\x1b[1G{picture}\x1b[?25h\x1b[?2026l")
        self._drawn = len(self._lines)


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def say(text: str) -> None:
    """Writes to stdout at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def follow(
    statuses: Iterable[dict[str, Any]],
    progress: Progress,
    label: Callable[[dict[str, Any]], str],
    skip_empty: bool = False,
    status: str = "",
) -> None:
    """Shows the status lines of a pull, push or create until they end.

    A status with a digest gets a bar named by `label`; `skip_empty` leaves out those that have completed
    nothing; `status` is the one already shown.
    """
    bars: dict[str, Bar] = {}
    spinner: Spinner | None = None
    for item in statuses:
        digest, completed = item.get("digest", ""), item.get("completed", 0)
        if digest:
            if skip_empty and not completed:
                continue
            if spinner:
                spinner.stop()
            if digest not in bars:
                bars[digest] = Bar(label(item), item.get("total", 0), completed)
                progress.add(bars[digest])
            bars[digest].set(completed)
        elif item.get("status", "") != status:
            if spinner:
                spinner.stop()
            status = item.get("status", "")
            spinner = Spinner(status)
            progress.add(spinner)
