"""Real time, or a frozen clock: one that stands still between requests and moves only by computed durations.

All times are nanoseconds since 1970, all durations nanoseconds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache

SECOND = 1_000_000_000
FROZEN = 1_767_268_800 * SECOND  # 2026-01-01 12:00:00 UTC

# What a frozen request takes: to load, for each token of the prompt, for each token of the reply.
LOAD, READ, WRITE = 1_200_000, 2_000_000, 15_000_000


@dataclass(frozen=True)
class Clock:
    """The server's clock."""

    frozen: bool = False

    def now(self) -> int:
        return FROZEN if self.frozen else time.time_ns()


@dataclass
class Meter:
    """How long one reply takes and when its parts are made: measured, or computed on a frozen clock."""

    clock: Clock
    prompt_tokens: int = 0
    reply_tokens: int = 0
    _started: int = field(default_factory=time.monotonic_ns)
    _before: int = 0  # nanoseconds that the model took before it began anew
    _loaded: int = 0
    _began: int = 0
    _first: int = 0

    def loaded(self) -> None:
        self._loaded = time.monotonic_ns()

    def began(self) -> None:
        """The model has begun with the prompt; until now the request waited for its turn."""
        self._began = time.monotonic_ns()

    def wrote(self, tokens: int) -> None:
        if not self._first:
            self._first = time.monotonic_ns()
        self.reply_tokens += tokens

    def again(self, kept: int) -> None:
        """The model has begun anew and read what it wrote, but for `kept` tokens, which are written anew."""
        self._before += READ * self.prompt_tokens + WRITE * (self.reply_tokens - kept)
        self.prompt_tokens += self.reply_tokens - kept
        self.reply_tokens = kept
        self._began, self._first = time.monotonic_ns(), 0

    def at(self) -> int:
        """The time now, by the server's clock."""
        return FROZEN + self._before + sum(self.durations()) if self.clock.frozen else time.time_ns()

    def durations(self) -> tuple[int, int, int]:
        """Loading, reading the prompt, writing the reply."""
        if self.clock.frozen:
            return LOAD, READ * self.prompt_tokens, WRITE * self.reply_tokens
        now = time.monotonic_ns()
        first = self._first or now
        began = min(self._began or self._loaded, first)
        return self._loaded - self._started, first - began, now - first

    def metrics(self) -> dict[str, int]:
        """Ollama's six numbers at the end of a reply; zeros are left out, as there."""
        load, read, write = self.durations()
        total = (
            self._before + load + read + write if self.clock.frozen else time.monotonic_ns() - self._started
        )
        numbers = {
            "total_duration": total + LOAD if self.clock.frozen else total,
            "load_duration": load,
            "prompt_eval_count": self.prompt_tokens,
            "prompt_eval_duration": read,
            "eval_count": self.reply_tokens,
            "eval_duration": write,
        }
        return {name: number for name, number in numbers.items() if number}


def rfc3339(nanoseconds: int, local: bool = False) -> str:
    """A time as Go writes it: up to nine digits of a second, in UTC or with the local zone's offset."""
    seconds, rest = divmod(nanoseconds, SECOND)
    time_of_day, zone = _second(seconds, local)
    return time_of_day + (f".{rest:09d}".rstrip("0") if rest else "") + zone


@lru_cache(maxsize=16)
def _second(seconds: int, local: bool) -> tuple[str, str]:
    when = datetime.fromtimestamp(seconds, timezone.utc)
    if local:
        when = when.astimezone()
    zone = when.strftime("%z")
    return when.strftime("%Y-%m-%dT%H:%M:%S"), "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
