"""What was asked of this server, redacted when it is written down; readable at /practice/journal."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .clock import Clock, rfc3339

ENTRIES = 200
BODY_BYTES = 64 * 1024  # of each body, what is kept

_SECRET = re.compile(r"authorization|cookie|secret|token|key|passw", re.IGNORECASE)


@dataclass
class Entry:
    """One request. `body` is its JSON, or its text where it is none, or what was kept of it."""

    time: str
    method: str
    path: str
    headers: dict[str, str]
    status: int = 0
    heard: bytearray = field(default_factory=bytearray)

    def hear(self, body: bytes) -> None:
        self.heard += body[: BODY_BYTES - len(self.heard)]

    def shown(self) -> dict[str, Any]:
        text = self.heard.decode("utf-8", "replace")
        try:
            body = json.loads(text) if text else None
        except ValueError:
            body = text
        about = {"time": self.time, "method": self.method, "path": self.path, "headers": self.headers}
        return {**about, "body": body, "status": self.status}


class Journal:
    """The last ENTRIES requests."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.entries: deque[Entry] = deque(maxlen=ENTRIES)

    def open(self, method: str, path: str, headers: Mapping[str, str]) -> Entry:
        """Write down that a request has come; the server's own pages are not written down."""
        shown = {name: "[hidden]" if _SECRET.search(name) else value for name, value in headers.items()}
        entry = Entry(rfc3339(self._clock.now()), method, path, shown)
        if not path.startswith("/practice/"):
            self.entries.append(entry)
        return entry
