"""Which models are loaded, and until when. Source of the rules: ollama server/sched.go, v0.32.15."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Any

from .cli_format import parse_duration
from .clock import SECOND, Clock
from .gojson import BadBody
from .store import Model

FOREVER = 2**63 - 1  # nanoseconds, about 292 years


@dataclass
class Loaded:
    """A model in memory. `expires` is nanoseconds since 1970 by the server's clock."""

    model: Model
    context_length: int
    expires: int
    timer: asyncio.TimerHandle | None

    @property
    def size(self) -> int:
        """Bytes the published model would take: its weights and a 16-bit key-value cache for the context."""
        of = {key.partition(".")[2]: value for key, value in self.model.header.metadata.items()}
        heads = of.get("attention.head_count_kv", of.get("attention.head_count", 0))
        head = of.get(
            "attention.key_length", of.get("embedding_length", 0) // (of.get("attention.head_count") or 1)
        )
        return self.model.size + 4 * of.get("block_count", 0) * heads * head * self.context_length


class Scheduler:
    """Loads on use, unloads when keep_alive has passed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loaded: dict[tuple[str, ...], Loaded] = {}

    def use(self, model: Model, keep_alive: int | None, options: dict[str, Any]) -> None:
        """Load `model`, or keep it longer. `keep_alive` is nanoseconds, None for the default, FOREVER for
        ever.
        """
        if keep_alive is None:
            keep_alive = default_keep_alive()
        key = model.name.folded()
        self._drop(key)
        if keep_alive == 0:
            return
        timer = None
        if keep_alive < FOREVER // 2:
            timer = asyncio.get_running_loop().call_later(keep_alive / SECOND, self._drop, key)
        context = options["num_ctx"]
        trained = model.length("context")
        self._loaded[key] = Loaded(
            model,
            max(4, min(context, trained) if trained else context),
            min(self._clock.now() + keep_alive, FOREVER),
            timer,
        )

    def unload(self, model: Model) -> None:
        self._drop(model.name.folded())

    def loaded(self) -> list[Loaded]:
        """What is in memory, the longest to stay first."""
        return sorted(self._loaded.values(), key=lambda one: (-one.expires, one.model.name))

    def _drop(self, key: tuple[str, ...]) -> None:
        gone = self._loaded.pop(key, None)
        if gone and gone.timer:
            gone.timer.cancel()


def keep_alive(value: Any) -> int:
    """A request's keep_alive in nanoseconds: a number is seconds, a text a Go duration, below zero for ever.

    Raises BadBody with Go's text.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        kind = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}[type(value)]
        raise BadBody(f"Unsupported type: '{kind}'")
    if isinstance(value, str):
        try:
            length = parse_duration(value)
        except ValueError as error:
            raise BadBody(str(error)) from error
    else:
        length = int(min(value, FOREVER / SECOND) * SECOND) if value >= 0 else -1
    return FOREVER if length < 0 else length


def default_keep_alive() -> int:
    """OLLAMA_KEEP_ALIVE in nanoseconds, five minutes where it is not set or cannot be read."""
    text = os.environ.get("OLLAMA_KEEP_ALIVE", "").strip().strip("\"'")
    try:
        return keep_alive(int(text) if text.lstrip("-").isdigit() else text)
    except BadBody:
        return 300 * SECOND
